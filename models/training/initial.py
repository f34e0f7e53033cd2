"""The checkpoint that a run starts from: found, checked, taken over."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from torch import Tensor, nn

from data.errors import BadInput
from models.config import TrainConfig, read_config
from models.model_config import ModelConfig, VarNetRcanConfig
from models.network import Network
from models.training.checkpoint import BEST, Damaged, read_whole
from models.training.context import Run
from models.training.fit import refuse_misfit, refuse_misfit_loss

NO_ARCHITECTURE = ("drop_prob", "varnet", "ensemble", "ensemble_validation")
"""Keys of `model` in which networks of the same weights may differ."""


class Initial(NamedTuple):
    """What a best.pt holds."""

    path: Path
    config: TrainConfig
    """Of the run that made it."""
    weights: dict[str, Tensor]
    epoch: int


def read_initial(named: str, run: Run, *, key: str = "train.init_from") -> Initial:
    """Read the checkpoint that a `key` of the config names. Raises BadInput where there is none that can be used."""
    path = Path(run.needs.get(named, named))
    path = path / BEST if path.is_dir() else path
    if not path.is_file():
        known = f"; needs of this run: {', '.join(run.needs)}" if run.needs else ""
        raise BadInput(f"{path}: there is no such checkpoint. Check {key} (relative paths start at {Path.cwd()}{known}).")
    try:
        content = read_whole(path)
    except Damaged as error:
        raise BadInput(f"{error}. {key} needs a whole one: copy it again, or train anew.") from error
    missing = {"config", "model", "epoch"} - content.keys()
    if missing:
        raise BadInput(f"{path}: key '{min(missing)}' is missing, it holds {', '.join(content)}. {key} takes a {BEST} of a run.")
    return Initial(path, read_config(content["config"]), content["model"], content["epoch"])


def refuse_unfit(initial: Initial, config: TrainConfig) -> None:
    """Raise BadInput, naming the checkpoint, where its network cannot take what the data give, or not give what the loss needs."""
    try:
        refuse_misfit(initial.config.network, config.data)
        refuse_misfit_loss(config.loss.kind, initial.config.network, config.data)
    except BadInput as error:
        raise BadInput(f"{initial.path}: train.init_from does not fit data and loss: {error}") from error


def what_differs(initial: Initial, config: TrainConfig) -> list[str]:
    """Say of mask and loss of a prediction in which keys they are not those that its checkpoint was trained with, key by key."""
    trained, mask = initial.config, config.asked_test_mask
    losses = _differing("loss", config.loss, (trained.loss,))
    if "masked_ssim" not in (config.loss.kind, trained.loss.kind):
        losses = [told for told in losses if not told.startswith("loss.mask_threshold")]
    known = mask is not None and trained.asked_mask is not None and mask not in trained.training_masks
    return (_differing("mask", mask, trained.training_masks) if known else []) + losses


def _differing(section: str, ours: msgspec.Struct | None, theirs: Iterable[msgspec.Struct]) -> list[str]:
    """Return the keys of a section whose value is none of theirs, with both."""
    used, trained = msgspec.to_builtins(ours), [msgspec.to_builtins(each) for each in theirs]
    values = {key: list(dict.fromkeys(repr(each[key]) for each in trained)) for key in used}
    return [
        f"{section}.{key} is {used[key]!r} (trained with {', '.join(values[key])})" for key in used if repr(used[key]) not in values[key]
    ]


def refuse_other_network(initial: Initial, ours: ModelConfig, *, key: str = "train.init_from", section: str = "model") -> None:
    """Raise BadInput, naming the keys, where a checkpoint belongs to another architecture. section: where ours stands in the config."""
    theirs, wanted = _plain(initial.config.network), _plain(ours)
    differing = [name for name in {**theirs, **wanted} if theirs.get(name) != wanted.get(name) and name not in NO_ARCHITECTURE]
    differing = ["kind"] if "kind" in differing else differing  # the other keys of another kind mean something else
    if differing:
        told = "; ".join(f"{section}.{name} is {theirs.get(name)} there, {wanted.get(name)} here" for name in differing)
        raise BadInput(f"{initial.path}: is of another architecture: {told}. Choose another {key}, or the same {section}.")


def take_weights(model: nn.Module, initial: Initial) -> None:
    """Give a network the weights of a checkpoint. Raises BadInput with name and shapes of the first that does not fit."""
    own = model.state_dict()
    for name in sorted(own.keys() | initial.weights.keys()):
        expected, found = (tuple(weights[name].shape) if name in weights else "none" for weights in (own, initial.weights))
        if expected != found:
            raise BadInput(f"{initial.path}: weights '{name}': expected {expected}, found {found}. It was made by another version.")
    model.load_state_dict(initial.weights)


def take_frozen(networks: Iterable[Network], config: ModelConfig, run: Run) -> None:
    """Give the frozen VarNet of networks of `config` the weights that model.varnet names; a config without one asks for nothing."""
    if not isinstance(config, VarNetRcanConfig):
        return
    initial = read_initial(config.varnet, run, key="model.varnet")
    refuse_other_network(initial, config.frozen, key="model.varnet", section="model.frozen")
    for network in networks:
        take_weights(network.get_submodule("varnet"), initial)
    run.log(f"its VarNet has the weights of epoch {initial.epoch} of {initial.path}, and keeps them")


def _plain(config: ModelConfig) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(config)
    return plain
