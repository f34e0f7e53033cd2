"""The naive way to sample in steps: one mask of columns, of which each step acquires a further part, whatever the image shows."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from data.errors import BadInput
from data.kspace.calibration import center_columns
from data.kspace.masks import draw_mask, rng_of_name
from models.sequential.config import NestedPolicy, SequentialConfig
from models.sequential.policies import distance
from models.training.context import Run
from models.training.initial import read_initial

Rank = Callable[[str], Tensor]
"""Name of a volume → its columns in the order in which they are acquired, (x,) int64."""


def budgets(total: int, steps: int) -> list[int]:
    """Return how many columns are acquired after each step, at least one: round(total * i / steps) for i from 1 to steps."""
    return [max(round(total * step / steps), 1) for step in range(1, steps + 1)]


def nested_masks(rank: Tensor, counts: list[int]) -> list[Tensor]:
    """Return masks of so many columns, each within the next. rank: (x,) int64, the first column first. Each is (x,) bool."""
    return [torch.zeros(len(rank), dtype=torch.bool).scatter(0, rank[:count], True) for count in counts]


def rank_of(config: SequentialConfig, policy: NestedPolicy, width: int, run: Run) -> Rank:
    """Return the order of columns of the mask that a config names. Raises BadInput where it does not fit k-space of `width` columns."""
    total = config.acquisition.total
    if policy.mask:
        learned = learned_rank(policy.mask, width, run)
        return lambda volume: learned
    return lambda volume: fixed_rank(policy.columns, total, width, volume)


def learned_rank(named: str, width: int, run: Run) -> Tensor:
    """Return the columns of a learned mask: those of its calibration region from the centre on, then the most probable first.

    Of points the mean over rows counts. Returns (x,) int64.
    """
    initial = read_initial(named, run, key="policy.mask")
    logits = initial.weights.get("sampling.logits")
    if logits is None:
        raise BadInput(f"{initial.path}: holds no learned mask. policy.mask takes a {initial.path.name} of a run with mask.kind: learned.")
    if logits.shape[1] != width:
        tile = tuple(logits.shape)
        raise BadInput(f"{initial.path}: its mask was learned on a tile of {tile} (y, x), k-space has {width} columns. Choose another one.")
    mask, outwards = initial.config.mask, distance(width).argsort()
    certain = center_columns(width, 0.0 if mask.calibration == "none" else mask.center_fraction)
    worth = logits.mean(dim=0).masked_fill(torch.from_numpy(certain), math.inf)
    return outwards[worth[outwards].argsort(descending=True, stable=True)]


def fixed_rank(kind: str, total: int, width: int, volume: str) -> Tensor:
    """Return the columns of a mask of `total` of them, drawn for a volume, those next to the centre first; then all others.

    Where the kind cannot give this very number, those farthest from the centre are left out, or the nearest of the others join.
    """
    drawn = draw_mask(kind, width, center_fraction=0.0, acceleration=width / total, rng=rng_of_name(volume))
    return (distance(width) + width * ~torch.from_numpy(drawn.columns)).argsort(stable=True)
