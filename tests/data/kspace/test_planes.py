"""Masks of points: lattices against small drawings, tiles against numpy's recorded numbers, Poisson discs by their distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from data.kspace.calibration import calibration_points
from data.kspace.description import MaskDescription
from data.kspace.masks import draw
from data.kspace.planes import caipirinha_points, lattice_period, tile_random_points, uniform_points
from data.kspace.poisson import disc, elliptic_radius, poisson_disc_points


def drawing(*rows: str) -> np.ndarray:
    return np.array([[letter == "x" for letter in row] for row in rows])


def test_caipirinha_of_two_by_two_is_the_tile_of_the_paper():
    # column 0 in rows 0 and 2, column 2 in rows 1 and 3
    expected = drawing("x...x", "..x..", "x...x", "..x..", "x...x")
    np.testing.assert_array_equal(caipirinha_points((5, 5), (2, 2), 1), expected)


def test_caipirinha_of_three_rows_shifts_by_two():
    expected = drawing("x..x", ".x..", "..x.", "x..x", ".x..")
    np.testing.assert_array_equal(caipirinha_points((5, 4), (3, 1), 1), expected)
    np.testing.assert_array_equal(caipirinha_points((5, 4), (3, 1), 2), drawing("x..x", "..x.", ".x..", "x..x", "..x."))


def test_lattice_without_shift_is_uniform():
    expected = drawing("x..x.", ".....", "x..x.")
    np.testing.assert_array_equal(uniform_points((3, 5), (2, 3)), expected)
    np.testing.assert_array_equal(uniform_points((3, 5), (1, 4)), drawing("x...x", "x...x", "x...x"))


@given(st.integers(1, 6), st.integers(1, 5), st.data())
def test_lattice_repeats_itself_after_its_period_and_holds_one_point_in_each_product_of_spacings(rows, columns, data):
    shift = data.draw(st.integers(0, rows - 1))
    period = lattice_period((rows, columns), shift)
    points = caipirinha_points((3 * period[0], 2 * period[1]), (rows, columns), shift)
    np.testing.assert_array_equal(points[:, : period[1]], points[:, period[1] :])
    np.testing.assert_array_equal(points[: period[0]], points[period[0] : 2 * period[0]])
    assert points.sum() * rows * columns == points.size


def test_tile_is_the_shuffle_of_numpys_recorded_generator():
    # numpy.random.seed(91329); numpy.random.shuffle([0] * 12 + [1] * 4), reshaped to 4 x 4
    generator = np.random.RandomState(91329)
    expected = np.array([0] * 12 + [1] * 4)
    generator.shuffle(expected)
    points = tile_random_points((9, 7), 4, 91329)
    np.testing.assert_array_equal(points[:4, :4], expected.reshape(4, 4) == 1)
    np.testing.assert_array_equal(points[4:8, 4:], points[:4, :3])


@given(st.integers(0, 2**32 - 1), st.integers(1, 15))
def test_points_of_a_sparser_tile_are_among_those_of_a_denser_one(seed, kept):
    sparse, dense = (tile_random_points((4, 4), count, seed) for count in (kept, kept + 1))
    assert (sparse.sum(), dense.sum()) == (kept, kept + 1)
    assert (dense | sparse == dense).all()


@pytest.mark.parametrize(
    ("calibration", "rows", "columns"),
    [("none", 0, 0), ("square", 3, 4), ("column", 15, 4)],  # round(15 * 0.2) = 3, round(21 * 0.2) = 4
)
def test_calibration_region_lies_about_the_centre(calibration, rows, columns):
    points = calibration_points((15, 21), calibration, 0.2)
    assert points.sum() == rows * columns
    assert not rows or points[7, 10]


def test_columns_stay_columns_when_they_are_thinned_for_calibration_columns():
    description = MaskDescription(kind="column_uniform", acceleration=4, calibration="column", center_fraction=0.1)
    mask = draw(description, (13, 61), np.random.default_rng(0))
    assert (mask.kept == mask.kept[0]).all()
    assert mask.kept[0].sum() == 15  # 61 / 4 = 15.25


def nearest(points: np.ndarray) -> np.ndarray:
    places = np.argwhere(points)
    return cKDTree(places).query(places, k=2)[0][:, 1]


@settings(deadline=None, max_examples=20)
@given(st.tuples(st.integers(20, 50), st.integers(20, 50)), st.sampled_from([5, 9, 16]), st.integers(0, 100))
def test_poisson_discs_keep_their_distance(size, acceleration, seed):
    count = size[0] * size[1] // acceleration
    points = poisson_disc_points(np.ones(size, dtype=bool), count, np.random.default_rng(seed))
    assert points.sum() == count
    # random points of this density have neighbours at 1; discs that fill the plane stand at sqrt(0.7 * acceleration);
    # closer together the grid knows the distances 1 and sqrt(2) only
    assert nearest(points).min() >= 0.75 * np.sqrt(0.7 * acceleration)


def test_variable_density_thins_towards_the_edge():
    points = poisson_disc_points(np.ones((101, 75), dtype=bool), 300, np.random.default_rng(2), density_slope=2)
    radius = elliptic_radius(points.shape)
    inner, outer = (points[place].mean() for place in (radius < 0.4, (radius > 0.8) & (radius <= 1)))
    assert inner > 3 * outer  # distances of 1.4 and 2.8 in the middle of the rings: a factor of 4 in density
    assert points.sum() == 300


def test_poisson_discs_leave_what_is_not_free():
    free = np.zeros((30, 30), dtype=bool)
    free[5:20, 7:30] = True
    points = poisson_disc_points(free, 60, np.random.default_rng(0))
    assert not points[~free].any()
    assert poisson_disc_points(free, int(free.sum()), np.random.default_rng(0)).sum() == free.sum()
    assert not poisson_disc_points(free, 0, np.random.default_rng(0)).any()
    with pytest.raises(ValueError, match=f"{free.sum() + 1} points asked, {free.sum()} free"):
        poisson_disc_points(free, int(free.sum()) + 1, np.random.default_rng(0))


def test_disc_holds_what_is_nearer_than_the_root_of_its_square():
    np.testing.assert_array_equal(disc(2), drawing(".x.", "xxx", ".x."))
    np.testing.assert_array_equal(disc(1), drawing("x"))


def test_radius_is_one_in_the_middle_of_the_edges():
    radius = elliptic_radius((8, 6))
    assert (radius[4, 3], radius[0, 3], radius[4, 0]) == (0, 1, 1)
