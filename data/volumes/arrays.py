"""Arrays of fully sampled k-space, one file a split, memory-mapped: what a split holds, checked before it is used, and its slices."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from data.errors import BadInput
from data.volumes.cache import cached
from data.volumes.formats import KSPACE_AXES, TARGET_AXES, fingerprint
from data.volumes.volume import Volume

Kspace = NDArray[np.complex64]
"""(slice, coil, y, x)."""
Images = NDArray[np.float32]
"""(slice, y, x)."""
MOST_MAPPED = 1 << 29
"""Bytes of files that may stay mapped. Larger ones are mapped anew after a quarter of this: what was read counts as memory until then."""


class ArrayVolume(msgspec.Struct, frozen=True, kw_only=True):
    """One volume of a split; its slices follow those of the volume before."""

    name: str
    slices: int
    maximum: float
    """Largest value of its images, the root of the sum of squares over coils."""


class ArraySplit(msgspec.Struct, frozen=True, kw_only=True):
    """What {split}.json holds, among other things."""

    volumes: tuple[ArrayVolume, ...]
    """In the order of their slices in {split}.npy."""


def read_arrays(root: Path, split: str) -> tuple[Volume, ...]:
    """Read what {split}.npy, {split}_target.npy and {split}.json hold. Raises BadInput naming file, key, expected and found."""
    path = root / f"{split}.npy"
    kspace, target = open_kspace(path), open_target(target_of(path))
    if target.shape != (len(kspace), *kspace.shape[2:]):
        found = f"{target_of(path)}: expected {(len(kspace), *kspace.shape[2:])} (slice, y, x), as {path.name} has, got {target.shape}"
        raise BadInput(f"{found}. Make both again.")
    listed = _listed(path.with_suffix(".json"))
    total = sum(volume.slices for volume in listed)
    if total != len(kspace):
        raise BadInput(f"{path}: has {len(kspace)} slices, {split}.json lists {total} in {len(listed)} volumes. Make both again.")
    firsts = np.cumsum([0, *(volume.slices for volume in listed)]).tolist()
    return tuple(_volume(path, kspace, volume, first) for volume, first in zip(listed, firsts, strict=False))


def _volume(path: Path, kspace: Kspace, listed: ArrayVolume, first: int) -> Volume:
    _, coils, height, width = kspace.shape
    rows = kspace[first + listed.slices // 2, 0, max(height // 2 - 8, 0) : height // 2 + 8]
    return Volume(
        path=path,
        layout="arrays",
        shape=(listed.slices, coils, height, width),
        size=(height, width),
        acquired=(0, width),
        maximum=listed.maximum,
        fingerprint=fingerprint((listed.slices, coils, height, width), rows),
        first=first,
        own_name=listed.name,
    )


def target_of(path: Path) -> Path:
    """Return the file with the images that belong to a file of k-space: the root of the sum of squares over coils."""
    return path.with_name(f"{path.stem}_target.npy")


def open_kspace(path: Path) -> Kspace:
    """Map a file of k-space into memory, without reading it. Returns (slice, coil, y, x) complex64."""
    return _mapped(path, KSPACE_AXES, np.complex64)


def open_target(path: Path) -> Images:
    """Map a file of images into memory, without reading it. Returns (slice, y, x) float32."""
    return _mapped(path, TARGET_AXES, np.float32)


def _mapped(path: Path, axes: tuple[str, ...], kind: type[np.generic]) -> NDArray[Any]:
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file. Check data.root, or run the prepare command of the grid.")
    try:
        values = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"{path}: cannot be mapped as an array of numpy ({error}). Make it again.") from error
    if values.ndim != len(axes) or 0 in values.shape or values.dtype != kind:
        wanted = f"({', '.join(axes)}) {np.dtype(kind)}, none of the axes empty"
        advice = "one coil is an axis of 1" if "coil" in axes else "it holds magnitudes"
        raise BadInput(f"{path}: expected {wanted}, got {values.shape} {values.dtype}. Write the array so; {advice}.")
    return np.asarray(values)


def _listed(path: Path) -> tuple[ArrayVolume, ...]:
    """Read the list of volumes beside an array."""
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file; it lists the volumes of the array beside it. Run the prepare command of the grid.")
    try:
        listed = msgspec.json.decode(path.read_bytes(), type=ArraySplit).volumes
    except (msgspec.DecodeError, OSError) as error:
        wanted = '{"volumes": [{"name": …, "slices": …, "maximum": …}, …]}'
        raise BadInput(f"{path}: cannot be read as {wanted} ({error}). Make it again.") from error
    for number, volume in enumerate(listed):
        if volume.slices < 1 or not 0 < volume.maximum < float("inf"):
            wanted = "slices must be 1 or more, maximum above 0 and finite"
            raise BadInput(f"{path}: key 'volumes', number {number}: {wanted}, got {volume.slices} and {volume.maximum}. Make it again.")
    names = [volume.name for volume in listed]
    if not names or len(set(names)) < len(names):
        twice = next((name for name in names if names.count(name) > 1), None)
        found = f"volume '{twice}' is listed twice" if twice else "no volume is listed"
        raise BadInput(f"{path}: key 'volumes': {found}. Make it again.")
    return listed


def refuse_differing(volumes: Sequence[Volume]) -> None:
    """Raise BadInput where arrays differ in coils or matrix: a network of this layout is made for one (coil, y, x)."""
    first = volumes[0]
    for volume in volumes:
        if volume.shape[1:] != first.shape[1:]:
            both = f"(coil, y, x) of {first.path} is {first.shape[1:]}, of {volume.path} {volume.shape[1:]}"
            raise BadInput(f"data: {both}; all splits need the same coils and matrix. Make them again with one command.")


class ArrayReader:
    """Reads slices of mapped files; every process maps them itself. `cache`: a folder on the node's own disk, to which they are copied.

    The memory of the process does not grow with large files: it gives back what it has read, and the system keeps what it has room for.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache
        self._mapped: dict[Path, tuple[Kspace, Images]] = {}
        self._read = 0
        self._owner = os.getpid()

    def read(self, path: Path, places: NDArray[np.intp]) -> tuple[Kspace, Images]:
        """Return the slices at `places` of a file of k-space and of its images, each in one read, arrays of their own memory."""
        if self._owner != os.getpid():
            self.close()
        if path not in self._mapped:
            self._mapped[path] = (open_kspace(self._near(path)), open_target(self._near(target_of(path))))
        kspace, target = self._mapped[path]
        found = kspace[places], target[places]
        self._read += sum(values.nbytes for values in found)
        if self._read > MOST_MAPPED // 4 and self._mapped_bytes() > MOST_MAPPED:
            self.close()
        return found

    def _mapped_bytes(self) -> int:
        return sum(values.nbytes for pair in self._mapped.values() for values in pair)

    def _near(self, path: Path) -> Path:
        return path if self._cache is None else cached(path, self._cache)

    def close(self) -> None:
        """Let go of all files; the next read maps them again."""
        self._mapped = {}
        self._read = 0
        self._owner = os.getpid()

    def __getstate__(self) -> dict[str, object]:
        return {"_cache": self._cache, "_mapped": {}, "_read": 0, "_owner": -1}
