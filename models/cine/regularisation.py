"""What follows a convolution of a cine network, and what its kernels add to the loss."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from models.cine.dropblock import DropBlock
from models.regularisation_config import BatchNorm, DropBlocks, Dropout, InstanceNorm, Regularisation

Kernel = tuple[int, int, int]
"""Lengths of a convolution along frame, y and x; 1 along the axes that it does not see."""
SMALLEST_STD = 1e-3
"""Added to the standard deviation, as in the published networks."""


class SeenAxesNorm(nn.Module):
    """Instance normalisation over the axes that a convolution sees, with a learned scale and shift a channel (Ulyanov et al. 2016).

    A convolution over frames alone normalises each pixel along time, one over planes each plane.
    """

    def __init__(self, chans: int, kernel: Kernel) -> None:
        super().__init__()
        self.axes = tuple(axis for axis, length in enumerate(kernel, start=2) if length > 1)
        self.scale = nn.Parameter(torch.ones(chans))
        self.shift = nn.Parameter(torch.zeros(chans))

    def forward(self, image: Tensor) -> Tensor:
        """image: (batch, channel, frame, y, x). Returns the same shape."""
        mean = image.mean(dim=self.axes, keepdim=True)
        std = image.std(dim=self.axes, correction=0, keepdim=True) + SMALLEST_STD
        return (image - mean) / std * self.scale[:, None, None, None] + self.shift[:, None, None, None]


def layer_after(chans: int, kernel: Kernel, regularisation: Regularisation) -> nn.Module:
    """Make the layer that regularises what a convolution with this kernel returns; one that changes nothing where there is none.

    DropBlock passes over convolutions along time alone, as the published networks do.
    """
    match regularisation:
        case BatchNorm():
            return nn.BatchNorm3d(chans, eps=1e-3, momentum=0.01)
        case InstanceNorm():
            return SeenAxesNorm(chans, kernel)
        case Dropout(drop_prob=drop_prob):
            return nn.Dropout(drop_prob)
        case DropBlocks(keep_prob=keep_prob, block_size=block_size) if sum(length > 1 for length in kernel) > 1:
            return DropBlock(keep_prob=keep_prob, block_size=block_size, axes=(kernel[0] > 1, kernel[1] > 1, kernel[2] > 1))
        case _:
            return nn.Identity()


def kernel_penalty(parameters: Iterable[Tensor], *, l1: float = 0.0, l2: float = 0.0) -> Tensor:
    """Return l1 * sum |w| + l2 * sum w^2 over all convolution kernels, a scalar; biases and scales are left alone."""
    kernels = [weights for weights in parameters if weights.dim() > 2]
    return sum((l1 * weights.abs().sum() + l2 * weights.square().sum() for weights in kernels), torch.zeros(()))
