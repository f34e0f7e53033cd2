"""How the losses of several tasks are weighed against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.training_config import WeightingConfig

FIRST_LOG_VARIANCE = -0.5


class TaskWeighting(nn.Module):
    """No weighting, and what all of them share: from the losses of a batch of one task to what the optimiser follows."""

    def forward(self, losses: Tensor, task: int) -> Tensor:
        """losses: (batch,), not weighted. Returns (batch,)."""
        return losses

    def end_epoch(self, losses: Sequence[float]) -> None:
        """Take note of the mean losses of the tasks in training, none of them weighted."""

    def weights(self) -> list[float]:
        """Return the factor of each task's loss now; none where there is nothing to tell."""
        return []


class NaiveWeighting(TaskWeighting):
    """The fewer slices a task has, the more each counts: w_t = T / (T - 1) * (N - N_t) / N, of mean 1 over the tasks."""

    def __init__(self, slices: Sequence[int]) -> None:
        super().__init__()
        self.factors = naive_factors(slices)

    def forward(self, losses: Tensor, task: int) -> Tensor:
        """See TaskWeighting."""
        return self.weights()[task] * losses

    def weights(self) -> list[float]:
        """See TaskWeighting."""
        return self.factors


class DynamicWeighting(NaiveWeighting):
    """Dynamic weight average (Liu et al. 2019, arXiv 1803.10704): tasks whose loss falls slowly count more.

    w_t = T exp(r_t / temperature) / sum over all tasks, r_t the mean loss of the epoch before by that of the one before it;
    the naive weights in the first two epochs.
    """

    def __init__(self, slices: Sequence[int], *, temperature: float) -> None:
        super().__init__(slices)
        self.temperature = temperature
        self.earlier: list[list[float]] = []

    def end_epoch(self, losses: Sequence[float]) -> None:
        """See TaskWeighting."""
        self.earlier = [*self.earlier[-1:], list(losses)]

    def weights(self) -> list[float]:
        """See TaskWeighting."""
        return dynamic_factors(self.earlier[0], self.earlier[1], self.temperature) if len(self.earlier) == 2 else self.factors

    def get_extra_state(self) -> list[list[float]]:
        """Return the losses of the last two epochs, for state_dict."""
        return self.earlier

    def set_extra_state(self, state: list[list[float]]) -> None:
        """Take them from a state_dict."""
        self.earlier = state


class UncertaintyWeighting(TaskWeighting):
    """Learned log-variances s_t (Kendall et al. 2018, arXiv 1705.07115): L / (2 exp(s_t)) + s_t / 2."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        # parameters of their own: a step of one task leaves the others, and their momentum, alone
        self.log_variances = nn.ParameterList(torch.full((), FIRST_LOG_VARIANCE) for _ in range(tasks))

    def forward(self, losses: Tensor, task: int) -> Tensor:
        """See TaskWeighting."""
        log_variance = self.log_variances[task]
        return losses / (2 * log_variance.exp()) + log_variance / 2

    def weights(self) -> list[float]:
        """See TaskWeighting."""
        return [math.exp(-value.item()) / 2 for value in self.log_variances]


def build_weighting(config: WeightingConfig, slices: Sequence[int]) -> TaskWeighting:
    """Return the weighting of a config. slices: how many training slices of each task an epoch visits."""
    match config.kind:
        case "naive":
            return NaiveWeighting(slices)
        case "uncertainty":
            return UncertaintyWeighting(len(slices))
        case "dwa":
            return DynamicWeighting(slices, temperature=config.temperature)
        case _:
            return TaskWeighting()


def naive_factors(slices: Sequence[int]) -> list[float]:
    """Return w_t = T / (T - 1) * (N - N_t) / N; 1 for a single task, and for each where all have as many slices."""
    tasks, total = len(slices), sum(slices)
    return [1.0] if tasks == 1 else [tasks * (total - count) / ((tasks - 1) * total) for count in slices]


def dynamic_factors(before: Sequence[float], last: Sequence[float], temperature: float) -> list[float]:
    """Return w_t = T softmax(r / temperature)_t with r_t = last_t / before_t; 1 where a loss was 0, or NaN for want of slices."""
    ratios = [now / then if then > 0 and not math.isnan(now) else 1.0 for then, now in zip(before, last, strict=True)]
    largest = max(ratios)
    powers = [math.exp((ratio - largest) / temperature) for ratio in ratios]
    return [len(powers) * power / sum(powers) for power in powers]
