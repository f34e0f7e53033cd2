"""Masks: what they keep, that they say so, that they are held to it, and that fixed ones stay the same."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data.errors import BadInput
from data.kspace.budget import Budget
from data.kspace.calibration import calibration_points, center_columns
from data.kspace.description import CALIBRATIONS, COLUMN_KINDS, PLANE_KINDS, MaskDescription
from data.kspace.masks import draw, draw_mask, rng_of_name

ROOT = Path(__file__).parents[3]
FIXED = ("uniform", "column_uniform", "caipirinha", "tile_random")


def drawn(kind: str, width: int = 97, *, acceleration: float = 4, seed: int = 0, acquired: slice = slice(None)):
    rng = np.random.default_rng(seed)
    return draw_mask(kind, width, center_fraction=0.08, acceleration=acceleration, rng=rng, acquired=acquired)


def plane(kind: str, size: tuple[int, int] = (31, 37), *, draw_seed: int = 0, acquired: slice = slice(None), **keys: object):
    description = msgspec.convert({"kind": kind, **keys}, MaskDescription)
    return draw(description, size, np.random.default_rng(draw_seed), acquired=acquired)


@given(
    st.sampled_from(COLUMN_KINDS),
    st.integers(20, 400),
    st.sampled_from([2, 4, 5, 5.5, 8]),
    st.sampled_from([0, 0.04, 0.08, 0.12]),
    st.integers(0, 9),
    st.integers(0, 50),
)
def test_columns_hold_the_centre_and_report_what_they_sample(kind, width, acceleration, center_fraction, padding, seed):
    if kind == "magic":
        acceleration = round(acceleration)
    acquired = slice(padding, width - padding // 2)
    centre = center_columns(width, center_fraction)[acquired]
    assume(centre.sum() <= len(centre) / acceleration)  # others are refused: see the tests of budgets
    rng = np.random.default_rng(seed)
    mask = draw_mask(kind, width, center_fraction=center_fraction, acceleration=acceleration, rng=rng, acquired=acquired)
    assert mask.kept.shape == (1, width)
    assert mask.columns[acquired][centre].all()
    assert mask.columns.sum() == mask.columns[acquired].sum()
    assert mask.sampled_fraction == pytest.approx(mask.columns[acquired].mean())
    assert abs(mask.sampled_fraction - mask.asked_fraction) <= mask.tolerance + 1e-9


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(PLANE_KINDS),
    st.tuples(st.integers(20, 45), st.integers(20, 45)),
    st.sampled_from([2, 4, 8]),
    st.sampled_from(CALIBRATIONS),
    st.integers(0, 1),
    st.integers(0, 5),
)
def test_points_keep_to_the_budget_with_the_calibration_region_inside(kind, size, acceleration, calibration, padding, seed):
    keys = {"acceleration_y": 2} if kind == "caipirinha" else {}
    acquired = slice(padding, size[1] - padding)
    mask = plane(kind, size, draw_seed=seed, acquired=acquired, acceleration=acceleration, calibration=calibration, **keys)
    inside = mask.kept[:, acquired]
    assert mask.kept.shape == size
    assert mask.kept.sum() == inside.sum()
    assert inside[calibration_points(size, calibration, 0.08)[:, acquired]].all()
    assert mask.sampled_fraction == pytest.approx(inside.mean())
    assert abs(mask.sampled_fraction - 1 / acceleration) <= mask.tolerance + 1e-9
    if calibration != "none":
        assert inside.sum() <= round(inside.size / acceleration)


@pytest.mark.parametrize("width", [320, 368, 97])
def test_random_columns_sample_the_asked_fraction_on_average(width):
    fractions = [drawn("random", width, seed=seed).sampled_fraction for seed in range(400)]
    assert np.mean(fractions) == pytest.approx(1 / 4, abs=0.01)


@pytest.mark.parametrize("acceleration", [4, 8])
@pytest.mark.parametrize("width", [320, 367])
def test_equispaced_fraction_samples_the_asked_fraction_each_time(width, acceleration):
    fractions = [drawn("equispaced_fraction", width, acceleration=acceleration, seed=seed).sampled_fraction for seed in range(20)]
    assert all(fraction == pytest.approx(1 / acceleration, abs=0.015) for fraction in fractions)


def test_poisson_discs_sample_the_asked_fraction_to_the_point():
    assert plane("poisson_disc", (31, 37), acceleration=5.5, calibration="square").kept.sum() == round(31 * 37 / 5.5)


@pytest.mark.parametrize(
    ("size", "acceleration", "low", "high"),
    # 121 = 30 * 4 + 1 and 145 = 36 * 4 + 1: between 30 * 36 and 31 * 37 tiles of 4 points
    [((121, 145), 4, 30 * 36 * 4, 31 * 37 * 4), ((28, 28), 8, 49 * 2, 49 * 2)],
)
def test_tolerance_of_a_repeated_pattern_follows_from_the_cut_periods(size, acceleration, low, high):
    mask = plane("tile_random", size, acceleration=acceleration)
    asked = size[0] * size[1] / acceleration
    assert mask.tolerance == pytest.approx(max(asked - low, high - asked) / (size[0] * size[1]))
    assert low <= mask.kept.sum() <= high


def test_mask_that_breaks_its_own_formula_is_refused_as_a_fault():
    with pytest.raises(AssertionError, match="uniform: sampled 9 positions, its formula gives 7 to 8"):
        Budget(asked=7.5, low=7, high=8).check("uniform", 9)


def test_padding_is_never_sampled_and_not_counted():
    mask = drawn("random", 40, seed=3, acquired=slice(5, 33))
    assert not mask.columns[:5].any()
    assert not mask.columns[33:].any()
    assert mask.sampled_fraction == pytest.approx(mask.columns.sum() / 28)


@pytest.mark.parametrize("kind", [*COLUMN_KINDS, *PLANE_KINDS])
def test_same_generator_gives_the_same_mask_and_another_gives_another(kind):
    keys = {"calibration": "square"} if kind in PLANE_KINDS else {}
    masks = [plane(kind, (32, 61), draw_seed=seed, **keys).kept for seed in (1, 1, 2, 3, 4, 5)]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert any((masks[0] != other).any() for other in masks) == (kind not in FIXED)


RECORDED = {
    "random": "c2f63dc5e17df1fd",
    "equispaced": "262b7ef3ce8a55eb",
    "equispaced_fraction": "59850b3aac9d2171",
}


@pytest.mark.parametrize("kind", sorted(RECORDED))
def test_columns_of_earlier_runs_stay_what_they_were(kind):
    masks = [drawn(kind, width, seed=seed).columns for width in (96, 97, 368) for seed in range(5)]
    assert hashlib.sha256(np.concatenate(masks).tobytes()).hexdigest()[:16] == RECORDED[kind]


def test_same_name_gives_the_same_mask_in_another_process():
    code = "from data.kspace.masks import rng_of_name; print(rng_of_name('file1000000 ü').random(3).tolist())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env={"PYTHONHASHSEED": "7"})
    assert other.stdout.strip() == str(rng_of_name("file1000000 ü").random(3).tolist())
    assert rng_of_name("file1000001").random() != rng_of_name("file1000000").random()


@pytest.mark.parametrize("kind", ["random", "poisson_disc", "tile_random"])
def test_drawing_leaves_the_global_generator_alone(kind):
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state that must not change
    plane(kind)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_mask_of_points_has_no_columns_and_says_which_kinds_have():
    with pytest.raises(BadInput, match=r"columns were expected, got points \(31, 37\).*random, equispaced"):
        plane("uniform").columns


def test_unknown_kind_names_the_known_ones():
    with pytest.raises(BadInput, match=r"'spiral' is unknown .*Known: equispaced, equispaced_fraction, magic, magic_fraction, random"):
        drawn("spiral")


EXCESS = [
    ({"kind": "random", "acceleration": 20, "center_fraction": 0.05}, (64, 30), r"2 columns .*0.05.* 30 columns / acceleration 20 = 1.5"),
    ({"kind": "magic", "acceleration": 31, "center_fraction": 0}, (64, 30), r"acceleration is 31, but there are 30 columns only"),
    ({"kind": "uniform", "acceleration": 64, "acceleration_y": 1}, (64, 30), r"64, but there are 30 columns only"),
    ({"kind": "uniform", "acceleration": 64, "acceleration_y": 64}, (30, 64), r"64, but there are 30 rows only"),
    ({"kind": "poisson_disc", "acceleration": 900}, (20, 20), r"900, but there are 400 points only"),
    # round(7 * 0.5) is 4: 4 x 4 of 49 points
    ({"kind": "poisson_disc", "center_fraction": 0.5, "calibration": "square"}, (7, 7), r"16 points .*square.* 49 points .* = 12.2"),
]


@pytest.mark.parametrize(("keys", "size", "message"), EXCESS)
def test_acceleration_above_the_lines_and_centre_above_the_budget_are_refused_with_the_numbers(keys, size, message):
    with pytest.raises(BadInput, match=message):
        draw(msgspec.convert(keys, MaskDescription), size, np.random.default_rng(0))


def test_of_a_learned_mask_all_of_kspace_is_drawn_and_padding_is_refused():
    description = MaskDescription(kind="learned", acceleration=8)
    mask = draw(description, (5, 7), np.random.default_rng(1))
    assert mask.kept.shape == (1, 7)
    assert mask.kept.all()
    assert mask.sampled_fraction == 1
    with pytest.raises(BadInput, match="learned needs k-space without columns of padding"):
        draw(description, (5, 7), np.random.default_rng(1), acquired=slice(1, 7))


@pytest.mark.parametrize("kind", ["equispaced", "magic"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_centre_on_top_may_exceed_what_the_spacing_gives(kind, seed):
    description = msgspec.convert({"kind": kind, "acceleration": 8, "center_fraction": 0.5}, MaskDescription)
    mask = draw(description, (5, 80), np.random.default_rng(seed))
    assert mask.columns[20:60].all()
    # 40 columns outside, of which every 8th is sampled
    assert 40 + 2 <= mask.columns.sum() <= 40 + 6
    assert mask.asked_fraction == 1 / 8
