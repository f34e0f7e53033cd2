"""The full state of training: collected for a checkpoint, and taken from one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec
import torch

from data.errors import BadInput
from models.training.checkpoint import load_newest_state
from models.training.progress import Progress

if TYPE_CHECKING:
    from models.training.loop import Trainer

MEANS = ("task", "train", "data")
"""Sections of a config that may change on the way, each with exceptions."""
SCIENCE_OF_TRAIN = ("batch", "init_from", "freeze", "clip_norm", "ema_decay", "precision")
"""Keys of `train` that may not: another value would make another network of the same steps."""
PLACES = ("root", "cache")
"""Keys of `data` that may: data can move, and stay the same."""


def collect(trainer: Trainer) -> dict[str, Any]:
    """Return all that the next step depends on."""
    return {
        "config": msgspec.to_builtins(trainer.config),
        "progress": asdict(trainer.progress),
        "best": trainer.best,
        "rng": _generators(trainer.devices),
        "masks": trainer.masks.state_dict(),
        **trainer.stepper.state_dict(),
    }


def restore(trainer: Trainer) -> bool:
    """Continue from the newest undamaged checkpoint of the attempt before; returns False where there is none, and training begins anew."""
    run = trainer.run
    if run.resume_from is None:
        return False
    state = load_newest_state(run.resume_from, run.log)
    if state is None:
        run.log(f"{run.resume_from} holds no usable checkpoint; training begins anew")
        return False
    _refuse_other_config(state["config"], trainer)
    trainer.progress = Progress(**state["progress"])
    trainer.best = state["best"]
    trainer.masks.load_state_dict(state["masks"])
    trainer.stepper.load_state_dict(state)
    _set_generators(state["rng"], trainer.devices)
    run.log(f"resumed in epoch {trainer.progress.epoch} after {trainer.progress.batches} batches, from {run.resume_from}")
    return True


def _refuse_other_config(found: dict[str, Any], trainer: Trainer) -> None:
    """A checkpoint continues the same science only; means may change (workers, micro-batches, more epochs)."""
    ours: dict[str, Any] = msgspec.to_builtins(trainer.config)
    compared = [(key, ours[key], found.get(key)) for key in ours if key not in MEANS]
    compared += [(f"train.{key}", ours["train"][key], found["train"].get(key)) for key in SCIENCE_OF_TRAIN]
    compared += [(f"data.{key}", value, found["data"].get(key)) for key, value in ours["data"].items() if key not in PLACES]
    for key, wanted, there in compared:
        if wanted != there:
            raise BadInput(f"{trainer.run.resume_from}: has {key} = {there}, this run has {wanted}. Start a new run instead.")


def _generators(devices: Sequence[torch.device]) -> dict[str, Any]:
    """State of the generators of dropout. Order and masks need none: they are functions of seed, epoch and slice."""
    return {"cpu": torch.get_rng_state(), "cuda": [torch.cuda.get_rng_state(device) for device in devices if device.type == "cuda"]}


def _set_generators(states: dict[str, Any], devices: Sequence[torch.device]) -> None:
    torch.set_rng_state(states["cpu"])
    for device, on_gpu in zip([device for device in devices if device.type == "cuda"], states["cuda"], strict=False):
        torch.cuda.set_rng_state(on_gpu, device)
