"""In which order slices are visited: a function of seed and epoch, so that any position can be returned to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler


class Pick(NamedTuple):
    """What a dataset is asked for: a slice, and in which epoch, since its mask may depend on it."""

    epoch: int
    item: int
    """Index of the slice in its data set."""


class ShuffledBatches(Sampler[list[Pick]]):
    """The micro-batches of one epoch, shuffled by (seed, epoch).

    Each batch of `batch` slices is cut into micro-batches of at most `micro_batch`; none reaches over the end of a batch.
    The last batch of an epoch holds what is left. `set_position` starts a later iteration at any batch of any epoch.
    """

    def __init__(self, length: int, *, batch: int, micro_batch: int, seed: int) -> None:
        self._length = length
        self._batch = batch
        self._micro_batch = micro_batch
        self._seed = seed
        self._epoch = 1
        self._first = 0

    def set_position(self, epoch: int, first: int = 0) -> None:
        """Let the next iteration be that of `epoch`, from its batch `first` on."""
        self._epoch, self._first = epoch, first

    def batches(self) -> int:
        """Return the number of batches in a whole epoch."""
        return -(-self._length // self._batch)

    def batch_size(self, position: int) -> int:
        """Return how many slices batch `position` of an epoch holds."""
        return min(self._batch, self._length - position * self._batch)

    def __iter__(self) -> Iterator[list[Pick]]:
        order = np.random.default_rng((self._seed, self._epoch)).permutation(self._length)
        picks = [Pick(self._epoch, int(index)) for index in order]
        for position in range(self._first, self.batches()):
            batch = picks[position * self._batch : (position + 1) * self._batch]
            for start in range(0, len(batch), self._micro_batch):
                yield batch[start : start + self._micro_batch]


class InOrder(Sampler[list[Pick]]):
    """Every slice once, volume after volume: for evaluation."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[list[Pick]]:
        return iter([[Pick(0, index)] for index in range(self._length)])
