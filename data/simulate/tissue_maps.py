"""Maps of the probability of tissues from a NIfTI file, such as SPM's TPM.nii."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from data.errors import BadInput
from data.simulate.options import MaskBrainSpec

TISSUE_COUNT = 6


def read_tissue_maps(spec: MaskBrainSpec) -> NDArray[np.float64]:
    """Read the slices that `spec` asks for. Returns (slice, y, x, tissue). Raises BadInput for what are no maps of that size."""
    path = Path(spec.tissue_maps)
    values = _loaded(path)
    last = spec.first_slice + spec.slices
    if values.ndim != 4 or values.shape[3] != TISSUE_COUNT:
        raise BadInput(f"{path}: expected (y, x, slice, tissue) with {TISSUE_COUNT} tissues, got {values.shape}. Take SPM's TPM.nii.")
    if values.shape[:2] != spec.size:
        asked, found = (f"{y}x{x}" for y, x in (spec.size, values.shape[:2]))
        raise BadInput(f"{path}: its maps are of {found}, --size asks for {asked}. Set --size {found}.")
    if values.shape[2] < last:
        raise BadInput(f"{path}: has {values.shape[2]} slices, {spec.first_slice} to {last - 1} were asked. Lower --first-slice, --slices.")
    maps = np.moveaxis(values[:, :, spec.first_slice : last].astype(np.float64), 2, 0)
    if not (np.isfinite(maps).all() and maps.min() >= 0 and maps.max() > 0):
        raise BadInput(f"{path}: holds NaN, Inf or negative numbers; probabilities are expected. Take SPM's TPM.nii.")
    return np.ascontiguousarray(maps)


def _loaded(path: Path) -> NDArray[np.float32]:
    try:
        image = nibabel.load(path)
        return np.asarray(image.dataobj if isinstance(image, SpatialImage) else (), dtype=np.float32)
    except (ImageFileError, OSError, EOFError, ValueError, TypeError) as error:
        raise BadInput(f"{path}: cannot be read as NIfTI ({error}). Copy it again from its source.") from error
