"""A running mean of the weights, which often generalises better than the last ones (Polyak and Juditsky 1992)."""

from __future__ import annotations

import copy
from typing import Any

import torch

from models.network import Network


class RunningMean:
    """A second network whose weights follow those of the first: w' = d w' + (1 - d) w after every step.

    In the first steps d is (1 + n) / (10 + n), so that the first weights are soon forgotten. Buffers are copied.
    """

    def __init__(self, model: Network, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._decay = decay
        self._steps = 0

    @torch.no_grad()
    def follow(self, model: Network) -> None:
        """Take in the weights after a step."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        for mean, weights in zip(self.model.parameters(), model.parameters(), strict=True):
            mean.lerp_(weights, 1 - decay)
        for ours, values in zip(self.model.buffers(), model.buffers(), strict=True):
            ours.copy_(values)

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {"model": self.model.state_dict(), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self.model.load_state_dict(state["model"])
        self._steps = state["steps"]
