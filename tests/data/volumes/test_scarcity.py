"""Making a data set scarce: halves within halves, never nothing."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from data.volumes.scarcity import halve

FILES = [Path(f"{number:02d}.h5") for number in range(20)]


def test_each_half_lies_within_the_one_before():
    halves = [halve(FILES, halvings, seed=333) for halvings in range(7)]
    assert [len(half) for half in halves] == [20, 10, 5, 2, 1, 1, 1]
    assert halves[0] == FILES
    assert all(set(smaller) <= set(larger) for larger, smaller in pairwise(halves))


def test_subsets_are_those_that_the_generator_draws_one_after_another():
    rng = np.random.default_rng(333)
    first = rng.choice(20, 10, replace=False)
    second = rng.choice(first, 5, replace=False)
    assert halve(FILES, 2, seed=333) == [FILES[place] for place in sorted(second)]
    assert halve(FILES, 2, seed=334) != halve(FILES, 2, seed=333)


@pytest.mark.parametrize("halvings", [0, 1, 9])
def test_one_volume_stays(halvings):
    assert halve(FILES[:1], halvings, seed=333) == FILES[:1]
