"""What a federated run is told besides what every training is: typed, complete, checked. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from data.limits import choice, limit
from data.volumes.description import SiteData, layout_of
from models.config import TrainConfig, read_config_as
from models.model_config import UnetConfig
from models.training_config import ConstantSchedule, OptimConfig

METHODS = ("fedavg", "mrcm")
AVERAGES = ("equal", "slices")
VALIDATED = ("clients", "target", "all")


class AlignmentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the features of the training sites are drawn towards those of the target site."""

    weight: float = 1.0
    """λ: the adversarial loss by the loss of the reconstruction."""
    hidden: int = 256
    """Features of the discriminators' hidden layer."""
    optim: OptimConfig = OptimConfig(lr=1e-3, schedule=ConstantSchedule())
    """How the discriminators learn; an epoch of its schedule is a round."""

    def __post_init__(self) -> None:
        limit("federated.alignment.weight", self.weight, 0 < self.weight < 1e6, "above 0; choose federated.method: fedavg to go without")
        limit("federated.alignment.hidden", self.hidden, 1 <= self.hidden <= 100_000, "1 or more")


class FederationConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who trains with whom, and how the weights come together."""

    method: str = "fedavg"
    """fedavg: rounds of local training, then the mean of the weights (McMahan 2017); mrcm: with alignment to the target (Guo 2021)."""
    clients: tuple[str, ...]
    """The sites that train, of data.sites."""
    target: str = ""
    """The site that the network is meant for, of data.sites; of mrcm it may be a client too. Empty, of fedavg only: none."""
    local_epochs: int = 1
    """Passes of a client over its training slices in each round."""
    average: str = "equal"
    """equal: each client counts as much; slices: as much as it has training slices."""
    keep_optimiser: bool = False
    """Clients keep the state of their optimisers from round to round; otherwise each round begins with a new one."""
    per_round: int | None = None
    """Clients that take part in a round, drawn anew for each by `seed`. None: all."""
    validate: str = "clients"
    """Whose validation volumes choose the best round: clients, target, or all of both."""
    alignment: AlignmentConfig = AlignmentConfig()
    """Of mrcm."""

    def __post_init__(self) -> None:
        choice("federated.method", self.method, METHODS)
        limit("federated.clients", self.clients, bool(self.clients), "one or more of data.sites")
        limit("federated.clients", self.clients, len(set(self.clients)) == len(self.clients), "sites that differ")
        limit("federated.local_epochs", self.local_epochs, self.local_epochs >= 1, "1 or more")
        choice("federated.average", self.average, AVERAGES)
        choice("federated.validate", self.validate, VALIDATED)
        few = self.per_round is None or 1 <= self.per_round <= len(self.clients)
        limit("federated.per_round", self.per_round, few, f"between 1 and {len(self.clients)}, the number of federated.clients, or null")
        self._check_target()

    def _check_target(self) -> None:
        limit("federated.target", self.target, self.validate == "clients" or bool(self.target), "a site, since federated.validate names it")
        if self.method != "mrcm":
            limit("federated.alignment", "set", self.alignment == AlignmentConfig(), "left out unless federated.method is mrcm")
            return
        limit("federated.target", self.target, bool(self.target), "a site, to which mrcm aligns")
        limit("federated.clients", self.clients, self.clients != (self.target,), "other than the target alone: mrcm would align nothing")

    @property
    def aligned(self) -> tuple[str, ...]:
        """Clients whose features are drawn towards the target's; it does not need that itself."""
        return tuple(client for client in self.clients if client != self.target) if self.method == "mrcm" else ()

    @property
    def validated(self) -> tuple[str, ...]:
        """Sites whose validation volumes choose the best round."""
        named = {"clients": self.clients, "target": (self.target,), "all": (*self.clients, self.target)}[self.validate]
        return tuple(dict.fromkeys(named))


class FederatedConfig(TrainConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One complete federated run. What is an epoch in training is a round here; the test measures every site of data.sites."""

    federated: FederationConfig
    """Who trains with whom."""

    def __post_init__(self) -> None:
        super().__post_init__()
        limit("data.layout", layout_of(self.data), isinstance(self.data, SiteData), "sites for federated training")
        for key, names in (("clients", self.federated.clients), ("target", (self.federated.target,))):
            for name in filter(None, names):
                choice(f"federated.{key}", name, self.sites.sites)
        limit("task", self.task, self.task != "predict", "train or train_and_predict; models.training:train predicts with a best.pt")
        limit("weighting.kind", self.weighting.kind, self.weighting.kind == "none", "none: federated.average says how sites are weighed")
        alone = self.train.processes in (None, 1) and not self.train.split
        limit("train.processes, train.split", "set", alone, "left out: clients train one after the other, on one device")
        limit("train.ema_decay", self.train.ema_decay, self.train.ema_decay == 0, "0: the weights of a round are a mean already")
        if self.federated.method == "mrcm":
            self._check_alignment()

    def _check_alignment(self) -> None:
        kind = str(self.network.__struct_config__.tag)
        limit("model.kind", kind, isinstance(self.model, UnetConfig), "unet for federated.method mrcm, which aligns the bottom of a U-Net")
        limit("train.precision", self.train.precision, self.train.precision == "float32", "float32 for federated.method mrcm")
        limit("train.micro_batch", self.train.micro_batch, self.train.micro_batch is None, "null for federated.method mrcm")

    @property
    def sites(self) -> SiteData:
        """Where the sites and their data are."""
        assert isinstance(self.data, SiteData)
        return self.data


def read_federated(values: Mapping[str, Any]) -> FederatedConfig:
    """Convert a plain mapping. Raises BadInput naming key, value and what is allowed."""
    return read_config_as(FederatedConfig, values)
