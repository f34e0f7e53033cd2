"""What a training run is told: typed, complete, checked. Imports no torch, so that a login node can check 10,000 of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from data.errors import BadInput
from data.kspace.description import KINDS, LEARNED_KINDS, MaskDescription, MaskRange
from data.limits import choice, limit, unknown
from data.volumes.description import LAYOUTS, OWN_MASKS, DataDescription, layout_of
from models.model_config import MODEL_KINDS, ModelConfig, SpiritConfig
from models.training_config import LoopConfig, LossConfig, OptimConfig, WeightingConfig
from models.unknown_keys import why_refused

MASKS = KINDS
TASKS = ("train", "train_and_predict", "predict")


MaskConfig = MaskDescription
"""Where k-space is sampled: fresh in training, fixed for each volume in validation and test."""


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One complete training run."""

    task: str = "train"
    """train: train, then measure the best weights on the test volumes; train_and_predict: keep their images too; predict: only this,
    with the network and weights of train.init_from. Whether predict keeps images says train.keep_predictions."""
    model: ModelConfig | None = None
    """The network. Left out for predict, where the checkpoint says it."""
    data: DataDescription
    """The volumes."""
    mask: MaskConfig = MaskConfig()
    """What is sampled of them."""
    train_mask: MaskRange | None = None
    """From what the masks of training are drawn, where they are not all as `mask` says."""
    test_mask: MaskConfig | None = None
    """What is sampled of the test volumes, where that is not as `mask` says."""
    loss: LossConfig = LossConfig()
    """What is made small."""
    weighting: WeightingConfig = WeightingConfig()
    """How tasks are weighed."""
    optim: OptimConfig = OptimConfig()
    """How."""
    train: LoopConfig = LoopConfig()
    """For how long, and with what means."""
    seed: int = 1
    """Decides first weights, order of slices, training masks and dropout."""

    def __post_init__(self) -> None:
        limit("seed", self.seed, 0 <= self.seed < 2**63, "0 or more, below 2 ** 63")
        choice("task", self.task, TASKS)
        self._check_masks()
        if self.task == "predict":
            limit("model", "set", self.model is None, "left out for task: predict; the checkpoint says which network it belongs to")
            limit("train.init_from", self.train.init_from, bool(self.train.init_from), "a checkpoint for task: predict")
        elif self.model is None:
            raise ValueError("Object missing required field `model`")
        kept = self.train.keep_predictions or self.task != "train_and_predict"
        limit("train.keep_predictions", self.train.keep_predictions, kept, "true for task: train_and_predict; task: train keeps none")

    def _check_masks(self) -> None:
        layout = layout_of(self.data)
        own = layout not in OWN_MASKS or (self.mask == MaskConfig() and self.train_mask is None and self.test_mask is None)
        limit("mask, train_mask, test_mask", "set", own, f"left out for data.layout {layout}: what is sampled is part of these data")
        learned = self.mask.kind in LEARNED_KINDS
        fits = not learned or self.model is None or isinstance(self.model, SpiritConfig)
        limit("mask.kind", self.mask.kind, fits, "another one for this model.kind; masks are learned with spirit")
        for key, mask in (("mask", self.mask), ("test_mask", self.test_mask)):
            leaves_nothing = mask is not None and mask.acceleration == 1 and isinstance(self.model, SpiritConfig)
            wanted = "above 1 for model.kind spirit, which keeps what is sampled: else there is nothing to fill in"
            limit(f"{key}.acceleration", 1.0, not leaves_nothing, wanted)
        limit("test_mask", "set", self.test_mask is None or not learned, "left out for a learned mask, which the test samples by as well")
        if self.train_mask is not None:
            limit("train_mask", "set", not learned, "left out for a learned mask, which has one budget")
            self.train_mask.of(self.mask)

    @property
    def training_masks(self) -> tuple[MaskConfig, ...]:
        """What is sampled in training: each slice as one of these says."""
        return (self.mask,) if self.train_mask is None else self.train_mask.of(self.mask)

    @property
    def asked_mask(self) -> MaskConfig | None:
        """What validation is to sample; None where that is part of the data."""
        return None if layout_of(self.data) in OWN_MASKS else self.mask

    @property
    def asked_test_mask(self) -> MaskConfig | None:
        """What the test is to sample; None where that is part of the data."""
        return None if layout_of(self.data) in OWN_MASKS else self.test_mask or self.mask

    @property
    def keeps_predictions(self) -> bool:
        """Whether the images of the test volumes are written to a file."""
        return self.task != "train" and self.train.keep_predictions

    @property
    def network(self) -> ModelConfig:
        """The network to be trained; of task: predict there is none."""
        assert self.model is not None
        return self.model


Config = TypeVar("Config", bound=msgspec.Struct)


def read_config(values: Mapping[str, Any]) -> TrainConfig:
    """Convert a plain mapping. Raises BadInput naming key, value and what is allowed; an unknown model or layout lists the known ones."""
    return read_config_as(TrainConfig, values)


def read_config_as(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """Convert a plain mapping to the config of a kind of training, as `read_config` does."""
    for section, key, known in (("model", "kind", MODEL_KINDS), ("data", "layout", LAYOUTS)):
        held = values.get(section)
        name = held.get(key) if isinstance(held, Mapping) else None
        if isinstance(name, str) and name not in known:
            raise BadInput(f"config: {section}.{key}: {unknown(name, known)}.")
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        why = why_refused(kind, values, error)
        raise BadInput(f"config: {why}. See docs/models.md and docs/data.md for what each key takes.") from error


def plain_config(config: TrainConfig) -> dict[str, Any]:
    """Return what a measurement of its network reads of a config, as plain values: the keys of a TrainConfig."""
    plain: dict[str, Any] = msgspec.to_builtins(config)
    return {key: plain[key] for key in TrainConfig.__struct_fields__}
