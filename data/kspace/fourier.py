"""The project's one Fourier transform: centred, orthonormal, over any axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

IMAGE_AXES = (-2, -1)


def fftc(image: Tensor, axes: Sequence[int] = IMAGE_AXES) -> Tensor:
    """Transform images to k-space. image: (..., y, x) complex. Returns k-space of the same shape.

    The origin of both domains is element n // 2 of each axis, for odd n too. The transform is unitary
    (norm "ortho"), so `ifftc` is its inverse and its adjoint, and noise keeps its standard deviation.
    `axes` may name any axes, for volumes and time series.
    """
    return _centred(torch.fft.fftn, image, axes)


def ifftc(kspace: Tensor, axes: Sequence[int] = IMAGE_AXES) -> Tensor:
    """Transform k-space to images: the inverse and adjoint of `fftc`. kspace: (..., y, x) complex."""
    return _centred(torch.fft.ifftn, kspace, axes)


def _centred(transform: Callable[..., Tensor], values: Tensor, axes: Sequence[int]) -> Tensor:
    if not values.is_complex():
        raise TypeError(f"expected a complex tensor (..., y, x), got {values.dtype} {tuple(values.shape)}; use torch.view_as_complex first")
    shifted = torch.fft.ifftshift(values, dim=tuple(axes))
    return torch.fft.fftshift(transform(shifted, dim=tuple(axes), norm="ortho"), dim=tuple(axes))
