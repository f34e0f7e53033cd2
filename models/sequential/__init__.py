"""Sampling of k-space column by column, on a frozen network: the entry `models.sequential:train` of a grid file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.training.context import Run


def train(config: Mapping[str, Any], run: Run) -> dict[str, float]:
    """Train a sampler, or measure one that learns nothing (models/sequential/config.py: SequentialConfig). Returns the test metrics.

    run: what a training run needs of its surroundings (models/training/context.py).
    Raises BadInput (wrong config or data), Diverged (NaN or Inf), run.Interrupted (stopped, after a checkpoint).
    """
    from models.sequential.session import train_config  # torch comes with it: a login node looks this function up without paying for that

    return train_config(config, run)
