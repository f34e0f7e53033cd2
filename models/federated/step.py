"""One network that clients train in turn: what is swapped between them, and how it comes together at the end of a round."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models.federated.alignment import Alignment
from models.federated.averaging import add_share, as_weights
from models.federated.config import FederatedConfig
from models.federated.order import shares
from models.federated.target import TargetBatches
from models.model_config import UnetConfig
from models.optimiser import set_rates
from models.reconstruction import Reconstruction
from models.training.feed import AnySample
from models.training.step import Stepper
from models.training.tasks import task_of
from models.unet import ZeroFilledUnet, level_widths


class FederatedStepper(Stepper):
    """A Stepper whose epochs are rounds; each batch belongs to the client that its task names, and clients come one after the other.

    Every client begins with the weights that all share. After a round these are the mean of what the clients made of them.
    """

    config: FederatedConfig

    def __init__(self, config: FederatedConfig, slices: tuple[int, ...], target: TargetBatches | None, device: torch.device) -> None:
        """slices: training slices of each site. target: what mrcm aligns to."""
        super().__init__(config, slices, (device,))
        self._slices = slices
        self._fresh = self.optimiser.state_dict()
        self._round = 0
        self._client: int | None = None
        self._shared: dict[str, Tensor] = {}
        self._sums: dict[str, Tensor] | None = None
        self._optimisers: dict[int, dict[str, Any]] = {}
        self.alignments = self._make_alignments(target)

    def begin_epoch(self, epoch: int) -> float:
        """Begin a round, or go on with one. Returns the learning rate."""
        if epoch != self._round:
            self._round, self._client, self._sums = epoch, None, None
            self._shared = {name: values.clone() for name, values in self.model.state_dict().items()}
        for alignment in self.alignments.values():
            alignment.begin_round(epoch)
        return super().begin_epoch(epoch)

    def add_gradients(self, sample: AnySample, size: int) -> Tensor:
        """Add the gradient of a micro-batch; the first one of a client also hands over to it."""
        if task_of(sample) != self._client:
            self._finish_client()
            self._begin_client(task_of(sample))
        return super().add_gradients(sample, size)

    def further(self, reconstruction: Reconstruction, sample: AnySample) -> Tensor:
        """Return the penalty of the weights and the adversarial loss of the client, where it is aligned."""
        penalty = super().further(reconstruction, sample)
        alignment = self.alignments.get(task_of(sample))
        if alignment is None:
            return penalty
        assert reconstruction.bottom is not None
        return penalty + alignment.term(reconstruction.bottom)

    def end_epoch(self) -> None:
        """Let the last client finish, and take the mean of all."""
        self._finish_client()
        if self._sums is not None:
            self.model.load_state_dict(as_weights(self._sums, like=self._shared))
            self._sums, self._shared = None, {}

    def measured(self) -> dict[str, float]:
        """Return what the adversaries of a round achieved: alignment/accuracy/B and so on."""
        sites = self.config.sites.sites
        found = {sites[client]: alignment.measured() for client, alignment in self.alignments.items()}
        return {f"alignment/{name}/{site}": value for site, values in found.items() for name, value in values.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on, but the generators: also within a round."""
        return super().state_dict() | {
            "round": self._round,
            "client": self._client,
            "shared": self._shared,
            "sums": self._sums,
            "optimisers": self._optimisers,
            "alignments": {client: alignment.state_dict() for client, alignment in self.alignments.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        super().load_state_dict(state)
        self._round, self._client, self._optimisers = state["round"], state["client"], state["optimisers"]
        self._shared = self._here(state["shared"])
        self._sums = None if state["sums"] is None else self._here(state["sums"])
        for client, alignment in self.alignments.items():
            alignment.load_state_dict(state["alignments"][client])

    def _make_alignments(self, target: TargetBatches | None) -> dict[int, Alignment]:
        if target is None:
            return {}
        model, network, federated = self.model, self.config.network, self.config.federated
        assert isinstance(model, ZeroFilledUnet) and isinstance(network, UnetConfig)
        channels = level_widths(network.chans, network.pools)[-1]
        clients = sorted(self.config.sites.sites.index(client) for client in federated.aligned)
        return {client: Alignment(federated.alignment, model, target, client=client, channels=channels) for client in clients}

    def _begin_client(self, client: int) -> None:
        self._client = client
        self.model.load_state_dict(self._shared)
        self.optimiser.load_state_dict(self._optimisers.get(client, self._fresh))
        set_rates(self.optimiser, self.config.optim, self._round)

    def _finish_client(self) -> None:
        """Add what the client has made of the shared weights to the mean."""
        if self._client is None:
            return
        share = shares(self.config, self._slices, self._round)[self._client]
        self._sums = add_share(self._sums, self.model.state_dict(), share)
        if self.config.federated.keep_optimiser:
            self._optimisers[self._client] = self.optimiser.state_dict()
        if self._client in self.alignments:
            self.alignments[self._client].end_turn()
        self._client = None

    def _here(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        device = next(self.model.parameters()).device
        return {name: values.to(device) for name, values in weights.items()}
