"""DropBlock: dropout of connected regions."""

from __future__ import annotations

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DropBlock(nn.Module):
    """Set blocks of each channel to zero in training and scale up the rest (Ghiasi et al. 2018, arXiv 1810.12890).

    Blocks have `block_size` points along each axis that is named in `axes` (of frame, y, x) and one along the others, so that
    planes are treated one by one. An axis that is shorter than a block is dropped along its whole length.
    """

    def __init__(self, *, keep_prob: float, block_size: int, axes: tuple[bool, bool, bool] = (True, True, True)) -> None:
        super().__init__()
        self.keep_prob = keep_prob
        """Expected part of the points that is kept; may be changed at any time."""
        self.block = tuple(block_size if axis else 1 for axis in axes)

    def forward(self, image: Tensor) -> Tensor:
        """image: (batch, channel, frame, y, x). Returns the same shape."""
        if not self.training or self.keep_prob == 1:
            return image
        kept = self._draw(image)
        return image * kept * (kept.numel() / kept.sum().clamp_min(1))

    def _draw(self, image: Tensor) -> Tensor:
        """Return 1 where a point is kept and 0 in the blocks, of the shape of `image`."""
        sizes = image.shape[2:]
        block = [min(length, size) for length, size in zip(self.block, sizes, strict=True)]
        places = [size - length + 1 for length, size in zip(block, sizes, strict=True)]
        corners = torch.rand(*image.shape[:2], *places, device=image.device) < self._rate(sizes, block)
        # a point is dropped when a block begins at most a block's length before it
        padding = [amount for length in reversed(block) for amount in (length - 1, length - 1)]
        return 1 - F.max_pool3d(F.pad(corners.to(image.dtype), padding), kernel_size=block, stride=1)

    def _rate(self, sizes: torch.Size, block: list[int]) -> float:
        """Return gamma of the paper: how often a block begins at a place, for 1 - keep_prob of the points to be dropped, overlaps apart."""
        places = prod(size - length + 1 for length, size in zip(block, sizes, strict=True))
        return (1 - self.keep_prob) * prod(sizes) / prod(block) / places


def ramped(keep_prob: float, *, epoch: int, ramp_epochs: int) -> float:
    """Return the keep probability of an epoch, counted from 1: 1 in the first, `keep_prob` after `ramp_epochs`, a straight line between."""
    return 1 - (1 - keep_prob) * min((epoch - 1) / ramp_epochs, 1) if ramp_epochs else keep_prob
