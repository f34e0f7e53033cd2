"""How close a reconstruction is to the truth: NMSE, PSNR and SSIM of whole volumes."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from data.errors import BadInput

WINDOW = 7
K1, K2 = 0.01, 0.03


class Quality(NamedTuple):
    """The three metrics of fastMRI."""

    nmse: float
    """|x - x0|^2 / |x0|^2 over the volume; 0 is perfect."""
    psnr: float
    """Peak signal-to-noise ratio over the volume [dB]; the peak is the largest value of the true volume."""
    ssim: float
    """Mean over slices of the structural similarity; 1 is perfect."""


def volume_quality(image: Tensor, target: Tensor) -> Quality:
    """Compare a volume with the truth. image, target: (slice, y, x). Computed in float64; the data range is the largest true value."""
    image, target = image.double(), target.double()
    data_range = target.max()
    error = (image - target).square()
    return Quality(
        nmse=float(error.sum() / target.square().sum()),
        psnr=float(10 * torch.log10(data_range.square() / error.mean())),
        ssim=float(ssim(image, target, data_range.expand(len(target))).mean()),
    )


def ssim(image: Tensor, target: Tensor, data_range: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004) of each image. image, target: (batch, y, x), data_range: (batch,). Returns (batch,).

    Uniform 7x7 windows that lie inside the image, sample covariance, k1 = 0.01, k2 = 0.03: the values of
    skimage.metrics.structural_similarity and of fastMRI. Differentiable.
    """
    if min(image.shape[-2:]) < WINDOW or image.shape != target.shape:
        shapes = f"{tuple(image.shape)} and {tuple(target.shape)}"
        raise BadInput(f"ssim: expected two (batch, y, x) of one shape, y and x at least {WINDOW}, got {shapes}. Use larger images.")
    c1, c2 = ((k * data_range[:, None, None]).square() for k in (K1, K2))
    mean_x, mean_y = _window_mean(image), _window_mean(target)
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    var_x = unbiased * (_window_mean(image * image) - mean_x * mean_x)
    var_y = unbiased * (_window_mean(target * target) - mean_y * mean_y)
    covariance = unbiased * (_window_mean(image * target) - mean_x * mean_y)
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return (similarity / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean(dim=(-2, -1))


def _window_mean(image: Tensor) -> Tensor:
    return F.avg_pool2d(image.unsqueeze(1), kernel_size=WINDOW, stride=1).squeeze(1)
