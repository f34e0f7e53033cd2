"""Training across sites that share no data: the entry `models.federated:train` of a grid file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.training.context import Run


def train(config: Mapping[str, Any], run: Run) -> dict[str, float]:
    """Train, validate and test one configuration (models/federated/config.py: FederatedConfig). Returns the test metrics, of each site too.

    run: what a training run needs of its surroundings (models/training/context.py).
    Raises BadInput (wrong config or data), Diverged (NaN or Inf), run.Interrupted (stopped, after a checkpoint).
    """
    from models.federated.session import train_config  # torch comes with it: a login node looks this function up without paying for that

    return train_config(config, run)
