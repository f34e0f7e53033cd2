"""How a run trains: loss, weighting of tasks, optimiser, loop; typed and checked. Imports no torch."""

from __future__ import annotations

import msgspec

from data.limits import choice, limit

LOSSES = ("l1", "complex_l1", "mse", "mae", "bce", "ssim", "psnr", "masked_ssim", "kspace_nmse")
WEIGHTINGS = ("none", "naive", "uncertainty", "dwa")
OPTIMISERS = ("adam", "adamw", "rmsprop")
PRECISIONS = ("float32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda")
RATE = "above 0 and below 100"


class LossConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is made small in training. docs/models.md has the formulas."""

    kind: str = "l1"
    """Of magnitudes: l1 (in units of the network), mse, mae, bce, ssim, psnr, masked_ssim (in units of the data range).
    Of complex images: complex_l1. Of k-space: kspace_nmse."""
    mask_threshold: float = 5e-5
    """Of masked_ssim: the truth lies inside of the head where it is larger, in the units of the data."""

    def __post_init__(self) -> None:
        choice("loss.kind", self.kind, LOSSES)
        limit("loss.mask_threshold", self.mask_threshold, 0 <= self.mask_threshold < float("inf"), "0 or more")


class WeightingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the losses of several tasks are weighed against each other; what is logged as loss is never weighted."""

    kind: str = "none"
    """none; naive: rare tasks more; uncertainty: by learned log-variances (Kendall 2018); dwa: by how fast each falls (Liu 2019)."""
    temperature: float = 2.0
    """Of dwa: the larger, the more equal are the weights."""

    def __post_init__(self) -> None:
        choice("weighting.kind", self.kind, WEIGHTINGS)
        limit("weighting.temperature", self.temperature, 0 < self.temperature < 1e6, "above 0")


class ConstantSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="constant"):
    """The learning rate stays."""


class StepSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="step"):
    """The learning rate falls by a factor every few epochs."""

    step_epochs: int = 40
    """After each so many epochs the learning rate is multiplied by gamma."""
    gamma: float = 0.1
    """Factor of the learning rate."""

    def __post_init__(self) -> None:
        limit("optim.schedule.step_epochs", self.step_epochs, self.step_epochs >= 1, "1 or more epochs")
        limit("optim.schedule.gamma", self.gamma, 0 < self.gamma <= 1, "above 0 and at most 1")


class ExponentialSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="exponential"):
    """The learning rate falls by a factor every epoch."""

    gamma: float = 0.95
    """Factor of the learning rate."""

    def __post_init__(self) -> None:
        limit("optim.schedule.gamma", self.gamma, 0 < self.gamma <= 1, "above 0 and at most 1")


class CosineSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="cosine"):
    """The learning rate falls along half a cosine, once (Loshchilov and Hutter 2017, without restarts)."""

    epochs: int
    """Epochs after the warm-up until it has fallen; it stays there."""
    last_factor: float = 0.0
    """Where it ends, in parts of the learning rate."""

    def __post_init__(self) -> None:
        limit("optim.schedule.epochs", self.epochs, self.epochs >= 1, "1 or more")
        limit("optim.schedule.last_factor", self.last_factor, 0 <= self.last_factor <= 1, "between 0 and 1")


Schedule = ConstantSchedule | StepSchedule | ExponentialSchedule | CosineSchedule
"""By optim.schedule.kind."""


class OptimConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the weights move."""

    kind: str = "rmsprop"
    """adam, adamw or rmsprop."""
    lr: float = 1e-3
    """Learning rate of the first epoch after the warm-up."""
    lr_of: dict[str, float] = {}
    """Other learning rates for parts of the network: start of a weight's name → learning rate; the longest start holds."""
    weight_decay: float = 0.0
    """L2 penalty of adam and rmsprop; of adamw the part of a weight that each step takes away, times the learning rate."""
    schedule: Schedule = StepSchedule()
    """How the learning rates fall from epoch to epoch."""
    warmup_epochs: int = 0
    """Epochs before the schedule begins; in the e-th of w the learning rate is e / (w + 1) of its value."""

    def __post_init__(self) -> None:
        choice("optim.kind", self.kind, OPTIMISERS)
        limit("optim.lr", self.lr, 0 < self.lr < 100, RATE)
        for start, lr in self.lr_of.items():
            limit(f"optim.lr_of.{start}", lr, 0 < lr < 100, RATE)
        limit("optim.weight_decay", self.weight_decay, 0 <= self.weight_decay < 100, "at least 0 and below 100")
        limit("optim.warmup_epochs", self.warmup_epochs, self.warmup_epochs >= 0, "0 or more")


class LoopConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long training goes on, from where, and with what means."""

    epochs: int = 50
    """Passes over the training slices, at most."""
    batch: int = 1
    """Slices of one step of the optimiser."""
    init_from: str = ""
    """A checkpoint whose weights training starts from, or predict uses: best.pt, its folder, or a name under `needs` of the grid."""
    freeze: tuple[str, ...] = ()
    """Starts of names of weights that stay as they are, such as cascades.0."""
    clip_norm: float | None = None
    """Gradients of a step that are longer than this are shortened to it. None: they are not."""
    ema_decay: float = 0.0
    """Above 0: the weights that are validated and kept are running means of those of the steps, with this decay."""
    patience: int | None = None
    """Training ends after so many epochs in a row without a better val/ssim. None: only with the last epoch."""
    min_delta: float = 0.0
    """By how much val/ssim must be larger to count as better for patience."""
    precision: str = "float32"
    """float32, or what layers that allow it compute in: bf16, fp16 (on a GPU only)."""
    micro_batch: int | None = None
    """Slices computed at once; gradients of a batch are accumulated over its micro-batches. None: the whole batch."""
    num_workers: int = 2
    """Processes that read slices; 0: the training process reads itself."""
    processes: int | None = None
    """Processes that train together, each on a GPU of its own or, without any, on the CPU. None: one a visible GPU, at most `batch`."""
    split: bool = False
    """Place the second half of a VarNet's cascades on a second GPU; every process then needs two."""
    threads: int | None = None
    """CPU threads of tensor operations; equal numbers give equal bits. None: as the surroundings have set it."""
    device: str = "auto"
    """auto: cuda where there is a GPU, else cpu."""
    channels_last: bool = False
    """Keep channels innermost in memory: often faster on a GPU with bf16 or fp16."""
    frozen_images: str = ""
    """A folder in which images of a frozen network are kept and found again, by all runs; empty: they are computed in each pass."""
    compile: bool = False
    """Let torch compile the network for training steps: minutes at the start, faster steps on a GPU."""
    recompute: bool = False
    """Compute activations anew in the backward pass: the same gradients, less memory, more time."""
    checkpoint_min: float = 10.0
    """Minutes after which a checkpoint is also written within an epoch."""
    keep_checkpoints: int = 2
    """States of training that are kept while it goes on; afterwards the last one and best.pt are."""
    images_every: int = 10
    """Epochs between pictures of a validation slice of each task; epoch number `epochs` always has them. 0: none."""
    preview: bool = False
    """Also show, before training, what the network is given: the same slices, zero-filled."""
    show_volumes: tuple[str, ...] = ()
    """Names of test volumes of which every slice is shown at the end, with its number as the step."""
    export: bool = False
    """Also write the best network as best.pt2 (torch.export), checked against the original on a test slice."""
    keep_predictions: bool = True
    """Of predict: write the images of the test volumes to predictions.h5; false: measure them only."""

    def __post_init__(self) -> None:
        limit("train.epochs", self.epochs, self.epochs >= 1, "1 or more")
        limit("train.batch", self.batch, self.batch >= 1, "1 or more slices")
        limit("train.freeze", self.freeze, all(self.freeze), "starts of names, none of them empty")
        limit("train.clip_norm", self.clip_norm, self.clip_norm is None or self.clip_norm > 0, "above 0, or null")
        limit("train.ema_decay", self.ema_decay, 0 <= self.ema_decay < 1, "at least 0 and below 1")
        limit("train.patience", self.patience, self.patience is None or self.patience >= 1, "1 or more epochs, or null")
        limit("train.min_delta", self.min_delta, 0 <= self.min_delta < 1, "at least 0 and below 1")
        choice("train.precision", self.precision, PRECISIONS)
        self._check_means()

    def _check_means(self) -> None:
        limit("train.micro_batch", self.micro_batch, self.micro_batch is None or self.micro_batch >= 1, "1 or more slices, or null")
        limit("train.num_workers", self.num_workers, 0 <= self.num_workers <= 256, "between 0 and 256")
        if self.processes is not None:
            limit("train.processes", self.processes, self.processes >= 1, "1 or more, or null")
            wanted = f"at most train.batch ({self.batch}), so that each gets a slice"
            limit("train.processes", self.processes, self.processes <= self.batch, wanted)
        limit("train.threads", self.threads, self.threads is None or 1 <= self.threads <= 1024, "between 1 and 1024, or null")
        choice("train.device", self.device, DEVICES)
        limit("train.checkpoint_min", self.checkpoint_min, self.checkpoint_min > 0, "above 0 minutes")
        limit("train.keep_checkpoints", self.keep_checkpoints, self.keep_checkpoints >= 1, "1 or more")
        limit("train.images_every", self.images_every, self.images_every >= 0, "0 or more epochs")
