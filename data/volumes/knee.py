"""Knees with sensitivity maps: what a file holds, checked before it is used, and its slices."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from data.errors import BadInput
from data.kspace.coils import reduce
from data.kspace.crop import center_crop
from data.kspace.fourier import ifftc
from data.volumes.formats import KSPACE_AXES, complex_dataset, fingerprint, middle_rows, open_file
from data.volumes.reading import SliceReader
from data.volumes.volume import Pixels, Volume

MAPS_KEY = "esp_maps"
MAXIMUM_KEY = "max_combined"
"""Attribute of the maps: the largest magnitude of the combined images of all slices, before they are cropped."""


def read_knee(path: Path, *, group: str, task: int | None, crop: tuple[int, int], skip_slices: int) -> Volume:
    """Read what `path` holds. Raises BadInput naming file, key, what was expected and what was found.

    Where the maps lack the attribute max_combined, all slices are read and combined, to know the largest value of the truth.
    """
    with open_file(path) as file:
        kspace, maps = (complex_dataset(file, key, KSPACE_AXES) for key in ("kspace", MAPS_KEY))
        if kspace.shape != maps.shape:
            raise BadInput(
                f"{path}: key '{MAPS_KEY}': expected {kspace.shape} (slice, coil, y, x), as 'kspace' has, got {maps.shape}. "
                "Make the maps again (python -m data.convert espirit)."
            )
        slices, coils, height, width = kspace.shape
        if slices <= skip_slices:
            raise BadInput(f"{path}: key 'kspace' has {slices} slices, of which data.skip_slices leaves out {skip_slices}. Lower it.")
        return Volume(
            path=path,
            layout="knee",
            shape=(slices - skip_slices, coils, height, width),
            size=(min(crop[0], height), min(crop[1], width)),
            acquired=(0, width),
            maximum=_maximum(kspace, maps),
            fingerprint=fingerprint(kspace.shape, middle_rows(kspace)),
            acquisition=str(file.attrs.get("acquisition", "")),
            patient_id=str(file.attrs.get("patient_id", "")),
            first=skip_slices,
            group=group,
            task=task,
        )


def read_pixels(reader: SliceReader, volume: Volume, index: int) -> Pixels:
    """Read slice `index`. The truth is the fully sampled image, combined with the maps and cropped."""
    kspace, maps = (reader.read(volume.path, key, volume.first + index).astype(np.complex64, copy=False) for key in ("kspace", MAPS_KEY))
    image = center_crop(combined(kspace, maps), volume.size).contiguous()
    return Pixels(kspace=kspace, target=image.abs().numpy(), complex_target=image.numpy(), sens_maps=maps)


def combined(kspace: np.ndarray, maps: np.ndarray) -> Tensor:
    """Return the image sum conj(maps) F^H kspace. kspace, maps: (coil, y, x) complex64. Returns (y, x) complex."""
    return reduce(ifftc(torch.from_numpy(kspace)), torch.from_numpy(maps))


def _maximum(kspace: h5py.Dataset, maps: h5py.Dataset) -> float:
    if MAXIMUM_KEY in maps.attrs:
        maximum = float(maps.attrs[MAXIMUM_KEY])
    else:
        pairs = ((kspace[index].astype(np.complex64), maps[index].astype(np.complex64)) for index in range(kspace.shape[0]))
        maximum = float(np.max([combined(*pair).abs().max().item() for pair in pairs]))
    if not (np.isfinite(maximum) and maximum > 0):
        found = f"the largest value of the images that 'kspace' and '{MAPS_KEY}' give is {maximum}"
        raise BadInput(f"{kspace.file.filename}: {found}; it must be above 0. Remove the file from the split, or make it again.")
    return maximum
