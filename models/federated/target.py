"""Batches of the target site's k-space, without end, and from any step of any round on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count

import torch
from torch.utils.data import DataLoader

from data.volumes.cache import cache_folder
from data.volumes.sampling import Bucket, ShuffledBatches
from data.volumes.unlabelled import Unlabelled, UnlabelledSlices, UnlabelledVolume, stack_unlabelled
from models.federated.config import FederatedConfig
from models.training.feed import batches, draw_one

PASSES = 1_000_000
"""More than a client can make over the target's slices in one turn: the passes of each turn have epoch numbers of their own."""


class TargetBatches:
    """What clients see of the target site: k-space of its training volumes, under-sampled as theirs is. There are no truths in it."""

    def __init__(self, volumes: tuple[UnlabelledVolume, ...], config: FederatedConfig, device: torch.device) -> None:
        buckets = [Bucket(shape=(*volume.shape[1:], *volume.size)) for volume in volumes for _ in range(volume.shape[0])]
        self._order = ShuffledBatches(buckets, batch=config.train.batch, micro_batch=config.train.batch, seed=config.seed)
        draw_mask = partial(draw_one, config.training_masks)
        slices = UnlabelledSlices(volumes, draw_mask, seed=config.seed, flips=config.data.flips, cache=cache_folder(config.data.cache))
        self._slices = slices
        self._device = device
        self._sites = len(config.sites.sites)
        self._loader = DataLoader(
            slices,
            batch_sampler=self._order,
            collate_fn=stack_unlabelled,
            num_workers=config.train.num_workers,
            pin_memory=device.type == "cuda",
            # its own generator: otherwise every iteration would take a number from the one that dropout uses
            generator=torch.Generator().manual_seed(0),
        )

    @property
    def volumes(self) -> tuple[UnlabelledVolume, ...]:
        """Scans that are seen."""
        return self._slices.volumes

    def stream(self, client: int, round_number: int, *, first: int) -> Iterator[Unlabelled]:
        """Yield the batches that a client sees in a round, from batch `first` on: passes over all slices, each in an order of its own."""
        for epoch in count((round_number * self._sites + client) * PASSES):
            self._order.set_position(epoch, first)
            if first < self._order.batches():
                yield from batches(self._loader, self._device)
            first = max(first - self._order.batches(), 0)

    def close(self) -> None:
        """Close the files of this process."""
        self._slices.reader.close()
