"""Columns against the formulas of fastMRI, written here once more, for the same draw of offset or numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.kspace.budget import binomial, spaced, thin
from data.kspace.calibration import center_columns
from data.kspace.columns import COLUMNS, magic_columns
from data.kspace.masks import draw_mask

WIDTHS = [320, 367, 368, 96, 33]


def columns(kind: str, width: int, acceleration: float, seed: int, center_fraction: float = 0.08):
    rng = np.random.default_rng(seed)
    return draw_mask(kind, width, center_fraction=center_fraction, acceleration=acceleration, rng=rng).columns


def fastmri_center(width: int, fraction: float) -> np.ndarray:
    low = round(width * fraction)
    pad = (width - low + 1) // 2
    return np.array([pad <= column < pad + low for column in range(width)])


def offset_of(seed: int, most: int) -> int:
    return int(np.random.default_rng(seed).integers(0, most))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(4))
def test_random_columns_are_those_of_fastmri(width, seed):
    center = fastmri_center(width, 0.08)
    probability = (width / 4 - center.sum()) / (width - center.sum())
    expected = (np.random.default_rng(seed).random(width) < probability) | center
    np.testing.assert_array_equal(columns("random", width, 4, seed), expected)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(4))
def test_equispaced_columns_are_those_of_fastmri(width, seed):
    expected = fastmri_center(width, 0.08)
    expected[offset_of(seed, 4) :: 4] = True
    np.testing.assert_array_equal(columns("equispaced", width, 4, seed), expected)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(8))
def test_equispaced_fraction_columns_are_those_of_fastmri_but_for_the_last_which_it_never_samples(width, seed):
    center = fastmri_center(width, 0.08)
    low = int(center.sum())
    adjusted = (4 * (low - width)) / (low * 4 - width)
    expected = center.copy()
    expected[np.around(np.arange(offset_of(seed, round(adjusted)), width - 1, adjusted)).astype(int)] = True
    np.testing.assert_array_equal(columns("equispaced_fraction", width, 4, seed)[:-1], expected[:-1])


def fastmri_magic(width: int, spacing: int, offset: int) -> np.ndarray:
    ahead, behind = (offset + 1, offset + 2) if offset % 2 == 0 else (offset - 1 + 3, offset - 1)
    frequencies = np.arange(width) - width // 2
    positive = (frequencies >= ahead) & ((frequencies - ahead) % spacing == 0)
    negative = (-frequencies - 1 >= behind) & ((-frequencies - 1 - behind) % spacing == 0)
    return positive | negative


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(6))
def test_magic_columns_are_those_of_fastmri(width, seed):
    expected = fastmri_magic(width, 4, offset_of(seed, 4)) | fastmri_center(width, 0.08)
    np.testing.assert_array_equal(columns("magic", width, 4, seed), expected)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(6))
def test_magic_fraction_columns_are_those_of_fastmri(width, seed):
    center = fastmri_center(width, 0.08)
    spacing = round(width / (round(width / 4) - center.sum()))
    expected = fastmri_magic(width, spacing, offset_of(seed, spacing)) | center
    np.testing.assert_array_equal(columns("magic_fraction", width, 4, seed), expected)


@given(st.integers(9, 200), st.integers(3, 12), st.integers(0, 30))
def test_magic_never_samples_a_frequency_and_its_mirror(width, acceleration, seed):
    width += 1 - width % 2  # with an odd width every frequency has its mirror
    kept = magic_columns(np.zeros(width, dtype=bool), acceleration, np.random.default_rng(seed))
    mirrored = kept & kept[::-1]
    assert not mirrored.any()


@pytest.mark.parametrize("seed", range(8))
def test_equispaced_columns_have_one_distance_outside_the_centre(seed):
    kept = columns("equispaced", 100, 4, seed)
    outside = np.flatnonzero(kept & ~center_columns(100, 0.08))
    assert set(outside % 4) == {outside[0] % 4}
    assert kept.mean() > 1 / 4  # the centre comes on top


@pytest.mark.parametrize(("width", "expected"), [(10, [4, 5, 6, 7]), (9, [3, 4, 5, 6]), (11, [4, 5, 6, 7])])
def test_centre_of_four_columns_lies_about_the_middle(width, expected):
    # (10 - 4 + 1) // 2 = 3: fastMRI's rule, one column left of the symmetric place when both are even
    start = (width - 4 + 1) // 2
    assert np.flatnonzero(center_columns(width, 4 / width)).tolist() == list(range(start, start + 4))


@pytest.mark.parametrize("kind", ["equispaced_fraction", "magic_fraction", "random"])
def test_centre_that_is_all_of_the_budget_leaves_nothing_else(kind):
    kept = COLUMNS[kind](center_columns(40, 0.25), 4, np.random.default_rng(0))
    assert not kept.any()


def test_magic_refuses_a_broken_acceleration():
    with pytest.raises(ValueError, match=r"whole acceleration, got 5.5"):
        magic_columns(np.zeros(40, dtype=bool), 5.5, np.random.default_rng(0))


@given(st.integers(0, 60), st.floats(1, 20), st.integers(0, 40))
def test_bounds_of_a_spaced_series_hold_wherever_it_starts(length, spacing, start):
    positions = np.round(np.arange(-500, 500) * spacing).astype(int)
    count = int(((positions >= start) & (positions < start + length)).sum())
    low, high = spaced([length], spacing)
    assert low <= count <= high
    assert high - low <= 2


@pytest.mark.parametrize(("count", "probability"), [(0, 0.3), (30, 0.0), (30, 1.0)])
def test_bounds_of_a_draw_without_chance_are_exact(count, probability):
    expected = count if probability == 1 else 0
    assert binomial(count, probability) == (expected, expected)


def test_bounds_of_a_random_draw_are_seven_deviations_wide():
    # n p = 250, sqrt(n p (1 - p)) = 13.7: a chance of 1e-12 lies about 7 deviations out
    low, high = binomial(1000, 0.25)
    assert (250 - low) / 13.7 == pytest.approx(7, abs=0.4)
    assert (high - 250) / 13.7 == pytest.approx(7, abs=0.4)


@given(st.integers(1, 300), st.integers(0, 300))
def test_thinning_keeps_the_count_and_spreads_what_it_drops(places, count):
    kept = thin(np.ones(places, dtype=bool), count)
    assert kept.sum() == min(places, count)
    # of the first m places, m * count / n are kept, up to one
    proportional = np.arange(1, places + 1) * min(count / places, 1)
    assert np.abs(np.cumsum(kept) - proportional).max() <= 1
