"""k-space that is acquired column by column; after each column a frozen network reconstructs, and its error says what it was worth."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from data.errors import BadInput
from data.kspace.calibration import center_columns
from data.kspace.fourier import fftc
from data.volumes.loading import Sample
from models.network import Network
from models.sequential.config import AcquisitionConfig


class Observation(NamedTuple):
    """What a sampler sees."""

    kspace: Tensor
    """(batch, coil, y, x) complex: what the frozen network makes of the acquired columns; of one coil where it predicts images alone."""
    mask: Tensor
    """(batch, x) bool: the acquired columns."""


class Outcome(NamedTuple):
    """What a reconstruction is, and how far from the truth."""

    observation: Observation
    image: Tensor
    """(batch, y, x)."""
    error: Tensor
    """(batch,): |x - x0|^2 / |x0|^2, NMSE of each slice."""


class Step(NamedTuple):
    """What follows from a choice."""

    observation: Observation
    reward: Tensor
    """(batch,): by how much the error has fallen."""
    done: bool
    """The budget is spent."""


class ColumnEnvironment:
    """Episodes side by side, one a slice. All have acquired the same number of columns at any time."""

    def __init__(self, network: Network, acquisition: AcquisitionConfig) -> None:
        """network: the frozen one, which is never changed here."""
        self.acquisition = acquisition
        self._network = network.eval()
        self._sample: Sample
        self.outcome: Outcome

    def reset(self, sample: Sample) -> Observation:
        """Begin episodes with the centre alone. sample: fully sampled slices. Raises BadInput where there are too few columns."""
        self._sample = sample
        self.outcome = self.reconstruct(sample, self.first_mask(sample))
        return self.outcome.observation

    def first_mask(self, sample: Sample) -> Tensor:
        """Return the columns that are there from the beginning, (batch, x) bool."""
        batch, *_, width = sample.kspace.shape
        start, total = self.acquisition.start, self.acquisition.total
        if total > width:
            raise BadInput(
                f"acquisition: start {start} and budget {self.acquisition.budget} are {total} columns, k-space has {width}. Lower one."
            )
        return torch.from_numpy(center_columns(width, start / width)).to(sample.kspace.device).repeat(batch, 1)

    def step(self, columns: Tensor) -> Step:
        """Acquire one more column in each episode. columns: (batch,) int64, none of them acquired before."""
        mask = self.outcome.observation.mask
        if mask.gather(1, columns[:, None]).any() or self.is_done:
            raise ValueError(f"columns {columns.tolist()}: acquired already, or the budget is spent")
        before, self.outcome = self.outcome.error, self.reconstruct(self._sample, with_columns(mask, columns))
        return Step(self.outcome.observation, before - self.outcome.error, self.is_done)

    @property
    def is_done(self) -> bool:
        """Say whether the budget is spent."""
        return int(self.outcome.observation.mask[0].sum()) >= self.acquisition.total

    @torch.no_grad()
    def reconstruct(self, sample: Sample, mask: Tensor) -> Outcome:
        """Return what the network makes of some columns of fully sampled slices. mask: (batch, x) bool."""
        acquired = sample._replace(
            kspace=sample.kspace * mask[:, None, None], mask=mask[:, None], sampled_fraction=mask.float().mean(dim=1)
        )
        found = self._network(acquired)
        kspace = fftc(found.image.to(sample.kspace.dtype))[:, None] if found.kspace is None else found.kspace
        return Outcome(Observation(kspace, mask), found.image, nmse(found.image, sample.target))

    def error_with(self, columns: Tensor) -> Tensor:
        """Return what the error would be with one more column, for an oracle that may know it. columns: (batch,). Returns (batch,)."""
        return self.reconstruct(self._sample, with_columns(self.outcome.observation.mask, columns)).error


def with_columns(mask: Tensor, columns: Tensor) -> Tensor:
    """Add a column to each mask. mask: (batch, x) bool, columns: (batch,) int64. Returns (batch, x) bool."""
    return mask.scatter(1, columns[:, None], True)


def nmse(image: Tensor, target: Tensor) -> Tensor:
    """Return |x - x0|^2 / |x0|^2 of each slice; 0 where the truth is nothing but zeros: nothing is gained there. Both: (batch, y, x)."""
    error, power = (image - target).square().sum(dim=(-2, -1)), target.square().sum(dim=(-2, -1))
    return torch.where(power > 0, error / power, 0.0)
