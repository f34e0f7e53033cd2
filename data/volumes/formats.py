"""HDF5 files of volumes: opened, and their keys checked before they are used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from data.errors import BadInput

KSPACE_AXES = ("slice", "coil", "y", "x")
SINGLE_COIL_AXES = ("slice", "y", "x")
TARGET_AXES = ("slice", "y", "x")
HEADER_NAMESPACE = "http://www.ismrm.org/ISMRMRD"


def open_file(path: Path) -> h5py.File:
    """Open an HDF5 file for reading; the caller closes it. Without HDF5's own locks, which network filesystems often refuse."""
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file. Check data.root, or run the prepare command of the grid.")
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read as HDF5 ({error}). Copy it again from its source.") from error


@contextmanager
def damage_told(path: Path, part: str = "a part of it") -> Iterator[None]:
    """Raise BadInput where HDF5 finds `part` of a file damaged. Errors of the disk or the network, which may pass, stay what they are."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise BadInput(f"{path}: {part} cannot be read ({error}). Copy the file again from its source.") from error


def member(file: h5py.File, key: str) -> h5py.Dataset | h5py.Group:
    """Return what `key` names in an open file, provided that it lies in that file.

    A link, external storage or a virtual dataset would read other files of the user under this one's name.
    """
    try:
        link = type(file.get(key, getlink=True)).__name__
    except TypeError:  # a kind of link that h5py does not know
        link = "of an unknown kind"
    if link != "HardLink":
        raise BadInput(
            f"{file.filename}: key '{key}' is a link ({link}) and is not followed. Copy the data into the file (h5repack, h5copy)."
        )
    found = file[key]
    if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
        kind = "a virtual dataset" if found.is_virtual else "stored in another file"
        raise BadInput(f"{file.filename}: key '{key}' is {kind} and is not read. Copy the data into the file (h5repack, h5copy).")
    return found


def dataset(file: h5py.File, key: str, axes: tuple[str, ...]) -> h5py.Dataset:
    """Return a dataset of an open file after checking that it exists, lies in the file and has these axes."""
    if file.get(key, getlink=True) is None:
        held = ", ".join(sorted(file)) or "nothing"
        raise BadInput(
            f"{file.filename}: key '{key}' is missing; the file holds {held}. An array ({', '.join(axes)}) is needed: "
            "check the layout of the data."
        )
    found = member(file, key)
    if not isinstance(found, h5py.Dataset) or len(found.shape) != len(axes) or 0 in found.shape:
        shape = getattr(found, "shape", "a group")
        raise BadInput(
            f"{file.filename}: key '{key}': expected ({', '.join(axes)}), none of them empty, got {shape}. {_way_out(found, axes)}"
        )
    return found


def _way_out(found: h5py.Dataset | h5py.Group, axes: tuple[str, ...]) -> str:
    shape: tuple[int, ...] = getattr(found, "shape", ())
    if len(shape) == len(axes) + 1 and shape[-1] == 2:
        return "The last axis looks like real and imaginary part: store them as one complex number."
    if len(shape) == len(axes) - 1 and "coil" in axes:
        return "Write the array with these axes; data of a single coil needs a coil axis of 1."
    return "Write the array with these axes."


def rank(file: h5py.File, key: str) -> int:
    """Return how many axes a dataset has; 0 where there is none."""
    found = member(file, key) if file.get(key, getlink=True) is not None else None
    return len(found.shape) if isinstance(found, h5py.Dataset) else 0


def complex_dataset(file: h5py.File, key: str, axes: tuple[str, ...]) -> h5py.Dataset:
    """Return a dataset as `dataset` does, after checking that it holds complex numbers."""
    found = dataset(file, key, axes)
    if not np.issubdtype(found.dtype, np.complexfloating):
        raise BadInput(f"{file.filename}: key '{key}': expected complex64, got {found.dtype}. Store real and imaginary part as one number.")
    return found


def real_dataset(file: h5py.File, key: str, axes: tuple[str, ...]) -> h5py.Dataset:
    """Return a dataset as `dataset` does, after checking that it holds real numbers."""
    found = dataset(file, key, axes)
    if found.dtype.kind not in "fiu":
        raise BadInput(f"{file.filename}: key '{key}': expected float32, got {found.dtype}. Store the magnitude.")
    return found


def stored_maximum(file: h5py.File, target: h5py.Dataset) -> float:
    """Return attribute max, or where there is none the largest value of the target. Raises BadInput unless it is above 0."""
    maximum = float(file.attrs["max"]) if "max" in file.attrs else float(target[()].max())
    if not (np.isfinite(maximum) and maximum > 0):
        key = target.name.removeprefix("/")
        raise BadInput(
            f"{file.filename}: attribute 'max' is {maximum}; it must be the largest value of '{key}', above 0. Make the file again."
        )
    return maximum


def check_target(target: h5py.Dataset, kspace: h5py.Dataset) -> None:
    """Raise BadInput unless a target (slice, y, x) has as many slices as its k-space (slice, …, y, x) and is no larger."""
    slices, height, width = target.shape
    measured = kspace.shape
    key, filename = target.name.removeprefix("/"), target.file.filename
    if slices != measured[0]:
        raise BadInput(f"{filename}: 'kspace' has {measured[0]} slices, '{key}' has {slices}; both need the same. Make the file again.")
    if height > measured[-2] or width > measured[-1]:
        raise BadInput(
            f"{filename}: key '{key}': expected images (y, x) of at most {tuple(measured[-2:])}, as 'kspace' has, got {(height, width)}. "
            "Make the file again."
        )


def fingerprint(shape: tuple[int, ...], rows: np.ndarray) -> str:
    """Return a hash of a volume's shape and of some of its pixels."""
    return hashlib.sha256(repr(shape).encode() + np.ascontiguousarray(rows).tobytes()).hexdigest()


def middle_rows(values: h5py.Dataset) -> np.ndarray:
    """Return the 16 rows in the middle of the middle slice, of the first coil. values: (slice, y, x) or (slice, coil, y, x)."""
    slices, *_, height, _ = values.shape
    place = (slices // 2, 0) if len(values.shape) == 4 else (slices // 2,)
    return values[(*place, slice(max(height // 2 - 8, 0), height // 2 + 8))]
