"""From a config to the optimiser: which weights learn, and how fast."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.optim import Adam, AdamW, Optimizer, RMSprop

from data.errors import BadInput
from models.network import Network
from models.schedule import rate_factor
from models.training_config import OptimConfig

OPTIMISERS: dict[str, type[Adam] | type[AdamW] | type[RMSprop]] = {"adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}


def build_optimiser(config: OptimConfig, model: nn.Module, weighting: nn.Module | None = None) -> Optimizer:
    """Make the optimiser of the weights that are not frozen, and of what the weighting of tasks learns, which knows no decay.

    Each group keeps its learning rate before schedule and warm-up as `base_lr`. Raises BadInput where nothing is left to learn.
    """
    learning = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
    if not learning:
        raise BadInput(f"train.freeze leaves nothing to learn; the network begins with {_listed(model)}. Name fewer parts.")
    check_starts("optim.lr_of", config.lr_of, model)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, weights in learning.items():
        groups.setdefault(_rate_of(name, config), []).append(weights)
    described = [{"params": weights, "lr": lr, "base_lr": lr} for lr, weights in groups.items()]
    learned = [*weighting.parameters()] if weighting is not None else []
    if learned:
        described.append({"params": learned, "lr": config.lr, "base_lr": config.lr, "weight_decay": 0.0})
    return OPTIMISERS[config.kind](described, lr=config.lr, weight_decay=config.weight_decay)


def set_rates(optimiser: Optimizer, config: OptimConfig, epoch: int) -> float:
    """Give every group its learning rate of `epoch`, counted from 1. Returns that of optim.lr."""
    factor = rate_factor(config, epoch)
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor
    return config.lr * factor


def freeze(model: Network, starts: Iterable[str]) -> None:
    """Let the weights whose names begin so stay as they are. Raises BadInput for a start that no weight has."""
    starts = tuple(starts)
    check_starts("train.freeze", starts, model)
    for name, weights in model.named_parameters():
        if begins(name, starts):
            weights.requires_grad_(False)


def rest_frozen(model: Network, starts: tuple[str, ...]) -> None:
    """Put frozen parts of a network in training into evaluation mode: they drop nothing and count no statistics."""
    for name, module in model.named_modules() if starts else ():
        if name and begins(name, starts):
            module.eval()


def begins(name: str, starts: Iterable[str]) -> bool:
    """Say whether a dotted name begins with one of `starts`, whole parts at a time: cascades.1 is no start of cascades.10."""
    return any(f"{name}.".startswith(f"{start.rstrip('.')}.") for start in starts)


def check_starts(key: str, starts: Iterable[str], model: nn.Module) -> None:
    """Raise BadInput for a start that no weight of the network has."""
    names = [name for name, _ in model.named_parameters()]
    for start in starts:
        if not any(begins(name, (start,)) for name in names):
            raise BadInput(f"{key}: no weight's name begins with '{start}'. The network begins with {_listed(model)}, as in {names[0]}.")


def _rate_of(name: str, config: OptimConfig) -> float:
    fitting = [start for start in config.lr_of if begins(name, (start,))]
    return config.lr_of[max(fitting, key=len)] if fitting else config.lr


def _listed(model: nn.Module) -> str:
    return ", ".join(name for name, _ in model.named_children())
