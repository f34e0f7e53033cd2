"""In which order slices are visited: a function of seed and epoch, so that any position can be returned to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from torch.utils.data import Sampler

from data.volumes.volume import Volume


class Pick(NamedTuple):
    """What a dataset is asked for: a slice, and in which epoch, since its mask may depend on it."""

    epoch: int
    item: int
    """Index of the slice in its data set."""
    repeat: int = 0
    """How often the epoch had it before, where up-sampling repeats slices."""


FLIPS = 1
"""Tells the numbers that decide about mirroring from those of the masks."""


class Share(NamedTuple):
    """Which slices of each batch a process loads, where several train together: every `ranks`-th from its `rank`-th on."""

    rank: int = 0
    ranks: int = 1

    def of(self, batch: list[Pick]) -> list[Pick]:
        """Return our part of a batch; it may hold nothing."""
        return batch[self.rank :: self.ranks]


def rng_of_pick(seed: int, pick: Pick, *use: int) -> Generator:
    """Return a generator that depends on seed, epoch, slice and use alone."""
    return np.random.default_rng((seed, pick.epoch, pick.item, pick.repeat, *use))


class Bucket(NamedTuple):
    """What all slices of a batch have in common."""

    task: int = 0
    shape: tuple[int, ...] = ()
    """Lengths of the axes of k-space without the slices, those of the target, and what else comes with them."""


def buckets_of(volumes: Sequence[Volume]) -> list[Bucket]:
    """Return the bucket of each slice of some volumes, in their order."""
    return [
        Bucket(task=volume.task or 0, shape=(*volume.shape[1:], *volume.size, int(volume.has_grappa)))
        for volume in volumes
        for _ in range(volume.shape[0])
    ]


def plan_epoch(buckets: Sequence[Bucket], *, batch: int, sampling: str, seed: int, epoch: int) -> list[list[Pick]]:
    """Return the batches of an epoch in their order, each of one bucket, as (seed, epoch) decides.

    buckets: one a slice. sampling: none, upsample or downsample, as `sample_tasks` says. The last batch of each bucket holds what is left.
    """
    rng = np.random.default_rng((seed, epoch))
    picks = [Pick(epoch, item, repeat) for item, repeat in sample_tasks([bucket.task for bucket in buckets], sampling, rng)]
    filled: dict[Bucket, list[Pick]] = {}
    for place in rng.permutation(len(picks)):
        filled.setdefault(buckets[picks[place].item], []).append(picks[place])
    batches = [held[start : start + batch] for held in filled.values() for start in range(0, len(held), batch)]
    return [batches[place] for place in rng.permutation(len(batches))] if len(filled) > 1 else batches


def sample_tasks(tasks: Sequence[int], sampling: str, rng: Generator) -> list[tuple[int, int]]:
    """Return (item, repeat) of the slices of an epoch. tasks: one a slice.

    none: each slice once. upsample: of every task as many as the largest has; each slice comes equally often, but for a remainder
    drawn without replacement. downsample: of every task as many as the smallest has, drawn without replacement.
    """
    if sampling == "none":
        return [(item, 0) for item in range(len(tasks))]
    items = {task: [item for item, other in enumerate(tasks) if other == task] for task in sorted(set(tasks))}
    sizes = [len(held) for held in items.values()]
    wanted = max(sizes) if sampling == "upsample" else min(sizes)
    return [pick for held in items.values() for pick in _repeat(held, wanted, rng)]


def _repeat(items: Sequence[int], wanted: int, rng: Generator) -> list[tuple[int, int]]:
    copies, rest = divmod(wanted, len(items))
    remainder = sorted(rng.permutation(len(items))[:rest].tolist())
    return [(item, repeat) for repeat in range(copies) for item in items] + [(items[place], copies) for place in remainder]


class ShuffledBatches(Sampler[list[Pick]]):
    """The micro-batches of one epoch, shuffled by (seed, epoch).

    Each batch of `batch` slices, all of one bucket, is cut into micro-batches of at most `micro_batch`; none reaches over the end of
    a batch. The last batch of a bucket holds what is left. `set_position` starts a later iteration at any batch of any epoch.
    With a `share`, only this part of each batch is visited.
    """

    def __init__(
        self, buckets: Sequence[Bucket], *, batch: int, micro_batch: int, seed: int, sampling: str = "none", share: Share = Share()
    ) -> None:
        self._buckets = tuple(buckets)
        self._batch = batch
        self._micro_batch = micro_batch
        self._seed = seed
        self._sampling = sampling
        self._share = share
        self._epoch = 1
        self._first = 0
        self._planned: tuple[int, list[list[Pick]]] | None = None

    def set_position(self, epoch: int, first: int = 0) -> None:
        """Let the next iteration be that of `epoch`, from its batch `first` on."""
        self._epoch, self._first = epoch, first

    def batches(self) -> int:
        """Return the number of batches in the whole epoch that was set last."""
        return len(self._plan())

    def batch_size(self, position: int) -> int:
        """Return how many slices batch `position` of that epoch holds."""
        return len(self._plan()[position])

    def share_size(self, position: int) -> int:
        """Return how many of them are ours."""
        return len(self._share.of(self._plan()[position]))

    def task(self, position: int) -> int:
        """Return the number of the task that they belong to."""
        return self._buckets[self._plan()[position][0].item].task

    def __iter__(self) -> Iterator[list[Pick]]:
        for batch in self._plan()[self._first :]:
            own = self._share.of(batch)
            for start in range(0, len(own), self._micro_batch):
                yield own[start : start + self._micro_batch]

    def _plan(self) -> list[list[Pick]]:
        """Return the batches of the epoch that was set last, planned once."""
        if self._planned is None or self._planned[0] != self._epoch:
            self._planned = (self._epoch, self.plan(self._epoch))
        return self._planned[1]

    def plan(self, epoch: int) -> list[list[Pick]]:
        """Return the batches of an epoch."""
        return plan_epoch(self._buckets, batch=self._batch, sampling=self._sampling, seed=self._seed, epoch=epoch)


class InOrder(Sampler[list[Pick]]):
    """Every slice once, volume after volume: for evaluation."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[list[Pick]]:
        return iter([[Pick(0, index)] for index in range(self._length)])


class VolumeByVolume(Sampler[list[Pick]]):
    """Every slice once, volume after volume, at most `batch` slices at a time and all of one volume: for evaluation."""

    def __init__(self, volumes: Sequence[Volume], *, batch: int) -> None:
        ends = np.cumsum([0, *(volume.shape[0] for volume in volumes)]).tolist()
        self._batches = [
            [Pick(0, item) for item in range(start, min(start + batch, last))]
            for first, last in pairwise(ends)
            for start in range(first, last, batch)
        ]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Pick]]:
        return iter(self._batches)
