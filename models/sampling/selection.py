"""Exactly so many points of k-space: the largest scores, ties broken evenly over the plane."""

from __future__ import annotations

import torch
from torch import Tensor

SPREAD = ((5**0.5 - 1) / 2, 2**0.5 - 1)
"""Steps along y and x of a Kronecker sequence: irrational, and so far from any fraction that its multiples are too, as tiles need."""


def spread_order(size: tuple[int, int]) -> Tensor:
    """Order the points of a plane such that the first n of them lie evenly over it, for every n. size: (y, x). Returns (y * x,) int64."""
    y, x = (torch.arange(length, dtype=torch.float64) for length in size)
    return torch.argsort(((y[:, None] * SPREAD[0] + x * SPREAD[1]) % 1).flatten())


def select(scores: Tensor, count: int, order: Tensor) -> Tensor:
    """Keep the `count` points with the largest scores, of equal scores those that come first in `order`.

    scores: (batch, y, x). order: (y * x,), each point once. Returns (batch, y, x) bool, `count` times True for each of the batch.
    """
    ranks = scores.flatten(1)[:, order].sort(dim=1, descending=True, stable=True).indices
    kept = torch.zeros_like(scores, dtype=torch.bool).flatten(1)
    return kept.scatter(1, order[ranks[:, :count]], True).reshape(scores.shape)


def repeat_tile(tile: Tensor, size: tuple[int, int]) -> Tensor:
    """Repeat a tile over a plane and cut it off at the edges. tile: (…, tile y, tile x). Returns (…, y, x) of `size`."""
    turns = [-(-length // own) for length, own in zip(size, tile.shape[-2:], strict=True)]
    return tile.repeat(*[1] * (tile.dim() - 2), *turns)[..., : size[0], : size[1]]
