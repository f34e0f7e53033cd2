"""Statistics against pandas and scipy, which compute them in another way."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from orchestrator.tables.statistics import Statistics, describe, mean_of_columns

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


@given(NUMBERS)
def test_mean_spread_and_interval_are_those_of_pandas_and_scipy(values: list[float]) -> None:
    found, series = describe(values), pd.Series(values)
    scale = max(map(abs, values)) + 1e-300
    assert found.n == len(values)
    for ours, theirs in ((found.mean, series.mean()), (found.std, series.std()), (found.median, series.median())):
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9 * scale)
    if series.std() > 1e-9 * scale:
        low, high = stats.t.interval(0.95, len(values) - 1, loc=series.mean(), scale=stats.sem(values))
        assert (found.low, found.high) == (pytest.approx(low, rel=1e-6, abs=1e-6 * scale), pytest.approx(high, rel=1e-6, abs=1e-6 * scale))
    assert (found.min, found.max) == (series.min(), series.max())


def test_the_interval_of_paired_differences_is_that_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(3)
    ours, base = rng.normal(0.9, 0.01, 7), rng.normal(0.88, 0.02, 7)
    found = describe(list(ours - base))
    expected = stats.ttest_rel(ours, base).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_one_value_has_no_spread_and_none_has_nothing() -> None:
    assert describe([0.5]) == Statistics(n=1, mean=0.5, median=0.5, min=0.5, max=0.5)
    assert describe([]) == Statistics(n=0)


def test_equal_values_have_an_interval_without_width() -> None:
    found = describe([0.1] * 3)
    assert (found.std, found.half_width) == (0.0, 0.0)
    assert found.low == found.high == pytest.approx(0.1)


def test_the_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    samples = [describe(list(rng.normal(5.0, 2.0, 4))) for _ in range(4000)]
    covered = np.mean([found.low < 5.0 < found.high for found in samples])
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


@pytest.mark.parametrize("values", [[1e200, 1.0], [1.7e308, 1.7e308], [-1.7e308, 1.7e308], [1e300, -1e300, 2.0]])
def test_numbers_of_a_run_that_went_astray_are_described_and_stop_nothing(values: list[float]) -> None:
    found = describe(values)
    assert found.mean == pytest.approx(np.mean([value / len(values) for value in values]) * len(values), rel=1e-9)
    assert (found.min, found.max) == (min(values), max(values))


def test_the_mean_of_a_column_is_that_of_its_finite_values() -> None:
    table = np.array([[1.0, 2.0, math.nan, math.inf], [3.0, math.nan, math.nan, 5.0], [5.0, math.nan, -math.inf, 7.0]])
    found = mean_of_columns(table)
    assert (found.n.tolist(), found.mean.tolist()) == ([3, 1, 0, 2], [3.0, 2.0, 0.0, 6.0])
    known = [describe([1.0, 3.0, 5.0]).half_width, 0.0, 0.0, describe([5.0, 7.0]).half_width]
    assert found.half.tolist() == pytest.approx(known, rel=1e-12)
    assert mean_of_columns(np.empty((0, 2))).n.tolist() == [0, 0]
