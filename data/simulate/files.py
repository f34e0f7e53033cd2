"""A simulated data set on disk: each file is written as a whole, kept when it is complete, refused when it is another's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from data.convert import array_files
from data.errors import BadInput
from data.processes import as_they_end
from data.simulate.arrays import PlannedArrays, keep_or_write_arrays
from data.whole_files import write_bytes, written_whole

SPEC_KEY = "simulate_spec"
"""Attribute: JSON of all that decided the pixels."""
CONTENT_KEY = "simulate_sha256"
"""Attribute: hash of all arrays."""


@dataclass(frozen=True, kw_only=True)
class PlannedFile:
    """One file of a data set, before it is made."""

    path: Path
    data: Mapping[str, object]
    """What the pixels follow from and all files have in common: kind, version and options."""
    place: Mapping[str, object]
    """Which of the files it is: split, number."""
    fill: Callable[[h5py.File], None]
    """Makes the content: the same one at each call. It can be pickled, as other processes call it."""

    @property
    def identity(self) -> dict[str, object]:
        """All that decides the content, as JSON gives it back: tuples become lists."""
        plain: dict[str, object] = json.loads(json.dumps({"data": dict(self.data), **self.place}))
        return plain


@dataclass(frozen=True, kw_only=True)
class PlannedBytes:
    """One file of a format that has no room for what it was made of."""

    path: Path
    content: Callable[[], bytes]
    """Makes the content: the same one at each call."""


@dataclass(frozen=True, kw_only=True)
class PlannedData:
    """A data set, before it is made."""

    folders: tuple[Path, ...]
    """Those that training reads: nothing else may lie in them."""
    files: tuple[PlannedFile | PlannedBytes | PlannedArrays, ...]


@dataclass(frozen=True, kw_only=True)
class Written:
    """One file of the data set, as it was left."""

    path: Path
    kept: bool
    """True: it was complete already."""


def write_files(planned: PlannedData, *, workers: int = 1) -> Iterator[Written]:
    """Write a data set, `workers` files at a time, and yield each file when it is there.

    Safe to break off and to call again, also twice at once. Raises BadInput before anything is written when the folders
    hold other data: made with other options, or files that were not asked for.
    """
    _refuse_other_data(planned)
    yield from as_they_end(_written, planned.files, workers=_useful_workers(planned, workers))


def _useful_workers(planned: PlannedData, asked: int) -> int:
    """Return how many processes write: one where the splits are arrays, which share what they are made from."""
    alone = any(isinstance(file, PlannedArrays) for file in planned.files)
    return 1 if alone else max(1, min(asked, len(planned.files)))


def _written(file: PlannedFile | PlannedBytes | PlannedArrays) -> Written:
    return Written(path=file.path, kept=_keep_or_write_any(file))


def _keep_or_write_any(file: PlannedFile | PlannedBytes | PlannedArrays) -> bool:
    match file:
        case PlannedBytes():
            return _keep_or_write_bytes(file)
        case PlannedArrays():
            return keep_or_write_arrays(file)
        case PlannedFile():
            return _keep_or_write(file)


def _keep_or_write(file: PlannedFile) -> bool:
    """Write a file unless it is complete. Returns whether it was."""
    if is_complete(file):
        return True
    with written_whole(file.path) as stored:
        file.fill(stored)
        stored.attrs[SPEC_KEY] = json.dumps(file.identity)
        stored.attrs[CONTENT_KEY] = content_hash(stored)
    return False


def _keep_or_write_bytes(file: PlannedBytes) -> bool:
    """Write a file unless it is there. Returns whether it was. Raises BadInput where something else has its name."""
    content = file.content()
    if not file.path.exists():
        write_bytes(file.path, content)
        return False
    if file.path.read_bytes() != content:
        raise BadInput(f"{file.path}: is there already, and has other content. Choose another --out, or remove it.")
    return True


def _refuse_other_data(planned: PlannedData) -> None:
    for split in planned.files:
        if isinstance(split, PlannedArrays):
            _refuse_otherwise(split.path, array_files.about(split.path), split.identity)
    wanted = {file.path: file for file in planned.files if isinstance(file, PlannedFile)}
    for path in sorted(path for folder in planned.folders for path in folder.glob("[!.]*.h5")):
        if path not in wanted:
            raise BadInput(f"{path}: was not asked for, and training would read it. Choose another --out, or remove it.")
        _refuse_otherwise(path, _read_identity(path), wanted[path].identity)


def _refuse_otherwise(path: Path, found: Mapping[str, object] | None, asked: Mapping[str, object]) -> None:
    """Raise BadInput where a file is there that other options have made. found: None where it is missing or torn."""
    if found is not None and found.get("data") != asked["data"]:
        difference = _difference(found.get("data"), asked["data"])
        raise BadInput(f"{path}: was made otherwise ({difference}). Choose another --out, or remove the folder.")


def _difference(found: object, asked: object) -> str:
    if not isinstance(found, dict) or not isinstance(asked, dict):
        return "not by this command"
    return ", ".join(f"{key} {found.get(key)}, asked {asked[key]}" for key in asked if found.get(key) != asked[key])


def is_complete(file: PlannedFile) -> bool:
    """Say whether this very file is there, undamaged: its options fit, and its arrays fit their hash."""
    if _read_identity(file.path) != file.identity:
        return False
    try:
        with h5py.File(file.path, "r", locking=False) as stored:
            return bool(stored.attrs[CONTENT_KEY] == content_hash(stored))
    except (OSError, KeyError):
        return False


def _read_identity(path: Path) -> dict[str, object] | None:
    """Return what the file says it is made of; None where it is missing or torn; {} for somebody else's."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            found = json.loads(file.attrs.get(SPEC_KEY, "{}"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else {}


def content_hash(file: h5py.File) -> str:
    """Return the sha256 of all arrays of an open file, in the order of their names."""
    digest = hashlib.sha256()
    for key in sorted(file):
        if file[key].ndim:
            digest.update(f"{file[key].shape} {file[key].dtype.str}".encode())
            for values in file[key]:
                digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
