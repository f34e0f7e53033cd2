"""Samplers that learn nothing: by chance, by the order of columns, by what the reconstruction predicts, by the truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor

from models.sequential.agent import best_free, draw_free
from models.sequential.config import EvaluatorFreePolicy, GreedyPolicy, LowToHighPolicy, RandomPolicy
from models.sequential.environment import ColumnEnvironment, Observation

Policy = Callable[[ColumnEnvironment], Tensor]
"""Returns the column that each episode acquires next, (batch,) int64; the oracle alone looks at more than the observation."""
Fixed = RandomPolicy | LowToHighPolicy | EvaluatorFreePolicy | GreedyPolicy


def build_policy(config: Fixed, seed: int) -> Policy:
    """Return the sampler of a config."""
    match config:
        case RandomPolicy():
            return partial(random, generator=Generator().manual_seed(seed))
        case LowToHighPolicy():
            return seeing(low_to_high)
        case EvaluatorFreePolicy():
            return seeing(most_energy)
        case GreedyPolicy():
            return greedy


def seeing(choose: Callable[[Observation], Tensor]) -> Policy:
    """Return a sampler that looks at the observation alone."""
    return lambda environment: choose(environment.outcome.observation)


def random(environment: ColumnEnvironment, *, generator: Generator) -> Tensor:
    """Return any free column, each as likely."""
    return draw_free(environment.outcome.observation.mask, generator)


def low_to_high(observation: Observation) -> Tensor:
    """Return the free column next to the centre; of two as near the one to the left."""
    return best_free(-distance(observation.mask.shape[1]).to(observation.mask.device).expand(observation.mask.shape), observation.mask)


def distance(width: int) -> Tensor:
    """Return how far each column is from the centre, width // 2; those to the left count as a little nearer. Returns (x,)."""
    offset = torch.arange(width) - width // 2
    return offset.abs() + 0.5 * (offset > 0)


def most_energy(observation: Observation) -> Tensor:
    """Return the free column in which the reconstruction predicts the most energy."""
    return best_free(observation.kspace.abs().square().sum(dim=(1, 2)), observation.mask)


def greedy(environment: ColumnEnvironment) -> Tensor:
    """Return the free column after which the error is smallest: every one is tried, with the truth at hand."""
    mask = environment.outcome.observation.mask
    errors = [_error_with(environment, mask, column) for column in range(mask.shape[1])]
    return torch.stack(errors, dim=1).argmin(dim=1)


def _error_with(environment: ColumnEnvironment, mask: Tensor, column: int) -> Tensor:
    """Return the error after a column, infinite where it is acquired already."""
    taken = mask[:, column]
    if taken.all():
        return torch.full(taken.shape, math.inf, device=mask.device)
    return environment.error_with(torch.full(taken.shape, column, device=mask.device)).masked_fill(taken, math.inf)
