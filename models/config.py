"""What a training run is told: typed, complete, checked. Imports no torch, so that a login node can check 10,000 of these."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec

from data.errors import BadInput

MASKS = ("random", "equispaced", "equispaced_fraction")
LOSSES = ("l1", "ssim")
OPTIMISERS = ("adam", "rmsprop")
DEVICES = ("auto", "cpu", "cuda")


def _choice(key: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{key}: {_unknown(value, known)}")


def _unknown(value: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(value, known, n=1)
    return f"'{value}' is unknown. {f'Did you mean {near[0]}? ' if near else ''}Known: {', '.join(known)}"


def _limit(key: str, value: object, holds: bool, wanted: str) -> None:
    if not holds:
        raise ValueError(f"{key} is {value!r}; it must be {wanted}")


class UnetConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="unet"):
    """The fastMRI baseline: a U-Net on the magnitude image of the zero-filled data (Zbontar et al. 2018)."""

    chans: int = 32
    """Channels of the first level; each level below has twice as many."""
    pools: int = 4
    """Levels below the first; images need at least 2 ** pools pixels along each axis."""
    drop_prob: float = 0.0
    """Probability with which a channel is dropped in training."""

    def __post_init__(self) -> None:
        _limit("model.chans", self.chans, self.chans >= 1, "1 or more")
        _limit("model.pools", self.pools, 1 <= self.pools <= 8, "between 1 and 8")
        _limit("model.drop_prob", self.drop_prob, 0 <= self.drop_prob < 1, "at least 0 and below 1")


ModelConfig = UnetConfig
"""A union, told apart by `kind`, as soon as there are more networks."""


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
        _limit("data.root", self.root, bool(self.root.strip()), "the path of a folder")
        names = (self.train, self.val, self.test)
        _limit("data.train, data.val, data.test", names, len(set(names)) == 3, "three different folders")


class MaskConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which columns of k-space are sampled: fresh in training, fixed for each volume in validation and test."""

    kind: str = "random"
    """random, equispaced or equispaced_fraction: how columns outside the centre are chosen (data/kspace/masks.py)."""
    acceleration: float = 4.0
    """Columns in all by columns sampled."""
    center_fraction: float = 0.08
    """Part of the columns that is always sampled, in the centre."""

    def __post_init__(self) -> None:
        _choice("mask.kind", self.kind, MASKS)
        _limit("mask.acceleration", self.acceleration, 1 <= self.acceleration <= 1000, "between 1 and 1000")
        _limit("mask.center_fraction", self.center_fraction, 0 <= self.center_fraction <= 1, "between 0 and 1")
        product = self.center_fraction * self.acceleration
        _limit("mask.center_fraction * mask.acceleration", product, product <= 1, "at most 1, else the centre alone exceeds the budget")


class LossConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is made small in training."""

    kind: str = "l1"
    """l1: mean absolute error in units of the network; ssim: 1 - SSIM, data range = largest value of the volume."""

    def __post_init__(self) -> None:
        _choice("loss.kind", self.kind, LOSSES)


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
        _choice("optim.kind", self.kind, OPTIMISERS)
        _limit("optim.lr", self.lr, 0 < self.lr < 100, "above 0 and below 100")
        _limit("optim.weight_decay", self.weight_decay, 0 <= self.weight_decay < 100, "at least 0 and below 100")
        _limit("optim.step_epochs", self.step_epochs, self.step_epochs >= 1, "1 or more epochs")
        _limit("optim.gamma", self.gamma, 0 < self.gamma <= 1, "above 0 and at most 1")


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
    checkpoint_min: float = 10.0
    """Minutes after which a checkpoint is also written within an epoch."""
    images_every: int = 10
    """Epochs between pictures of a validation slice; the last epoch always has them. 0: none."""

    def __post_init__(self) -> None:
        _limit("train.epochs", self.epochs, self.epochs >= 1, "1 or more")
        _limit("train.batch", self.batch, self.batch >= 1, "1 or more slices")
        _limit("train.micro_batch", self.micro_batch, self.micro_batch is None or self.micro_batch >= 1, "1 or more slices, or null")
        _limit("train.num_workers", self.num_workers, 0 <= self.num_workers <= 256, "between 0 and 256")
        _limit("train.threads", self.threads, self.threads is None or 1 <= self.threads <= 1024, "between 1 and 1024, or null")
        _limit("train.checkpoint_min", self.checkpoint_min, self.checkpoint_min > 0, "above 0 minutes")
        _choice("train.device", self.device, DEVICES)
        _limit("train.images_every", self.images_every, self.images_every >= 0, "0 or more epochs")


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
        _limit("seed", self.seed, 0 <= self.seed < 2**63, "0 or more, below 2 ** 63")


MODEL_KINDS = tuple(str(kind.__struct_config__.tag) for kind in get_args(ModelConfig) or (ModelConfig,))


def read_config(values: Mapping[str, Any]) -> TrainConfig:
    """Convert a plain mapping. Raises BadInput naming key, value and what is allowed; an unknown model lists the known ones."""
    model = values.get("model")
    kind = model.get("kind") if isinstance(model, Mapping) else None
    if isinstance(kind, str) and kind not in MODEL_KINDS:
        raise BadInput(f"config: model.kind: {_unknown(kind, MODEL_KINDS)}.")
    try:
        return msgspec.convert(values, TrainConfig)
    except msgspec.ValidationError as error:
        raise BadInput(f"config: {error}. See models/config.py for what each key takes.") from error
