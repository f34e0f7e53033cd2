"""How many processes train, and on which devices."""

from __future__ import annotations

import torch

from data.errors import BadInput
from models.config import TrainConfig
from models.model_config import EndToEndVarNetConfig, ModelConfig, MultiTaskVarNetConfig, VarNetConfig

HALVES = 2
"""Devices of a network that is split."""


def count_gpus(name: str) -> int:
    """Return how many GPUs train.device may use: all that are visible; 0 means the CPU. Raises BadInput for cuda without any."""
    found = torch.cuda.device_count() if name != "cpu" and torch.cuda.is_available() else 0
    if name == "cuda" and not found:
        raise BadInput("train.device is 'cuda', and torch finds no GPU here. Set train.device: auto, or ask for a GPU in resources.")
    return found


def choose_device(name: str) -> torch.device:
    """Return the device of a training that uses one at most: the first visible GPU, or the CPU. Raises BadInput for cuda without any."""
    return devices_of(0, gpus=count_gpus(name), split=False)[0]


def count_processes(config: TrainConfig, gpus: int) -> int:
    """Return how many processes train: train.processes, or one for each GPU as far as the slices of a batch go round.

    gpus: visible ones, 0 for the CPU. Raises BadInput where there are too few.
    """
    loop = config.train
    each = HALVES if loop.split else 1
    if loop.split and gpus < each:
        where = f"{gpus} of them is visible" if gpus else "training runs on cpu"
        raise BadInput(f"train.split is true: it needs {each} GPUs, and {where}. Ask for more in resources, or leave it out.")
    if config.task == "predict":
        return 1
    if loop.processes is None:
        return max(1, min(gpus // each, loop.batch))
    if gpus and loop.processes * each > gpus:
        needed = f"{loop.processes * each} GPUs{' with train.split' if loop.split else ''}"
        raise BadInput(f"train.processes is {loop.processes}: it needs {needed}, {gpus} visible. Lower it, or ask for more in resources.")
    return loop.processes


def devices_of(rank: int, *, gpus: int, split: bool) -> tuple[torch.device, ...]:
    """Return the devices of a process, counted from 0: the CPU, a GPU of its own, or two of them for the halves of the network."""
    each = HALVES if split else 1
    return tuple(torch.device("cuda", rank * each + place) for place in range(each)) if gpus else (torch.device("cpu"),)


def refuse_unsplittable(model: ModelConfig) -> None:
    """Raise BadInput for a network without two cascades, which train.split could place on two devices."""
    cascades = _cascades(model)
    if cascades < HALVES:
        held = f"model.kind {model.__struct_config__.tag} has {'one cascade' if cascades else 'no cascades'}"
        raise BadInput(f"train.split is true, and {held} to be split. Leave it out, or choose a VarNet with 2 or more.")


def _cascades(model: ModelConfig) -> int:
    match model:
        case EndToEndVarNetConfig() | VarNetConfig():
            return model.cascades
        case MultiTaskVarNetConfig():
            return len(model.blocks)
        case _:
            return 0
