"""Coil sensitivities estimated by a network from the fully sampled centre of k-space."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data.kspace.fourier import ifftc
from models.norm_unet import NormUnet
from models.recompute import run

SMALLEST_NORM = 1e-12
"""Where all coils together are below this, the maps are left small instead of being divided by zero."""


class SensitivityNet(nn.Module):
    """Sensitivity maps from the calibration region, the same network for each coil (Sriram et al. 2020, arXiv 2004.06688, section 3)."""

    def __init__(self, *, chans: int = 8, pools: int = 4) -> None:
        super().__init__()
        self.norm_unet = NormUnet(chans=chans, pools=pools)

    def forward(self, kspace: Tensor, mask: Tensor, *, recompute: bool = False) -> Tensor:
        """Estimate maps. kspace: (batch, coil, y, x) complex, mask: (batch, y or 1, x) bool.

        Returns (batch, coil, y, x) complex with sum over coils |S|^2 = 1. With `recompute`, one coil is computed at a time.
        """
        coil_images = ifftc(torch.where(calibration_region(mask), kspace, 0))
        coils = coil_images.flatten(0, 1)
        chunks = coils.split(1) if recompute else [coils]
        estimated = torch.cat([run(self.norm_unet, chunk, recompute=recompute) for chunk in chunks])
        return normalise_maps(estimated.view_as(coil_images))


def normalise_maps(maps: Tensor) -> Tensor:
    """Divide maps by the root of their sum of squares. maps: (batch, coil, y, x) complex. Returns the same shape."""
    return maps / torch.linalg.vector_norm(maps, dim=1, keepdim=True).clamp_min(SMALLEST_NORM)


def calibration_region(mask: Tensor) -> Tensor:
    """Return which points belong to the fully sampled centre. mask: (batch, 1, x) of columns or (batch, y, x) of points, bool.

    Returns (batch, 1, 1 or y, x) bool: a band of columns, or the rectangle as wide as the sampled run through the centre
    along x and as high as that along y. At least the centre itself, sampled or not.
    """
    rows, columns = central_run(mask[:, :, mask.shape[2] // 2]), central_run(mask[:, mask.shape[1] // 2, :])
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def central_run(line: Tensor) -> Tensor:
    """Return the places around the centre that are sampled without a gap: all, or an even number of them, or the centre alone.

    line: (batch, length) bool. Returns (batch, length) bool. The same places as in the fastMRI package, where not all are sampled.
    """
    length = line.shape[1]
    middle = length // 2
    left = line[:, :middle].flip(1).cumprod(1).sum(1)
    right = line[:, middle:].cumprod(1).sum(1)
    count = torch.where(line.all(1), length, (2 * torch.minimum(left, right)).clamp_min(1))
    start = (length - count + 1) // 2
    places = torch.arange(length, device=line.device)
    return (places >= start[:, None]) & (places < (start + count)[:, None])
