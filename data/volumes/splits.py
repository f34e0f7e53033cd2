"""Which volumes train, validate and test, and the check that none is in two of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from data.errors import BadInput
from data.volumes.formats import Volume, read_volume


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The volumes of each split, sorted by name."""

    train: tuple[Volume, ...]
    val: tuple[Volume, ...]
    test: tuple[Volume, ...]


def read_splits(root: Path, *, train: str = "train", val: str = "val", test: str = "test") -> Splits:
    """Read the three folders below `root`. Raises BadInput for a missing or empty folder, a bad file or a shared volume."""
    splits = Splits(train=read_folder(root / train), val=read_folder(root / val), test=read_folder(root / test))
    check_disjoint(splits)
    return splits


def read_folder(folder: Path) -> tuple[Volume, ...]:
    """Read every *.h5 file of a folder, sorted by name."""
    if not folder.is_dir():
        raise BadInput(
            f"{folder}: there is no such folder. Check data.root (relative paths start at {Path.cwd()}), or run the grid's prepare command."
        )
    paths = sorted(path for path in folder.glob("*.h5") if not path.name.startswith("."))
    if not paths:
        raise BadInput(f"{folder}: holds no *.h5 file. Check data.root, or run the prepare command of the grid.")
    return tuple(read_volume(path) for path in paths)


def check_disjoint(splits: Splits) -> None:
    """Raise BadInput when two splits share a volume, by name or, under another name, by content.

    Patients are not compared: in fastMRI several volumes stem from one examination.
    """
    named = {"train": splits.train, "val": splits.val, "test": splits.test}
    for (first, ours), (second, theirs) in combinations(named.items(), 2):
        _refuse_shared(first, ours, second, theirs)


def _refuse_shared(first: str, ours: Iterable[Volume], second: str, theirs: Iterable[Volume]) -> None:
    names = {volume.name: volume for volume in ours}
    contents = {volume.fingerprint: volume for volume in ours}
    for volume in theirs:
        twin = names.get(volume.name) or contents.get(volume.fingerprint)
        if twin is not None:
            raise BadInput(f"{twin.path} ({first}) and {volume.path} ({second}) are the same volume. Remove one: a volume has one split.")
