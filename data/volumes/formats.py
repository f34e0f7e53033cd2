"""fastMRI's multi-coil HDF5 files: what one holds, checked before it is used."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import h5py
import numpy as np

from data.errors import BadInput

KSPACE_AXES = ("slice", "coil", "y", "x")
TARGET_AXES = ("slice", "y", "x")
HEADER_NAMESPACE = "http://www.ismrm.org/ISMRMRD"


@dataclass(frozen=True, kw_only=True)
class Volume:
    """One file, without its pixels."""

    path: Path
    shape: tuple[int, int, int, int]
    """(slice, coil, y, x) of kspace; x is the phase-encoding axis, whose columns the masks select."""
    size: tuple[int, int]
    """(y, x) of reconstruction_rss, to which images are cropped."""
    acquired: tuple[int, int]
    """First column of k-space that the scanner acquired, and the one after the last; the others are padding."""
    maximum: float
    """Attribute max: the largest value of reconstruction_rss, the data range of losses and metrics."""
    acquisition: str
    patient_id: str
    fingerprint: str
    """Hash of the shape and of pixels from the middle of reconstruction_rss: equal for copies under another name."""

    @property
    def name(self) -> str:
        """The file's name without its ending: the id of the volume, from which its fixed mask is drawn."""
        return self.path.stem


def open_file(path: Path) -> h5py.File:
    """Open an HDF5 file for reading; the caller closes it. Without HDF5's own locks, which network filesystems often refuse."""
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file. Check data.root, or run the prepare command of the grid.")
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read as HDF5 ({error}). Copy it again from its source.") from error


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
        raise BadInput(f"{file.filename}: key '{key}' is missing; the file holds {held}. A multi-coil file of fastMRI is needed.")
    found = member(file, key)
    if not isinstance(found, h5py.Dataset) or len(found.shape) != len(axes) or 0 in found.shape:
        shape = getattr(found, "shape", "a group")
        raise BadInput(
            f"{file.filename}: key '{key}': expected ({', '.join(axes)}), none of them empty, got {shape}. "
            "Write the array with these axes; data of a single coil needs a coil axis of 1."
        )
    return found


def read_volume(path: Path) -> Volume:
    """Read what `path` holds, without its k-space. Raises BadInput naming file, key, what was expected and what was found."""
    with open_file(path) as file:
        kspace = dataset(file, "kspace", KSPACE_AXES)
        target = dataset(file, "reconstruction_rss", TARGET_AXES)
        if not np.issubdtype(kspace.dtype, np.complexfloating):
            raise BadInput(f"{path}: key 'kspace': expected complex64, got {kspace.dtype}. Store real and imaginary part as one number.")
        if target.shape[0] != kspace.shape[0]:
            slices = f"'kspace' has {kspace.shape[0]} slices, 'reconstruction_rss' has {target.shape[0]}"
            raise BadInput(f"{path}: {slices}; both need the same. Make the file again.")
        return Volume(
            path=path,
            shape=kspace.shape,
            size=target.shape[1:],
            acquired=acquired_columns(file, width=kspace.shape[-1]),
            maximum=_maximum(file, target),
            acquisition=str(file.attrs.get("acquisition", "")),
            patient_id=str(file.attrs.get("patient_id", "")),
            fingerprint=_fingerprint(kspace, target),
        )


def _maximum(file: h5py.File, target: h5py.Dataset) -> float:
    maximum = float(file.attrs["max"]) if "max" in file.attrs else float(target[()].max())
    if not (np.isfinite(maximum) and maximum > 0):
        raise BadInput(
            f"{file.filename}: attribute 'max' is {maximum}; it must be the largest value of 'reconstruction_rss', above 0. "
            "Make the file again."
        )
    return maximum


def _fingerprint(kspace: h5py.Dataset, target: h5py.Dataset) -> str:
    slices, height, _ = target.shape
    rows = target[slices // 2, max(height // 2 - 8, 0) : height // 2 + 8]
    return hashlib.sha256(repr(kspace.shape).encode() + np.ascontiguousarray(rows).tobytes()).hexdigest()


def acquired_columns(file: h5py.File, *, width: int) -> tuple[int, int]:
    """Return the columns [start, stop) of k-space that hold data, from the encoding limits in ismrmrd_header.

    The centre of the encoding steps lies at the middle of the encoded matrix; the columns before and after
    the steps are zero padding. Without a header all columns count as acquired.
    """
    if "ismrmrd_header" not in file:
        return 0, width
    encoded, center, last = _encoding(file)
    start = encoded // 2 - center
    stop = start + last + 1
    if not 0 <= start < stop <= width:
        raise BadInput(
            f"{file.filename}: key 'ismrmrd_header': the encoding limits name columns {start} to {stop} of {width} in 'kspace'. "
            "Check matrixSize and kspace_encoding_step_1."
        )
    return start, stop


def _encoding(file: h5py.File) -> tuple[int, int, int]:
    """Return encodedSpace matrixSize y, and centre and maximum of kspace_encoding_step_1."""
    paths = ("encodedSpace/matrixSize/y", "encodingLimits/kspace_encoding_step_1/center", "encodingLimits/kspace_encoding_step_1/maximum")
    try:
        root = ElementTree.fromstring(member(file, "ismrmrd_header")[()])
        found = [root.findtext("/".join(f"{{{HEADER_NAMESPACE}}}{tag}" for tag in f"encoding/{path}".split("/"))) for path in paths]
        encoded, center, last = (int(text) if text is not None else None for text in found)
    except (ElementTree.ParseError, ValueError, TypeError) as error:
        raise BadInput(
            f"{file.filename}: key 'ismrmrd_header' is no valid ISMRMRD header ({error}). Mend it, or remove the key."
        ) from error
    if encoded is None or center is None or last is None:
        missing = ", ".join(path for path, text in zip(paths, found, strict=True) if text is None)
        raise BadInput(f"{file.filename}: key 'ismrmrd_header' lacks encoding/{missing}. Mend it, or remove the key.")
    return encoded, center, last
