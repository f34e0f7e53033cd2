"""How a cine network may be regularised, one way a network: typed, checked, without torch."""

from __future__ import annotations

import msgspec

from data.limits import limit


class NoRegularisation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="none"):
    """Nothing but the data."""


class L1Regularisation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="l1"):
    """The loss grows with the sum of the kernels' absolute values."""

    l1: float = 1e-5
    """Factor of the sum."""

    def __post_init__(self) -> None:
        _penalty("l1", self.l1)


class L2Regularisation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="l2"):
    """The loss grows with the sum of the kernels' squares."""

    l2: float = 1e-5
    """Factor of the sum."""

    def __post_init__(self) -> None:
        _penalty("l2", self.l2)


class L1L2Regularisation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="l1_l2"):
    """Both sums."""

    l1: float = 1e-5
    """Factor of the sum of absolute values."""
    l2: float = 1e-5
    """Factor of the sum of squares."""

    def __post_init__(self) -> None:
        _penalty("l1", self.l1)
        _penalty("l2", self.l2)


class BatchNorm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="batch_norm"):
    """Batch normalisation after every convolution (Ioffe and Szegedy 2015)."""


class InstanceNorm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="instance_norm"):
    """Instance normalisation after every convolution, over the axes that it sees (Ulyanov et al. 2016)."""


class Dropout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="dropout"):
    """Dropout of single values after every convolution."""

    drop_prob: float = 0.2
    """Probability with which a value is dropped in training."""

    def __post_init__(self) -> None:
        limit("model.regularisation.drop_prob", self.drop_prob, 0 <= self.drop_prob < 1, "at least 0 and below 1")


class DropBlocks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="dropblock"):
    """DropBlock after every convolution over planes or volumes (Ghiasi et al. 2018)."""

    keep_prob: float = 0.9
    """Part of the values that is kept in training."""
    block_size: int = 5
    """Points of a block along each axis."""
    ramp_epochs: int = 0
    """Epochs in which the kept part falls from 1 to keep_prob; 0: keep_prob from the start."""

    def __post_init__(self) -> None:
        limit("model.regularisation.keep_prob", self.keep_prob, 0 < self.keep_prob <= 1, "above 0 and at most 1")
        limit("model.regularisation.block_size", self.block_size, 1 <= self.block_size <= 64, "between 1 and 64")
        limit("model.regularisation.ramp_epochs", self.ramp_epochs, self.ramp_epochs >= 0, "0 or more epochs")


def _penalty(name: str, value: float) -> None:
    limit(f"model.regularisation.{name}", value, 0 <= value < 100, "at least 0 and below 100")


Regularisation = (
    NoRegularisation | L1Regularisation | L2Regularisation | L1L2Regularisation | BatchNorm | InstanceNorm | Dropout | DropBlocks
)
"""By model.regularisation.kind."""
