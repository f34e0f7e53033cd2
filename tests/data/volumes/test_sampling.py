"""The order of slices: batches of one bucket, tasks sampled up and down, any position returned to."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from data.volumes.sampling import Bucket, Pick, ShuffledBatches, plan_epoch, sample_tasks

MIXED = [Bucket(task=0, shape=(5,))] * 5 + [Bucket(task=1, shape=(5,))] * 3 + [Bucket(task=1, shape=(7,))] * 4


def plan(epoch: int = 1, *, seed: int = 1, sampling: str = "none", batch: int = 2) -> list[list[Pick]]:
    return plan_epoch(MIXED, batch=batch, sampling=sampling, seed=seed, epoch=epoch)


def test_every_batch_is_of_one_bucket_and_every_slice_comes_once():
    batches = plan()
    assert all(len({MIXED[pick.item] for pick in batch}) == 1 for batch in batches)
    assert sorted(pick.item for batch in batches for pick in batch) == list(range(len(MIXED)))
    assert Counter(map(len, batches)) == {2: 2 + 1 + 2, 1: 1 + 1}  # 5 = 2 + 2 + 1, 3 = 2 + 1, 4 = 2 + 2


def test_buckets_come_mixed():
    for epoch in range(1, 6):
        order = [MIXED[batch[0].item] for batch in plan(epoch, batch=1)]
        changes = sum(before != after for before, after in pairwise(order))
        assert changes > len(set(MIXED)) - 1  # one after another, three buckets change twice


def test_order_is_a_function_of_seed_and_epoch():
    assert plan(2) == plan(2)
    assert [[pick.item for pick in batch] for batch in plan(3)] != [[pick.item for pick in batch] for batch in plan(2)]
    assert plan(2, seed=2) != plan(2)


@pytest.mark.parametrize("sampling", ["none", "upsample", "downsample"])
def test_order_continues_at_any_batch_of_any_epoch(sampling):
    order = ShuffledBatches(MIXED, batch=3, micro_batch=2, seed=4, sampling=sampling)
    order.set_position(6)
    whole = list(order)
    sizes = [order.batch_size(position) for position in range(order.batches())]
    ends = np.cumsum([0, *(-(-size // 2) for size in sizes)])  # micro-batches before each batch
    again = ShuffledBatches(MIXED, batch=3, micro_batch=2, seed=4, sampling=sampling)
    for position in range(len(sizes)):
        again.set_position(6, position)
        assert list(again) == whole[ends[position] :]
        assert again.batch_size(position) == sizes[position]


@pytest.mark.parametrize(("sampling", "expected"), [("none", (5, 7)), ("upsample", (7, 7)), ("downsample", (5, 5))])
def test_tasks_are_sampled_up_to_the_largest_or_down_to_the_smallest(sampling, expected):
    counts = Counter(MIXED[pick.item].task for batch in plan(sampling=sampling) for pick in batch)
    assert (counts[0], counts[1]) == expected


def test_up_sampling_repeats_all_slices_equally_often_but_for_a_remainder():
    chosen = sample_tasks([0] * 3 + [1] * 11, "upsample", np.random.default_rng(0))
    counts = Counter(item for item, _ in chosen)
    assert sorted(counts[item] for item in range(3)) == [3, 4, 4]  # 11 = 3 * 3 + 2
    assert all(counts[item] == 1 for item in range(3, 14))
    assert len(set(chosen)) == 22  # a repeat has a number of its own, and with it a mask of its own


def test_down_sampling_draws_other_slices_in_other_epochs():
    chosen = [{pick.item for batch in plan(epoch, sampling="downsample") for pick in batch} for epoch in range(1, 9)]
    assert len({frozenset(items) for items in chosen}) > 1
    assert all({0, 1, 2, 3, 4} <= items for items in chosen)
