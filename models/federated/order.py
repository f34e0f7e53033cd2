"""The order of a round: its clients one after the other, each with all its local epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from data.volumes.sampling import Bucket, Pick, ShuffledBatches, plan_epoch
from models.federated.config import FederatedConfig

DRAWING = 2
"""Tells the numbers that draw the clients of a round from those of orders and masks."""


class RoundOrder(ShuffledBatches):
    """The batches of rounds, a round being the epoch of its base; a batch holds slices of one client.

    Of one client with one local epoch a round is an epoch of plain training: the same slices, masks and order.
    """

    def __init__(self, buckets: Sequence[Bucket], config: FederatedConfig) -> None:
        """buckets: one a slice of all clients together; their task is the number of the site in data.sites."""
        batch = config.train.batch
        super().__init__(buckets, batch=batch, micro_batch=config.train.micro_batch or batch, seed=config.seed)
        self._config = config

    def plan(self, epoch: int) -> list[list[Pick]]:
        """Return the batches of a round."""
        return [batch for client in participants(self._config, epoch) for batch in self._turn(client, epoch)]

    def _turn(self, client: int, round_number: int) -> Iterator[list[Pick]]:
        """Yield the batches of a client: in each local epoch all of its slices."""
        items = [item for item, bucket in enumerate(self._buckets) if bucket.task == client]
        own = [self._buckets[item] for item in items]
        passes = self._config.federated.local_epochs
        for epoch in range((round_number - 1) * passes + 1, round_number * passes + 1):
            planned = plan_epoch(own, batch=self._batch, sampling="none", seed=self._seed, epoch=epoch)
            yield from ([pick._replace(item=items[pick.item]) for pick in batch] for batch in planned)


def participants(config: FederatedConfig, round_number: int) -> tuple[int, ...]:
    """Return the clients of a round, by their numbers in data.sites: all, or federated.per_round of them, drawn by (seed, round)."""
    numbers = sorted(config.sites.sites.index(client) for client in config.federated.clients)
    wanted = config.federated.per_round or len(numbers)
    drawn = np.random.default_rng((config.seed, round_number, DRAWING)).permutation(numbers)[:wanted]
    return tuple(sorted(drawn.tolist()))


def shares(config: FederatedConfig, slices: Sequence[int], round_number: int) -> dict[int, float]:
    """Return how much each client of a round counts in its mean; the sum is 1. slices: training slices of each site."""
    clients = participants(config, round_number)
    sizes = {client: slices[client] if config.federated.average == "slices" else 1 for client in clients}
    return {client: size / sum(sizes.values()) for client, size in sizes.items()}
