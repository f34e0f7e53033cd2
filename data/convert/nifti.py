"""NIfTI volumes of magnitude images, as those of BraTS and IXI, to k-space of one coil."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import nibabel
import numpy as np
import torch
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from data.convert.fastmri_files import check_images, fill
from data.convert.files import STAMP_KEY, is_made, stamp_of
from data.convert.jobs import Job, stem
from data.convert.options import NiftiOptions
from data.errors import BadInput
from data.kspace.fourier import fftc
from data.whole_files import written_whole

ENDINGS = (".nii.gz", ".nii")


def convert_nifti(job: Job, options: NiftiOptions) -> bool:
    """Write `kspace` (slice, y, x) complex64 and `reconstruction_esc` (slice, y, x) float32. Returns True where it was done before.

    The third axis of the volume becomes the slices, the first two rows and columns, as they lie in the file. k-space is the
    orthonormal transform of the padded image, whose phase is zero. Raises BadInput for what is no volume of images.
    """
    stamp = stamp_of("nifti", job.source, asdict(options))
    if is_made(job.target, stamp):
        return True
    images = pad_centred(read_slices(job.source, options), options.size, job.source)
    kspace = fftc(torch.from_numpy(images).to(torch.complex64)).numpy()
    with written_whole(job.target) as file:
        names = {"acquisition": options.acquisition, "patient_id": stem(job.source, ENDINGS)}
        fill(file, kspace=kspace, target=images, target_key="reconstruction_esc", **names)
        file.attrs[STAMP_KEY] = stamp
    return False


def read_slices(path: Path, options: NiftiOptions) -> NDArray[np.float32]:
    """Read the kept slices of a volume. Returns (slice, y, x)."""
    try:
        image = nibabel.load(path)
        values = np.asarray(image.dataobj if isinstance(image, SpatialImage) else (), dtype=np.float32)
    except (ImageFileError, OSError, EOFError, ValueError, TypeError) as error:
        raise BadInput(f"{path}: cannot be read as NIfTI ({error}). Copy it again from its source.") from error
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3 or 0 in values.shape:
        raise BadInput(f"{path}: expected a volume (y, x, slice), got {values.shape}. Cut the series into volumes first.")
    first, last = options.slices or (0, values.shape[2] - 1)
    if not 0 <= first <= last < values.shape[2]:
        raise BadInput(f"{path}: slices {first} to {last} were asked, the volume has {values.shape[2]}. Change --slices.")
    images = np.ascontiguousarray(np.moveaxis(values[:, :, first : last + 1], 2, 0))
    check_images(images, path)
    return images


def pad_centred(images: NDArray[np.float32], size: int, path: Path) -> NDArray[np.float32]:
    """Pad images with zeros. images: (slice, y, x). Returns (slice, size, size); the centre n // 2 stays the centre."""
    height, width = images.shape[1:]
    if max(height, width) > size:
        raise BadInput(
            f"{path}: slices of ({height}, {width}) do not fit into {size} x {size}. Choose --size {max(height, width)} or more."
        )
    before = (size // 2 - height // 2, size // 2 - width // 2)
    around = [(0, 0), (before[0], size - height - before[0]), (before[1], size - width - before[1])]
    return np.pad(images, around)
