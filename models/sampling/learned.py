"""A mask that is learned: a probability for each point of a tile, of which the most probable points within the budget are sampled."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from data.errors import BadInput
from data.kspace.budget import refuse_excess
from data.kspace.calibration import calibration_points
from data.kspace.description import MaskDescription
from models.sampling.selection import repeat_tile, select, spread_order


class LearnedMask(nn.Module):
    """Samples round(points / acceleration) points, in training and in evaluation alike: those of the calibration region, then the best.

    p = sigmoid(logits) is one probability for each point of the tile. Evaluation samples the most probable points. Training adds
    noise to p, anew for each sample, or with rounding bernoulli draws the points: of all the clearest successes are kept, by
    logit + logistic noise, so that the budget holds. The mask is 0 or 1; backwards it counts as p wherever it is 1 outside of
    the calibration region, and as a constant elsewhere (straight through, Bengio 2013, arXiv 1308.3432).
    """

    def __init__(self, description: MaskDescription) -> None:
        super().__init__()
        self.description = description
        bound = 1 / math.sqrt(math.prod(description.tile))
        self.logits = nn.Parameter(torch.empty(description.tile).uniform_(-bound, bound))
        self.noise_std = description.noise_std
        self._plans: dict[tuple[int, int], tuple[Tensor, Tensor, int]] = {}

    def begin_epoch(self, epoch: int) -> None:
        """Let the noise fall to what it is in an epoch, counted from 1."""
        self.noise_std = noise_of(self.description, epoch)

    def forward(self, batch: int, size: tuple[int, int]) -> Tensor:
        """Return masks of a batch for k-space of `size` (y, x). Returns (batch, y, x) of 0 and 1; in evaluation all are the same."""
        order, calibration, count = self._plan(size)
        scores = repeat_tile(self._scores(batch), size).masked_fill(calibration, math.inf)
        kept = select(scores, count, order).expand(batch, -1, -1)
        probability = repeat_tile(torch.sigmoid(self.logits), size)
        return kept + (probability - probability.detach()) * (kept & ~calibration)

    @torch.no_grad()
    def _scores(self, batch: int) -> Tensor:
        """Return what the points of the tile are ranked by, (batch, tile y, tile x); in evaluation (1, tile y, tile x), ranked once."""
        each = (batch, *self.logits.shape)
        if not self.training:
            return self.logits[None]
        if self.description.rounding == "bernoulli":
            uniform = torch.rand(each, device=self.logits.device)
            return self.logits + torch.logit(uniform, eps=torch.finfo(uniform.dtype).tiny)
        return torch.sigmoid(self.logits) + self.noise_std * torch.randn(each, device=self.logits.device)

    def _plan(self, size: tuple[int, int]) -> tuple[Tensor, Tensor, int]:
        """Return the order that breaks ties, the calibration region (y, x) and the number of points, counted once for each size."""
        if size not in self._plans or self._plans[size][0].device != self.logits.device:
            calibration, count = budget_of(self.description, size)
            device = self.logits.device
            self._plans[size] = (spread_order(size).to(device), calibration.to(device), count)
        return self._plans[size]


def budget_of(description: MaskDescription, size: tuple[int, int]) -> tuple[Tensor, int]:
    """Return the calibration region (y, x) bool of k-space of `size`, and how many points are sampled in all, those of it included.

    Raises BadInput where the region alone exceeds the budget, and where the tile is neither as large as k-space nor fits in twice.
    """
    for axis, own, length in zip(("rows", "columns"), description.tile, size, strict=True):
        if own != length and 2 * own > length:
            raise BadInput(
                f"mask.tile is {description.tile}, k-space is {size} (y, x): {own} {axis} are neither all {length} nor repeated. "
                f"Set mask.tile to [{size[0]}, {size[1]}] for all of k-space, or to a small pattern, such as [4, 4]."
            )
    calibration = torch.from_numpy(calibration_points(size, description.calibration, description.center_fraction))
    key = f"calibration {description.calibration}, center_fraction {description.center_fraction:g}"
    refuse_excess("points", int(calibration.sum()), math.prod(size), description.acceleration, key=key)
    return calibration, round(math.prod(size) / description.acceleration)


def noise_of(description: MaskDescription, epoch: int) -> float:
    """Return the standard deviation of the noise in an epoch, counted from 1: end + (start - end) exp(-(epoch - 1) / noise_epochs)."""
    start, end = description.noise_std, description.noise_end
    return start if end is None else end + (start - end) * math.exp((1 - epoch) / description.noise_epochs)
