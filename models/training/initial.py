"""The checkpoint that a run starts from: found, checked, taken over."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from torch import Tensor, nn

from data.errors import BadInput
from models.config import TrainConfig, read_config
from models.model_config import ModelConfig
from models.training.checkpoint import BEST, Damaged, read_whole
from models.training.context import Run
from models.training.fit import refuse_misfit, refuse_misfit_loss


class Initial(NamedTuple):
    """What a best.pt holds."""

    path: Path
    config: TrainConfig
    """Of the run that made it."""
    weights: dict[str, Tensor]
    epoch: int


def read_initial(named: str, run: Run) -> Initial:
    """Read the checkpoint that train.init_from names. Raises BadInput where there is none that can be used."""
    path = Path(run.needs.get(named, named))
    path = path / BEST if path.is_dir() else path
    if not path.is_file():
        known = f"; needs of this run: {', '.join(run.needs)}" if run.needs else ""
        raise BadInput(f"{path}: there is no such checkpoint. Check train.init_from (relative paths start at {Path.cwd()}{known}).")
    try:
        content = read_whole(path)
    except Damaged as error:
        raise BadInput(f"{error}. train.init_from needs a whole one: copy it again, or train anew.") from error
    missing = {"config", "model", "epoch"} - content.keys()
    if missing:
        raise BadInput(f"{path}: key '{min(missing)}' is missing, it holds {', '.join(content)}. train.init_from takes a {BEST} of a run.")
    return Initial(path, read_config(content["config"]), content["model"], content["epoch"])


def refuse_unfit(initial: Initial, config: TrainConfig) -> None:
    """Raise BadInput, naming the checkpoint, where its network cannot take what the data give, or not give what the loss needs."""
    try:
        refuse_misfit(initial.config.network, config.data)
        refuse_misfit_loss(config.loss.kind, initial.config.network, config.data)
    except BadInput as error:
        raise BadInput(f"{initial.path}: train.init_from does not fit data and loss: {error}") from error


def refuse_other_network(initial: Initial, ours: ModelConfig) -> None:
    """Raise BadInput, naming the keys, where a checkpoint belongs to another architecture."""
    theirs, wanted = _plain(initial.config.network), _plain(ours)
    differing = [key for key in {**theirs, **wanted} if theirs.get(key) != wanted.get(key) and key != "drop_prob"]
    differing = ["kind"] if "kind" in differing else differing  # the other keys of another kind mean something else
    if differing:
        told = "; ".join(f"model.{key} is {theirs.get(key)} there, {wanted.get(key)} here" for key in differing)
        raise BadInput(f"{initial.path}: is of another architecture: {told}. Choose another train.init_from, or the same model.")


def take_weights(model: nn.Module, initial: Initial) -> None:
    """Give a network the weights of a checkpoint. Raises BadInput with name and shapes of the first that does not fit."""
    own = model.state_dict()
    for name in sorted(own.keys() | initial.weights.keys()):
        expected, found = (tuple(weights[name].shape) if name in weights else "none" for weights in (own, initial.weights))
        if expected != found:
            raise BadInput(f"{initial.path}: weights '{name}': expected {expected}, found {found}. It was made by another version.")
    model.load_state_dict(initial.weights)


def _plain(config: ModelConfig) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(config)
    return plain
