"""fastMRI's files, of several coils or of one: what one holds, checked before it is used, and its slices."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import h5py
import numpy as np

from data.errors import BadInput
from data.volumes.formats import (
    HEADER_NAMESPACE,
    KSPACE_AXES,
    SINGLE_COIL_AXES,
    TARGET_AXES,
    check_target,
    complex_dataset,
    fingerprint,
    member,
    middle_rows,
    open_file,
    rank,
    real_dataset,
    stored_maximum,
)
from data.volumes.reading import SliceReader
from data.volumes.volume import Pixels, Volume

COILS_KEY, SINGLE_COIL_KEY = "reconstruction_rss", "reconstruction_esc"


def read_volume(path: Path, *, group: str = "", task: int | None = None) -> Volume:
    """Read what `path` holds, without its k-space. Raises BadInput naming file, key, what was expected and what was found.

    kspace (slice, coil, y, x) goes with reconstruction_rss, kspace (slice, y, x) of one coil with reconstruction_esc.
    """
    with open_file(path) as file:
        single = rank(file, "kspace") == len(SINGLE_COIL_AXES)
        kspace = complex_dataset(file, "kspace", SINGLE_COIL_AXES if single else KSPACE_AXES)
        target = real_dataset(file, SINGLE_COIL_KEY if single else COILS_KEY, TARGET_AXES)
        check_target(target, kspace)
        slices, *coils, height, width = kspace.shape
        return Volume(
            path=path,
            shape=(slices, coils[0] if coils else 1, height, width),
            size=target.shape[1:],
            acquired=acquired_columns(file, width=width),
            maximum=stored_maximum(file, target),
            acquisition=str(file.attrs.get("acquisition", "")),
            patient_id=str(file.attrs.get("patient_id", "")),
            fingerprint=fingerprint(kspace.shape, middle_rows(target)),
            group=group,
            task=task,
        )


def read_pixels(reader: SliceReader, volume: Volume, index: int) -> Pixels:
    """Read slice `index`. k-space of one coil gets a coil axis of length 1."""
    kspace = reader.read(volume.path, "kspace", volume.first + index).astype(np.complex64, copy=False)
    single = kspace.ndim == 2
    target = reader.read(volume.path, SINGLE_COIL_KEY if single else COILS_KEY, volume.first + index)
    return Pixels(kspace=kspace[np.newaxis] if single else kspace, target=target.astype(np.float32, copy=False))


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
