"""GRAPPA images for the paired layout: `kspace/` with masks on one side, `image/` on the other."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from data.convert.files import amended
from data.convert.grappa import grappa
from data.convert.jobs import Job
from data.convert.options import GrappaOptions
from data.errors import BadInput
from data.kspace.coils import rss
from data.kspace.crop import center_crop
from data.kspace.fourier import ifftc
from data.volumes.formats import KSPACE_AXES, TARGET_AXES, dataset, open_file

IMAGE_KEY = "image_grappa"
LABEL_KEY = "image_label"
OPTIONS_KEY = "grappa"
"""Attribute of the images: JSON of the options that made them."""


def pairs(jobs: list[Job]) -> list[Job]:
    """Keep the files of folders named image, each with a partner of its name in the folder kspace beside it.

    Raises BadInput when a partner is missing, or there is no folder image at all.
    """
    images = [job for job in jobs if job.target.parent.name == "image"]
    if not images:
        raise BadInput(f"{jobs[0].target.parent}: no file lies in a folder 'image'. Name a folder that holds image/ and kspace/.")
    for job in images:
        if not partner(job.target).is_file():
            raise BadInput(f"{job.target}: its partner {partner(job.target)} is missing. Copy it, or take the image out.")
    return images


def partner(image: Path) -> Path:
    """Return the file with the k-space of an image file."""
    return image.parent.parent / "kspace" / image.name


def convert_grappa(job: Job, options: GrappaOptions) -> bool:
    """Add `image_grappa` (slice, y, x) float32 to an image file, of the size of `image_label`. Returns True where it was done before.

    Each slice is filled by GRAPPA, transformed, combined by the root of the sum of squares, and cropped. The file is replaced as a
    whole. Raises BadInput for k-space and labels that do not fit each other, and for a mask whose centre is too narrow.
    """
    if _holds_images(job.target, options):
        return True
    with open_file(partner(job.target)) as source, amended(job.target, without=IMAGE_KEY) as (original, copy):
        kspace, label = dataset(source, "kspace", KSPACE_AXES), dataset(original, LABEL_KEY, TARGET_AXES)
        if kspace.shape[0] != label.shape[0]:
            raise BadInput(f"{source.filename}: 'kspace' has {kspace.shape[0]} slices, {LABEL_KEY} of {job.target} has {label.shape[0]}.")
        sampled = read_mask(source, kspace.shape[3])
        images = copy.create_dataset(IMAGE_KEY, label.shape, dtype=np.float32)
        for index in range(label.shape[0]):
            images[index] = grappa_image(kspace[index].astype(np.complex64), sampled, label.shape[1:], options, source.filename)
        images.attrs[OPTIONS_KEY] = plain(options)
    return False


def grappa_image(
    kspace: NDArray[np.complex64], sampled: NDArray[np.bool_], size: tuple[int, int], options: GrappaOptions, filename: str
) -> NDArray[np.float32]:
    """Return the image of one slice. kspace: (coil, y, x), sampled: (x,). Returns `size` (y, x)."""
    if not np.isfinite(kspace).all():
        raise BadInput(f"{filename}: key 'kspace' holds NaN or Inf. Take the file out, or make it again.")
    try:
        filled = grappa(kspace * sampled, sampled, options)
    except ValueError as error:
        raise BadInput(f"{filename}: key 'mask': {error}. GRAPPA needs a fully sampled centre; take the file out.") from error
    image: NDArray[np.float32] = center_crop(rss(ifftc(torch.from_numpy(filled))), size).numpy()
    if image.shape != size:
        raise BadInput(f"{filename}: key 'kspace': expected at least (y, x) = {size}, got {kspace.shape[1:]}. Check the pair.")
    return image


def read_mask(file: h5py.File, width: int) -> NDArray[np.bool_]:
    """Read `mask`. Returns (x,) bool. Raises BadInput when it is not as wide as k-space."""
    mask = dataset(file, "mask", ("x",))
    if mask.shape != (width,):
        raise BadInput(f"{file.filename}: key 'mask': expected ({width},), as wide as 'kspace', got {mask.shape}. Make the file again.")
    sampled: NDArray[np.bool_] = mask[()] != 0
    return sampled


def plain(options: GrappaOptions) -> str:
    """Return options as JSON, as the images carry them."""
    return json.dumps(asdict(options), sort_keys=True)


def _holds_images(path: Path, options: GrappaOptions) -> bool:
    with open_file(path) as file:
        if IMAGE_KEY not in file:
            return False
        images = file[IMAGE_KEY]
        found = images.attrs.get(OPTIONS_KEY) if isinstance(images, h5py.Dataset) else None
    if found == plain(options):
        return True
    made = f"with {found}" if found else "by something else"
    raise BadInput(f"{path}: holds '{IMAGE_KEY}' already, made {made}, asked {plain(options)}. Work on a copy without the key.")
