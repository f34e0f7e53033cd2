"""The full state of training: collected for a checkpoint, and taken from one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    theirs, ours = _science(found), _science(msgspec.to_builtins(trainer.config))
    differing = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
    if differing:
        told = "; ".join(f"{key} is {theirs.get(key, 'none')} there, {ours.get(key, 'none')} here" for key in differing)
        way_out = "Choose another folder (--out), or the same config"
        raise BadInput(f"{trainer.run.resume_from}: is of another config: {told}. {way_out}.")


def _science(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint is bound to: dotted key → value."""
    kept = {key: values for key, values in config.items() if key not in MEANS}
    kept["train"] = {key: config["train"].get(key) for key in SCIENCE_OF_TRAIN}
    kept["data"] = {key: value for key, value in config["data"].items() if key not in PLACES}
    return dict(_leaves(kept))


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _generators(devices: Sequence[torch.device]) -> dict[str, Any]:
    """State of the generators of dropout. Order and masks need none: they are functions of seed, epoch and slice."""
    return {"cpu": torch.get_rng_state(), "cuda": [torch.cuda.get_rng_state(device) for device in devices if device.type == "cuda"]}


def _set_generators(states: dict[str, Any], devices: Sequence[torch.device]) -> None:
    torch.set_rng_state(states["cpu"])
    for device, on_gpu in zip([device for device in devices if device.type == "cuda"], states["cuda"], strict=False):
        torch.cuda.set_rng_state(on_gpu, device)
