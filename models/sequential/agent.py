"""A double deep Q-network that learns which column to acquire next (van Hasselt et al. 2016, arXiv 1509.06461)."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from models.sequential.config import DqnPolicy
from models.sequential.environment import Observation


class QNetwork(nn.Module):
    """Predicts what each column is worth: two convolutions that halve y, means over y, and two linear layers that join all columns."""

    def __init__(self, coils: int, columns: int, *, chans: int, hidden: int) -> None:
        super().__init__()
        first, second = (nn.Conv2d(inputs, chans, 5, stride=(2, 1), padding=2) for inputs in (2 * coils + 1, chans))
        self.convolutions = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        self.layers = nn.Sequential(nn.Linear(chans * columns, hidden), nn.ReLU(), nn.Linear(hidden, columns))

    def forward(self, observation: Observation) -> Tensor:
        """Return (batch, x): what is gained in all from each column on."""
        features: Tensor = self.convolutions(as_channels(observation)).mean(dim=-2)
        values: Tensor = self.layers(features.flatten(1))
        return values


def as_channels(observation: Observation) -> Tensor:
    """Return real and imaginary parts of k-space, compressed so that its edge counts too, and the mask. Returns (batch, channel, y, x).

    A part p becomes asinh(p / s), s the root mean square of the slice.
    """
    kspace, mask = observation
    scale = kspace.abs().square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(torch.finfo(torch.float32).tiny)
    parts = torch.asinh(torch.cat((kspace.real, kspace.imag), dim=1) / scale)
    return torch.cat((parts, mask[:, None, None].expand(-1, -1, parts.shape[-2], -1).to(parts.dtype)), dim=1)


def epsilon(config: DqnPolicy, step: int) -> float:
    """Return which part of the columns is chosen at random at a step of the environment, counted from 0."""
    return config.epsilon_end + (config.epsilon_start - config.epsilon_end) * math.exp(-step / config.epsilon_steps)


class DoubleDqn:
    """A Q-network that learns, and a target network behind it: the first one chooses, the second one says what the choice is worth."""

    def __init__(self, config: DqnPolicy, *, coils: int, columns: int, device: torch.device) -> None:
        self.config = config
        self.network, self.target = (QNetwork(coils, columns, chans=config.chans, hidden=config.hidden).to(device) for _ in range(2))
        self.target.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=config.lr)
        self.updates = 0

    @torch.no_grad()
    def choose(self, observation: Observation) -> Tensor:
        """Return the column that is worth most in each episode, (batch,) int64; never one that is acquired."""
        return best_free(self.network(observation), observation.mask)

    def explore(self, observation: Observation, part: float, generator: Generator) -> Tensor:
        """Return the same, but in a `part` of the episodes, on average, any free column. generator: on the CPU."""
        at_random = torch.rand(len(observation.mask), generator=generator) < part
        anything = draw_free(observation.mask, generator)
        return torch.where(at_random.to(anything.device), anything, self.choose(observation))

    def learn(self, before: Observation, columns: Tensor, rewards: Tensor, after: Observation, *, done: Tensor) -> float:
        """Take one step towards r + gamma Q_target(s', argmax Q(s')); nothing follows where an episode is done. Returns the loss.

        columns, rewards, done: (batch,).
        """
        with torch.no_grad():
            following = self.target(after).gather(1, self.choose(after)[:, None])[:, 0]
            wanted = rewards + self.config.gamma * torch.where(done, 0.0, following)
        loss = F.smooth_l1_loss(self.network(before).gather(1, columns[:, None])[:, 0], wanted)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(self.network.parameters(), self.config.clip)
        self.optimiser.step()
        self.updates += 1
        if self.updates % self.config.target_every == 0:
            self.target.load_state_dict(self.network.state_dict())
        return float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next update depends on."""
        return {
            "network": self.network.state_dict(),
            "target": self.target.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        for name in ("network", "target", "optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.updates = state["updates"]


def best_free(values: Tensor, mask: Tensor) -> Tensor:
    """Return the column with the largest value among those that are not acquired. Both: (batch, x). Returns (batch,) int64."""
    return values.masked_fill(mask, -math.inf).argmax(dim=1)


def draw_free(mask: Tensor, generator: Generator) -> Tensor:
    """Draw a column that is not acquired, each as likely. mask: (batch, x) bool. generator: on the CPU. Returns (batch,) int64."""
    return best_free(torch.rand(mask.shape, generator=generator).to(mask.device), mask)
