"""From a config to what it names: network, optimiser, schedule."""

from __future__ import annotations

from torch import nn
from torch.optim import Adam, Optimizer, RMSprop
from torch.optim.lr_scheduler import StepLR

from models.config import ModelConfig, OptimConfig
from models.unet import ZeroFilledUnet


def build_model(config: ModelConfig) -> nn.Module:
    """Make the network of `config`; it takes a Sample and returns a Reconstruction."""
    return ZeroFilledUnet(chans=config.chans, pools=config.pools, drop_prob=config.drop_prob)


OPTIMISERS: dict[str, type[Adam] | type[RMSprop]] = {"adam": Adam, "rmsprop": RMSprop}


def build_optimiser(config: OptimConfig, model: nn.Module) -> tuple[Optimizer, StepLR]:
    """Make the optimiser and the schedule of its learning rate, which is stepped once an epoch."""
    optimiser = OPTIMISERS[config.kind](model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    return optimiser, StepLR(optimiser, step_size=config.step_epochs, gamma=config.gamma)
