"""One step of the optimiser: the gradients of the micro-batches of a batch, then the move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from models.build import build_model
from models.config import TrainConfig
from models.losses import Loss, build_loss
from models.network import Network
from models.optimiser import build_optimiser, freeze, rest_frozen, set_rates
from models.reconstruction import Reconstruction
from models.training.ema import RunningMean
from models.training.feed import AnySample
from models.training.parallel.split import place
from models.training.precision import Precision
from models.training.tasks import task_of
from models.weighting import TaskWeighting, build_weighting


class Stepper:
    """A network with all that moves its weights. Gradients of micro-batches add up to that of the whole batch."""

    def __init__(self, config: TrainConfig, slices: tuple[int, ...], devices: tuple[torch.device, ...]) -> None:
        """slices: how many slices of each task an epoch visits. devices: one, or two that share the network."""
        device = devices[0]
        self.config = config
        self.model = innermost_channels(place(build_model(config.network, config.mask), devices), config.train.channels_last)
        self.model.recompute = config.train.recompute
        self.loss: Loss = build_loss(config.loss)
        self.weighting: TaskWeighting = build_weighting(config.weighting, slices).to(device)
        self.precision = Precision(config.train.precision, device)
        freeze(self.model, config.train.freeze)
        self.optimiser = build_optimiser(config.optim, self.model, self.weighting)
        self.mean = RunningMean(self.model, config.train.ema_decay) if config.train.ema_decay else None
        self._compiled: Callable[..., Any] = torch.compile(self.model) if config.train.compile else self.model

    @property
    def kept(self) -> Network:
        """The network that is validated and kept: the running mean, where there is one."""
        return self.model if self.mean is None else self.mean.model

    @property
    def moved(self) -> list[Tensor]:
        """The weights that the optimiser moves, those of the weighting among them."""
        return [each for group in self.optimiser.param_groups for each in group["params"]]

    def begin_epoch(self, epoch: int) -> float:
        """Make ready for the steps of an epoch, counted from 1. Returns the learning rate."""
        self.model.begin_epoch(epoch)
        self.model.train()
        rest_frozen(self.model, self.config.train.freeze)
        self.optimiser.zero_grad()
        return set_rates(self.optimiser, self.config.optim, epoch)

    def add_gradients(self, sample: AnySample, size: int) -> Tensor:
        """Add the gradient of a micro-batch, as its part of a batch of `size` slices. Returns the sum of its losses, not weighted."""
        reconstruction = self.precision.run(self._compiled, sample)
        losses = self.loss(reconstruction, sample)
        total = self.weighting(losses, task_of(sample)).sum()
        self.precision.backward((total + self.further(reconstruction, sample) * len(losses)) / size)
        return losses.detach().sum()

    def further(self, reconstruction: Reconstruction, sample: AnySample) -> Tensor:
        """Return what a step makes small besides the mean of the losses: a scalar."""
        return self.model.penalty()

    def end_epoch(self) -> None:
        """Do what is left after the steps of an epoch; done again where a run is resumed before the next one."""

    def measured(self) -> dict[str, float]:
        """Return what is to be reported of the epoch besides losses and validation."""
        return {}

    def move(self) -> None:
        """Follow the gradients, and forget them."""
        self.precision.step(self.optimiser, clip_norm=self.config.train.clip_norm)
        self.optimiser.zero_grad()
        if self.mean is not None:
            self.mean.follow(self.model)

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on, but the generators."""
        return {
            "model": self.model.state_dict(),
            "mean": None if self.mean is None else self.mean.state_dict(),
            "weighting": self.weighting.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "precision": self.precision.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        for name in ("model", "weighting", "optimiser", "precision"):
            getattr(self, name).load_state_dict(state[name])
        if self.mean is not None:
            self.mean.load_state_dict(state["mean"])


def innermost_channels(model: Network, wanted: bool) -> Network:
    """Lay out the kernels with channels innermost, which convolutions then do with their results."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for weights in model.parameters() if wanted else ():
        if weights.dim() in formats:
            weights.data = weights.data.contiguous(memory_format=formats[weights.dim()])
    return model
