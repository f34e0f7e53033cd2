"""Paired files, k-space with its mask in one and images in the other: checked before they are used, and their slices."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from data.errors import BadInput
from data.volumes.formats import (
    KSPACE_AXES,
    TARGET_AXES,
    check_target,
    complex_dataset,
    dataset,
    fingerprint,
    middle_rows,
    open_file,
    real_dataset,
    stored_maximum,
)
from data.volumes.reading import SliceReader
from data.volumes.volume import Pixels, Volume

LABEL_KEY, GRAPPA_KEY = "image_label", "image_grappa"
FROZEN_KEY = "images"
REMOVE = "Remove the pair from the split, or make it again"


def read_paired(path: Path) -> Volume:
    """Read what the k-space file `path` and its images hold, without pixels. Raises BadInput naming file, key, expected and found."""
    images = images_of(path)
    if not images.is_file():
        raise BadInput(f"{path}: its partner {images} is missing. Copy it, or take the k-space out.")
    with open_file(path) as measured, open_file(images) as shown:
        kspace = complex_dataset(measured, "kspace", KSPACE_AXES)
        label = real_dataset(shown, LABEL_KEY, TARGET_AXES)
        check_target(label, kspace)
        return Volume(
            path=path,
            layout="paired",
            shape=kspace.shape,
            size=label.shape[1:],
            acquired=(0, kspace.shape[-1]),
            maximum=stored_maximum(shown, label),
            fingerprint=fingerprint(kspace.shape, middle_rows(label)),
            mask=_mask(measured, kspace.shape[-1]),
            has_grappa=_has_grappa(shown, label.shape),
        )


def read_pixels(reader: SliceReader, volume: Volume, index: int) -> Pixels:
    """Read slice `index`."""
    images, made = images_of(volume.path), volume.frozen_images
    return Pixels(
        kspace=reader.read(volume.path, "kspace", index).astype(np.complex64, copy=False),
        target=reader.read(images, LABEL_KEY, index).astype(np.float32, copy=False),
        grappa=reader.read(images, GRAPPA_KEY, index).astype(np.float32, copy=False) if volume.has_grappa else None,
        frozen_image=reader.read(made, FROZEN_KEY, index).astype(np.float32, copy=False) if made is not None else None,
    )


def source_of(volume: Volume, part: str) -> tuple[Path, str, str]:
    """Return from which file and key a part of the Pixels of a volume comes, and what is to be done where that cannot be used."""
    images, folder = images_of(volume.path), volume.path.parent.parent
    match part:
        case "grappa":
            return images, GRAPPA_KEY, f"Delete that key, then make it anew: python -m data.convert grappa {folder}"
        case "frozen_image" if volume.frozen_images is not None:
            return volume.frozen_images, FROZEN_KEY, "Delete the file: it is computed anew"
        case "target":
            return images, LABEL_KEY, REMOVE
        case _:
            return volume.path, part, REMOVE


def images_of(path: Path) -> Path:
    """Return the file with the images that belong to a k-space file."""
    return path.parent.parent / "image" / path.name


def _mask(file: h5py.File, width: int) -> NDArray[np.bool_]:
    found = dataset(file, "mask", ("x",))
    values = found[()]
    if values.shape != (width,) or not np.isin(values, (0, 1)).all() or not values.any():
        wanted = f"expected ({width},) of 0 and 1, not all 0, one for each column of 'kspace'"
        raise BadInput(f"{file.filename}: key 'mask': {wanted}, got {values.shape} with {int(values.sum())} in all. Make the file again.")
    return np.asarray(values, dtype=bool)


def _has_grappa(file: h5py.File, shape: tuple[int, ...]) -> bool:
    if file.get(GRAPPA_KEY, getlink=True) is None:
        return False
    found = real_dataset(file, GRAPPA_KEY, TARGET_AXES)
    if found.shape != shape:
        raise BadInput(f"{file.filename}: key '{GRAPPA_KEY}': expected {shape}, as '{LABEL_KEY}' has, got {found.shape}. Make it again.")
    return True
