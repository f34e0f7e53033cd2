"""Which volumes train, validate and test, and the check that none is in two of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TypeVar

from data.errors import BadInput
from data.volumes.fastmri import read_volume
from data.volumes.formats import damage_told
from data.volumes.volume import Volume

_log = logging.getLogger(__name__)
Source = TypeVar("Source")
Scan = TypeVar("Scan")


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The volumes of each split, task after task, sorted by name."""

    train: tuple[Volume, ...]
    val: tuple[Volume, ...]
    test: tuple[Volume, ...]


def read_folder(
    folder: Path,
    read: Callable[[Path], Volume] = read_volume,
    *,
    skip_bad: bool = False,
    choose: Callable[[Sequence[Path]], Sequence[Path]] = tuple,
) -> tuple[Volume, ...]:
    """Read every *.h5 file of a folder that `choose` leaves, sorted by name. skip_bad: bad files are left out with a warning each."""
    return read_scans(folder, read, skip_bad=skip_bad, choose=choose)


def read_scans(
    folder: Path,
    read: Callable[[Path], Scan],
    *,
    skip_bad: bool = False,
    choose: Callable[[Sequence[Path]], Sequence[Path]] = tuple,
) -> tuple[Scan, ...]:
    """Do what `read_folder` does, for whatever `read` makes of a file."""
    paths = choose(list_files(folder))
    named = partial(_read_named, read=read)
    good = tuple(_readable(paths, named) if skip_bad else map(named, paths))
    if not good:
        raise _none_left(folder)
    return good


def without_bad(volumes: Sequence[Volume], read_whole: Callable[[Volume], Volume]) -> tuple[Volume, ...]:
    """Leave out the volumes for which `read_whole` raises BadInput, with a warning each. Raises it where a dataset or site keeps none."""
    good = tuple(_readable(volumes, read_whole))
    kept = {volume.group for volume in good}
    for volume in volumes:
        if volume.group not in kept:
            raise _none_left(volume.path if volume.layout in ("cine", "arrays") else volume.path.parent)
    return good


def list_files(folder: Path) -> list[Path]:
    """Return the *.h5 files of a folder, sorted by name. Raises BadInput when there are none."""
    if not folder.is_dir():
        raise BadInput(
            f"{folder}: there is no such folder. Check data.root (relative paths start at {Path.cwd()}), or run the grid's prepare command."
        )
    paths = sorted(path for path in folder.glob("*.h5") if not path.name.startswith("."))
    if not paths:
        raise BadInput(f"{folder}: holds no *.h5 file. Check data.root, or run the prepare command of the grid.")
    return paths


def _read_named(path: Path, read: Callable[[Path], Scan]) -> Scan:
    with damage_told(path):
        return read(path)


def _readable(sources: Iterable[Source], read: Callable[[Source], Scan]) -> Iterator[Scan]:
    for source in sources:
        try:
            yield read(source)
        except BadInput as error:
            _log.warning("%s It is left out (data.skip_bad).", error)


def _none_left(place: Path) -> BadInput:
    return BadInput(f"{place}: none of its volumes can be used; data.skip_bad has left out all of them. Make them again.")


def disjoint(splits: Splits) -> Splits:
    """Return the splits. Raises BadInput when two of them share a volume, by name or, under another name, by content.

    Names are compared within a dataset or site, contents across all. Patients are not compared: in fastMRI several volumes stem from
    one examination.
    """
    named = {"train": splits.train, "val": splits.val, "test": splits.test}
    for (first, ours), (second, theirs) in combinations(named.items(), 2):
        _refuse_shared(first, ours, second, theirs)
    return splits


def _refuse_shared(first: str, ours: Iterable[Volume], second: str, theirs: Iterable[Volume]) -> None:
    names = {volume.name: volume for volume in ours}
    contents = {volume.fingerprint: volume for volume in ours}
    for volume in theirs:
        twin = names.get(volume.name) or contents.get(volume.fingerprint)
        if twin is not None:
            ids = [f"{one.path}{_place(one)}" for one in (twin, volume)]
            raise BadInput(f"{ids[0]} ({first}) and {ids[1]} ({second}) are the same volume. Remove one: a volume has one split.")


def _place(volume: Volume) -> str:
    """Say where in its file a volume is, where the file holds several."""
    return f", series {volume.first}" if volume.layout == "cine" else f", volume {volume.own_name}" if volume.own_name else ""
