"""From one image to what each coil sees, and back."""

from __future__ import annotations

import torch
from torch import Tensor


def expand(image: Tensor, sens_maps: Tensor) -> Tensor:
    """Multiply an image with the sensitivities. image: (..., y, x), sens_maps: (..., coil, y, x) complex. Returns (..., coil, y, x)."""
    return image.unsqueeze(-3) * sens_maps


def reduce(coil_images: Tensor, sens_maps: Tensor) -> Tensor:
    """Combine coil images with the sensitivities (SENSE, Pruessmann 1999). Both: (..., coil, y, x) complex. Returns (..., y, x).

    The adjoint of `expand`; its inverse only where the maps are normalised, so that sum |sens_maps|^2 = 1.
    """
    return (coil_images * sens_maps.conj()).sum(dim=-3)


def rss(coil_images: Tensor) -> Tensor:
    """Combine coil images by the root of the sum of squares. coil_images: (..., coil, y, x). Returns (..., y, x) real.

    The gradient is NaN where all coils are exactly zero; do not put this behind a trainable layer as it is.
    """
    power = coil_images.real.square() + coil_images.imag.square() if coil_images.is_complex() else coil_images.square()
    return torch.sqrt(power.sum(dim=-3))
