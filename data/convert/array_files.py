"""The files of the layout of arrays: k-space and images of a split, each one array, and beside them the list of its volumes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np
import torch

from data.errors import BadInput
from data.kspace.coils import rss
from data.kspace.fourier import ifftc
from data.volumes.arrays import ArrayVolume, Images, Kspace, target_of
from data.whole_files import write_bytes, written_array

ABOUT_KEY = "made_of"
"""In the list: all that decided the arrays."""
HASHES_KEY = "sha256"
"""In the list: file → hash."""


def list_of(path: Path) -> Path:
    """Return the file with the list of volumes that belongs to an array of k-space."""
    return path.with_suffix(".json")


def write_split(path: Path, volumes: Iterable[tuple[str, Kspace]], *, slices: int, about: Mapping[str, object]) -> None:
    """Write the three files of a split, the list last. volumes: name and k-space (slice, coil, y, x) of each; slices: of all of them.

    One volume at a time is in memory. Raises BadInput where volumes differ in coils or matrix.
    """
    volumes = iter(volumes)
    first = next(volumes)
    shape = first[1].shape[1:]
    with (
        written_array(path, (slices, *shape), np.complex64) as kspace,
        written_array(target_of(path), (slices, *shape[1:]), np.float32) as target,
    ):
        listed = list(_filled(kspace, target, first, volumes))
    hashes = {file.name: _hash(file) for file in (path, target_of(path))}
    content = {"volumes": [msgspec.to_builtins(volume) for volume in listed], ABOUT_KEY: dict(about), HASHES_KEY: hashes}
    write_bytes(list_of(path), json.dumps(content).encode())


def _filled(kspace: Kspace, target: Images, first: tuple[str, Kspace], others: Iterable[tuple[str, Kspace]]) -> Iterator[ArrayVolume]:
    """Put one volume after the other into the arrays, and yield what the list says of each."""
    start = 0
    for name, values in chain((first,), others):
        if values.shape[1:] != first[1].shape[1:]:
            both = f"(coil, y, x) of {first[0]} is {first[1].shape[1:]}, of {name} {values.shape[1:]}"
            raise BadInput(f"{both}; all volumes of a split need the same coils and matrix. Sort them into data sets of their own.")
        part = slice(start, start + len(values))
        kspace[part] = values
        target[part] = rss(ifftc(torch.from_numpy(values))).numpy()
        yield ArrayVolume(name=name, slices=len(values), maximum=float(target[part].max()))
        start = part.stop


def about(path: Path) -> dict[str, object] | None:
    """Return what the list beside an array says that it is made of; None where it is missing or torn, {} for somebody else's."""
    try:
        found = json.loads(list_of(path).read_bytes())
    except (OSError, ValueError):
        return None
    held = found.get(ABOUT_KEY) if isinstance(found, dict) else None
    return held if isinstance(held, dict) else {}


def is_whole(path: Path) -> bool:
    """Say whether both arrays are those that the list beside them was written for."""
    try:
        hashes = json.loads(list_of(path).read_bytes())[HASHES_KEY]
        return all(hashes[file.name] == _hash(file) for file in (path, target_of(path)))
    except (OSError, ValueError, KeyError):
        return False


def _hash(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
