"""Column masks: what they keep, that they say so, and that fixed ones stay the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadInput
from data.kspace.masks import MASK_KINDS, center_columns, draw_mask, rng_of_name

ROOT = Path(__file__).parents[3]
KINDS = sorted(MASK_KINDS)


def draw(kind: str, width: int = 97, *, acceleration: float = 4, seed: int = 0, acquired: slice = slice(None)):
    rng = np.random.default_rng(seed)
    return draw_mask(kind, width, center_fraction=0.08, acceleration=acceleration, rng=rng, acquired=acquired)


@given(st.sampled_from(KINDS), st.integers(20, 400), st.sampled_from([2, 4, 5.5, 8]), st.integers(0, 50))
def test_mask_holds_the_centre_and_reports_what_it_samples(kind, width, acceleration, seed):
    mask = draw(kind, width, acceleration=acceleration, seed=seed)
    assert mask.columns.shape == (width,)
    assert mask.columns[center_columns(width, 0.08)].all()
    assert mask.sampled_fraction == pytest.approx(mask.columns.mean())


@pytest.mark.parametrize("width", [320, 368, 97])
def test_random_masks_sample_the_asked_fraction_on_average(width):
    fractions = [draw("random", width, seed=seed).sampled_fraction for seed in range(400)]
    assert np.mean(fractions) == pytest.approx(1 / 4, abs=0.01)


@pytest.mark.parametrize("acceleration", [4, 8])
@pytest.mark.parametrize("width", [320, 367])
def test_equispaced_fraction_samples_the_asked_fraction_each_time(width, acceleration):
    fractions = [draw("equispaced_fraction", width, acceleration=acceleration, seed=seed).sampled_fraction for seed in range(20)]
    assert all(fraction == pytest.approx(1 / acceleration, abs=0.015) for fraction in fractions)


@pytest.mark.parametrize("seed", range(8))
def test_equispaced_columns_have_one_distance_outside_the_centre(seed):
    mask = draw("equispaced", 100, seed=seed)
    outside = np.flatnonzero(mask.columns & ~center_columns(100, 0.08))
    assert set(outside % 4) == {outside[0] % 4}
    assert mask.sampled_fraction > 1 / 4  # the centre comes on top


@pytest.mark.parametrize(("width", "expected"), [(10, [4, 5, 6, 7]), (9, [3, 4, 5, 6]), (11, [4, 5, 6, 7])])
def test_centre_of_four_columns_lies_about_the_middle(width, expected):
    # (10 - 4 + 1) // 2 = 3: fastMRI's rule, one column left of the symmetric place when both are even
    start = (width - 4 + 1) // 2
    assert np.flatnonzero(center_columns(width, 4 / width)).tolist() == list(range(start, start + 4))


def test_padding_is_never_sampled_and_not_counted():
    mask = draw("random", 40, seed=3, acquired=slice(5, 33))
    assert not mask.columns[:5].any()
    assert not mask.columns[33:].any()
    assert mask.sampled_fraction == pytest.approx(mask.columns.sum() / 28)


def test_same_name_gives_the_same_mask_in_another_process():
    code = "from data.kspace.masks import rng_of_name; print(rng_of_name('file1000000 ü').random(3).tolist())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env={"PYTHONHASHSEED": "7"})
    assert other.stdout.strip() == str(rng_of_name("file1000000 ü").random(3).tolist())
    assert rng_of_name("file1000001").random() != rng_of_name("file1000000").random()


def test_drawing_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state that must not change
    draw("random")
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_unknown_kind_names_the_known_ones():
    with pytest.raises(BadInput, match=r"'spiral' is unknown. Known: equispaced, equispaced_fraction, random"):
        draw("spiral")


def test_centre_larger_than_the_budget_is_refused_with_the_numbers():
    with pytest.raises(BadInput, match=r"8 columns .*0.08.* 97 columns / acceleration 20"):
        draw("random", acceleration=20)
