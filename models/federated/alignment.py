"""Adversarial alignment of one client's features to those of the target site (Guo et al. 2021, arXiv 2103.02148)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.volumes.unlabelled import Unlabelled
from models.federated.config import AlignmentConfig
from models.federated.target import TargetBatches
from models.optimiser import build_optimiser, set_rates
from models.unet import ZeroFilledUnet

POOLED = 2
"""Features are averaged to so many rows and columns, whatever the size of the images."""
SLOPE = 0.2


class Discriminator(nn.Sequential):
    """Tells features of a client from those of the target. (batch, features) → (batch,): positive for the client."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__(nn.Linear(features, hidden), nn.LeakyReLU(SLOPE), nn.Linear(hidden, 1), nn.Flatten(0))


def pool(bottom: Tensor) -> Tensor:
    """Average the bottom of a U-Net, (batch, channel, y, x), to 2 x 2. Returns (batch, 4 channel)."""
    return F.adaptive_avg_pool2d(bottom, POOLED).flatten(1)


def domain_loss(discriminator: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    """Return how badly a discriminator tells features apart: the mean of the two binary cross-entropies. Both: (batch, features)."""
    missed, mistaken = F.softplus(-discriminator(source)).mean(), F.softplus(discriminator(target)).mean()
    return (missed + mistaken) / 2


class Alignment:
    """The adversary of one client. In each step it learns once, then the network is drawn towards what it mistakes."""

    def __init__(self, config: AlignmentConfig, model: ZeroFilledUnet, target: TargetBatches, *, client: int, channels: int) -> None:
        """client: its number in data.sites. channels: of the bottom of the model."""
        self._config = config
        self._model = model
        self._target = target
        self._client = client
        self.discriminator = Discriminator(POOLED**2 * channels, config.hidden).to(next(model.parameters()).device)
        self.optimiser = build_optimiser(config.optim, self.discriminator)
        self._stream: Iterator[Unlabelled] | None = None
        self._round = 0
        self._steps = 0
        self._sums = {"generator": 0.0, "discriminator": 0.0, "accuracy": 0.0}

    def begin_round(self, number: int) -> None:
        """Make ready for a round, counted from 1; one that is resumed goes on."""
        set_rates(self.optimiser, self._config.optim, number)
        if number != self._round:
            self._round, self._steps = number, 0
            self._sums = dict.fromkeys(self._sums, 0.0)

    def end_turn(self) -> None:
        """Let the target's data rest until the client's next round."""
        self._stream = None

    def term(self, bottom: Tensor) -> Tensor:
        """Return the adversarial loss of a step, times its weight: a scalar. bottom: of a batch of the client, (batch, channel, y, x).

        Its gradient reaches the network through the features of both sites; the discriminator, which has just learned from the same
        features, stays as it is.
        """
        source, target = pool(bottom), pool(self._model.features(*self._draw()))
        taught = self._teach(source.detach(), target.detach())
        confusion = domain_loss(self.discriminator, target, source)
        self._count(generator=float(confusion.detach()), discriminator=float(taught), accuracy=self._accuracy(source, target))
        return self._config.weight * confusion

    def measured(self) -> dict[str, float]:
        """Return the mean losses and the discriminator's accuracy of a round; nothing where the client did not take part."""
        return {name: total / self._steps for name, total in self._sums.items()} if self._steps else {}

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "round": self._round,
            "steps": self._steps,
            "sums": dict(self._sums),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimiser.load_state_dict(state["optimiser"])
        self._round, self._steps, self._sums = state["round"], state["steps"], dict(state["sums"])

    def _draw(self) -> Unlabelled:
        if self._stream is None:
            self._stream = self._target.stream(self._client, self._round, first=self._steps)
        return next(self._stream)

    def _teach(self, source: Tensor, target: Tensor) -> Tensor:
        """Let the discriminator take a step. Returns its loss before."""
        self.discriminator.requires_grad_(True)
        loss = domain_loss(self.discriminator, source, target)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.discriminator.requires_grad_(False)
        return loss.detach()

    def _accuracy(self, source: Tensor, target: Tensor) -> float:
        """Return the part of the features that the discriminator takes for what they are, both sites counting alike."""
        with torch.no_grad():
            right = (self.discriminator(source) > 0).float().mean() + (self.discriminator(target) <= 0).float().mean()
        return float(right) / 2

    def _count(self, **values: float) -> None:
        self._steps += 1
        for name, value in values.items():
            self._sums[name] += value
