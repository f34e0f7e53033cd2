"""What converters and simulators write: volumes of several coils or of one, in fastMRI's layout."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from data.errors import BadInput
from data.kspace.coils import rss
from data.kspace.crop import center_crop
from data.kspace.fourier import ifftc

Complex = NDArray[np.complex64]
Real = NDArray[np.float32]


def rss_images(kspace: Complex, size: tuple[int, int]) -> Real:
    """Return the reconstruction of fully sampled k-space. kspace: (slice, coil, y, x). Returns (slice, size y, size x), cropped."""
    volume = np.stack([center_crop(rss(ifftc(torch.from_numpy(coils))), size).numpy() for coils in kspace])
    return volume.astype(np.float32, copy=False)


def fill(file: h5py.File, *, kspace: Complex, target: Real, target_key: str, acquisition: str, patient_id: str) -> None:
    """Write a volume. kspace: (slice, coil, y, x), or (slice, y, x) for one coil; target: (slice, y, x), as `target_key`."""
    file["kspace"] = kspace
    file[target_key] = target
    file.attrs["max"] = float(target.max())
    file.attrs["norm"] = float(np.linalg.norm(target))
    file.attrs["acquisition"] = acquisition
    file.attrs["patient_id"] = patient_id


def check_images(images: Real, source: Path) -> None:
    """Raise BadInput when the images made of `source` are zero everywhere or hold NaN or Inf. images: (slice, y, x)."""
    wrong = int((~np.isfinite(images)).sum())
    if wrong:
        raise BadInput(f"{source}: its images hold NaN or Inf in {wrong} pixels. Take the volume out.")
    if not images.any():
        raise BadInput(f"{source}: its images are zero everywhere. Take the volume out.")
