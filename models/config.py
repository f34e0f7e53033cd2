"""What a training run is told: typed, complete, checked. Imports no torch, so that a login node can check 10,000 of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from data.errors import BadInput
from data.kspace.description import KINDS, MaskDescription
from data.limits import choice, limit, unknown
from models.model_config import MODEL_KINDS, ModelConfig

MASKS = KINDS
LOSSES = ("l1", "ssim")
OPTIMISERS = ("adam", "rmsprop")
DEVICES = ("auto", "cpu", "cuda")


class DataConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the volumes are: three folders of fastMRI multi-coil HDF5 files."""

    root: str
    """The folder that holds the three; a relative one starts at the folder of launch."""
    train: str = "train"
    """Folder of the training volumes, below root."""
    val: str = "val"
    """Folder of the volumes that choose the best epoch."""
    test: str = "test"
    """Folder of the volumes that are measured once, at the end."""

    def __post_init__(self) -> None:
        limit("data.root", self.root, bool(self.root.strip()), "the path of a folder")
        names = (self.train, self.val, self.test)
        limit("data.train, data.val, data.test", names, len(set(names)) == 3, "three different folders")


MaskConfig = MaskDescription
"""Where k-space is sampled: fresh in training, fixed for each volume in validation and test."""


class LossConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is made small in training."""

    kind: str = "l1"
    """l1: mean absolute error in units of the network; ssim: 1 - SSIM, data range = largest value of the volume."""

    def __post_init__(self) -> None:
        choice("loss.kind", self.kind, LOSSES)


class OptimConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the weights move."""

    kind: str = "rmsprop"
    """adam or rmsprop."""
    lr: float = 1e-3
    """Learning rate of the first epochs."""
    weight_decay: float = 0.0
    """L2 penalty."""
    step_epochs: int = 40
    """After each so many epochs the learning rate is multiplied by gamma."""
    gamma: float = 0.1
    """Factor of the learning rate."""

    def __post_init__(self) -> None:
        choice("optim.kind", self.kind, OPTIMISERS)
        limit("optim.lr", self.lr, 0 < self.lr < 100, "above 0 and below 100")
        limit("optim.weight_decay", self.weight_decay, 0 <= self.weight_decay < 100, "at least 0 and below 100")
        limit("optim.step_epochs", self.step_epochs, self.step_epochs >= 1, "1 or more epochs")
        limit("optim.gamma", self.gamma, 0 < self.gamma <= 1, "above 0 and at most 1")


class LoopConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long training goes on, and with what means. All but epochs and batch leave the result as it is, up to rounding."""

    epochs: int = 50
    """Passes over the training slices."""
    batch: int = 1
    """Slices of one step of the optimiser."""
    micro_batch: int | None = None
    """Slices computed at once; gradients of a batch are accumulated over its micro-batches. None: the whole batch."""
    num_workers: int = 2
    """Processes that read slices; 0: the training process reads itself."""
    threads: int | None = None
    """CPU threads of tensor operations; equal numbers give equal bits. None: as the surroundings have set it."""
    device: str = "auto"
    """auto: cuda where there is a GPU, else cpu."""
    recompute: bool = False
    """Compute activations anew in the backward pass: the same gradients, less memory, more time."""
    checkpoint_min: float = 10.0
    """Minutes after which a checkpoint is also written within an epoch."""
    images_every: int = 10
    """Epochs between pictures of a validation slice; the last epoch always has them. 0: none."""

    def __post_init__(self) -> None:
        limit("train.epochs", self.epochs, self.epochs >= 1, "1 or more")
        limit("train.batch", self.batch, self.batch >= 1, "1 or more slices")
        limit("train.micro_batch", self.micro_batch, self.micro_batch is None or self.micro_batch >= 1, "1 or more slices, or null")
        limit("train.num_workers", self.num_workers, 0 <= self.num_workers <= 256, "between 0 and 256")
        limit("train.threads", self.threads, self.threads is None or 1 <= self.threads <= 1024, "between 1 and 1024, or null")
        limit("train.checkpoint_min", self.checkpoint_min, self.checkpoint_min > 0, "above 0 minutes")
        choice("train.device", self.device, DEVICES)
        limit("train.images_every", self.images_every, self.images_every >= 0, "0 or more epochs")


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One complete training run."""

    model: ModelConfig
    """The network."""
    data: DataConfig
    """The volumes."""
    mask: MaskConfig = MaskConfig()
    """What is sampled of them."""
    loss: LossConfig = LossConfig()
    """What is made small."""
    optim: OptimConfig = OptimConfig()
    """How."""
    train: LoopConfig = LoopConfig()
    """For how long, and with what means."""
    seed: int = 1
    """Decides first weights, order of slices, training masks and dropout."""

    def __post_init__(self) -> None:
        limit("seed", self.seed, 0 <= self.seed < 2**63, "0 or more, below 2 ** 63")


def read_config(values: Mapping[str, Any]) -> TrainConfig:
    """Convert a plain mapping. Raises BadInput naming key, value and what is allowed; an unknown model lists the known ones."""
    model = values.get("model")
    kind = model.get("kind") if isinstance(model, Mapping) else None
    if isinstance(kind, str) and kind not in MODEL_KINDS:
        raise BadInput(f"config: model.kind: {unknown(kind, MODEL_KINDS)}.")
    try:
        return msgspec.convert(values, TrainConfig)
    except msgspec.ValidationError as error:
        raise BadInput(f"config: {error}. See models/config.py for what each key takes.") from error
