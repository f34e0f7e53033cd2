"""U-Nets on complex images of any scale and size: normalised before, undone after."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.unet import Unet, normalise_instance

SIZE_MULTIPLE = 16
"""Images are padded with zeros to a multiple of this, so that four poolings lose no pixel."""


class NormUnet(nn.Module):
    """A U-Net on normalised complex images, the regulariser of the VarNets (Sriram et al. 2020, arXiv 2004.06688)."""

    def __init__(self, *, chans: int = 18, pools: int = 4, drop_prob: float = 0.0) -> None:
        super().__init__()
        self.unet = Unet(in_chans=2, out_chans=2, chans=chans, pools=pools, drop_prob=drop_prob)

    def forward(self, image: Tensor) -> Tensor:
        """image: (batch, y, x) complex. Returns the same shape."""
        return apply_normalised(self.unet, image)


def apply_normalised(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """Apply a real network with two channels to complex images, each shifted and scaled to mean 0 and standard deviation 1.

    image: (batch, y, x) complex. network: (batch, 2, y, x) → the same shape, real and imaginary part; it sees zero-padded images.
    Returns (batch, y, x) complex, in the units of `image`: a * image gives a times as much for any a > 0.
    """
    parts = torch.view_as_real(image).permute(0, 3, 1, 2)
    normalised, mean, std = normalise_instance(parts)
    rows, columns = (_padding(length) for length in image.shape[-2:])
    output = network(F.pad(normalised, (*columns, *rows))).to(parts.dtype)
    cut = output[..., rows[0] : rows[0] + image.shape[-2], columns[0] : columns[0] + image.shape[-1]]
    return torch.view_as_complex((cut * std + mean).permute(0, 2, 3, 1).contiguous())


def _padding(length: int) -> tuple[int, int]:
    """Return how many zeros come before and after an axis."""
    missing = -length % SIZE_MULTIPLE
    return missing // 2, missing - missing // 2
