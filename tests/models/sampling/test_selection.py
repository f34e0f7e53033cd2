"""Exactly so many points, whatever the scores: ties, tiles that are cut off, infinities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.sampling.selection import repeat_tile, select, spread_order

SIZES = [(28, 28), (121, 145), (7, 5), (1, 9)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("part", [0.125, 0.25, 1.0])
def test_as_many_points_are_kept_as_asked_when_all_scores_are_equal(size, part):
    count = round(part * size[0] * size[1])
    kept = select(torch.zeros(2, *size), count, spread_order(size))
    assert kept.sum(dim=(1, 2)).tolist() == [count, count]


def test_the_largest_scores_are_kept():
    scores = torch.randn(5, 9, 7, generator=torch.Generator().manual_seed(1))
    kept = select(scores, 20, spread_order((9, 7)))
    for each, chosen in zip(scores, kept, strict=True):
        assert sorted(each[chosen].tolist()) == np.sort(each.numpy(), axis=None)[-20:].tolist()


def test_ties_at_the_edge_of_the_budget_are_broken_evenly_over_the_plane():
    scores = repeat_tile(torch.arange(16.0).reshape(1, 4, 4), (64, 64))
    kept = select(scores, 256 + 128, spread_order((64, 64)))[0]  # of 256 points of the second best position half are kept
    assert kept[3::4, 3::4].all()
    second = kept[3::4, 2::4]
    assert int(kept.sum()) == 384
    assert int(second.sum()) == 128
    quarters = second.reshape(2, 8, 2, 8).sum(dim=(1, 3))
    assert (quarters - 32).abs().max() <= 3


@pytest.mark.parametrize("size", SIZES)
def test_order_names_every_point_once(size):
    assert sorted(spread_order(size).tolist()) == list(range(size[0] * size[1]))


@pytest.mark.parametrize("size", [(8, 12), (121, 145), (3, 2)])
def test_tile_is_repeated_as_numpy_repeats_it_and_cut_off(size):
    tile = torch.arange(32.0).reshape(2, 4, 4)
    repeats = (1, -(-size[0] // 4), -(-size[1] // 4))
    assert np.array_equal(repeat_tile(tile, size).numpy(), np.tile(tile.numpy(), repeats)[:, : size[0], : size[1]])
