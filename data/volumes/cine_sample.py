"""Cine series as samples for a network."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class CineSample(NamedTuple):
    """One series of magnitude images, or a batch of them when the axes in front are stacked."""

    image: Tensor
    """(batch, frame, y, x) float32: reconstructed from too little data, with its artefacts."""
    target: Tensor
    """(batch, frame, y, x) float32: the truth."""
    maximum: Tensor
    """(batch,) float32: the data range."""
    volume: Tensor
    """(batch,) int64: index of the series in its split."""

    def to(self, device: torch.device) -> CineSample:
        """Return the sample on `device`."""
        return CineSample(*(values.to(device, non_blocking=True) for values in self))

    @property
    def size(self) -> tuple[int, int]:
        """(y, x) that a reconstruction of this sample has."""
        return (self.target.shape[-2], self.target.shape[-1])
