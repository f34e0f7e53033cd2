"""How close a reconstruction is to the truth: errors, PSNR and SSIM of whole volumes and of slices."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from data.errors import BadInput

WINDOW = 7
K1, K2 = 0.01, 0.03


class Quality(NamedTuple):
    """The metrics of one volume, or of one slice of it; the data range is that of the volume in both."""

    mse: float
    """Mean of (x - x0)^2 over the pixels, in the squared unit of the images; 0 is perfect."""
    nmse: float
    """|x - x0|^2 / |x0|^2; 0 is perfect. NaN where there is nothing but zeros in the truth."""
    nrmse: float
    """The root of it."""
    psnr: float
    """Peak signal-to-noise ratio [dB], the peak being the data range."""
    ssim: float
    """Structural similarity, of a volume the mean over its slices; 1 is perfect."""


def volume_quality(image: Tensor, target: Tensor, data_range: Tensor | None = None) -> Quality:
    """Compare a volume with the truth. image, target: (slice, y, x). Computed in float64.

    data_range: a scalar; None: the largest value of `target`, as fastMRI's metrics do. That is the volume as it is measured: where
    images are cropped or slices are left out, it may lie below Volume.maximum, the data range of losses.
    """
    image, target = image.double(), target.double()
    peak = target.max() if data_range is None else data_range.double()
    error = (image - target).square()
    mse, nmse = error.mean(), float(error.sum() / target.square().sum())
    return Quality(
        mse=float(mse),
        nmse=nmse,
        nrmse=nmse**0.5,
        psnr=float(10 * torch.log10(peak.square() / mse)),
        ssim=float(ssim(image, target, peak.expand(len(target))).mean()),
    )


def slice_qualities(image: Tensor, target: Tensor, data_range: Tensor | None = None) -> list[Quality]:
    """Compare each slice with the truth. image, target: (slice, y, x) of one volume, whose data range all slices share."""
    peak = target.double().max() if data_range is None else data_range
    return [volume_quality(x[None], x0[None], peak) for x, x0 in zip(image, target, strict=True)]


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
