"""Cine series: the gridding is that of the formula, the angles are tiny golden ones, the heart beats."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from data.errors import BadInput
from data.kspace.masks import rng_of_name
from data.simulate.cine import simulate_series
from data.simulate.contrasts import HEART_TISSUES, balanced_ssfp
from data.simulate.heart import beating, contraction, draw_heart
from data.simulate.options import CineSpec
from data.simulate.radial import grid_radially, point_spread, spoke_points, tiny_golden_angle
from tests.data.simulate.small_sets import make

SPEC = CineSpec(size=(31, 34), frames=6)


@pytest.mark.parametrize("size", [(16, 16), (15, 13), (9, 14)])
def test_gridding_is_the_adjoint_after_the_forward_transform(size):
    """E^H W E, written out as a matrix: E = exp(-2 pi i k r), the samples of both halves of each spoke."""
    rng = np.random.default_rng(0)
    image = rng.standard_normal(size) + 1j * rng.standard_normal(size)
    angles = np.arange(5) * tiny_golden_angle(7)
    points, weights = spoke_points(angles, size)
    ky, kx = np.concatenate((points, -points), axis=1)
    y, x = (np.arange(length) - length // 2 for length in size)
    forward = np.exp(-2j * np.pi * (ky[:, None, None] * y[:, None] + kx[:, None, None] * x)).reshape(ky.size, -1)
    expected = forward.conj().T @ (np.tile(weights, 2) * (forward @ image.ravel()))
    np.testing.assert_allclose(grid_radially(image, angles), expected.reshape(size), atol=1e-12)


def test_gridding_is_self_adjoint():
    rng = np.random.default_rng(1)
    one, two = rng.standard_normal((2, 12, 15)) + 1j * rng.standard_normal((2, 12, 15))
    angles = np.arange(7) * 0.4
    assert np.vdot(grid_radially(one, angles), two) == pytest.approx(np.vdot(one, grid_radially(two, angles)))


def test_weights_add_up_to_the_disc_that_is_sampled():
    _, weights = spoke_points(np.arange(13) * tiny_golden_angle(7), (32, 32))
    assert 2 * weights.sum() == pytest.approx(np.pi * 0.5**2, rel=1e-3)
    assert point_spread(np.arange(9) * 0.3, (16, 16))[16, 16] == pytest.approx(np.pi / 4, rel=1e-2)


def test_golden_angles_are_those_of_the_paper():
    # Wundrak 2015, table 1: orders 1, 2, 5, 7, 10
    found = [np.degrees(tiny_golden_angle(order)) for order in (1, 2, 5, 7, 10)]
    np.testing.assert_allclose(found, [111.246, 68.754, 32.040, 23.628, 16.953], atol=1e-3)


def test_many_spokes_show_the_image_and_few_streak():
    blurred = np.zeros((48, 48), dtype=complex)
    blurred[18:30, 20:32] = np.outer(np.hanning(12), np.hanning(12))
    many, few = (grid_radially(blurred, np.arange(count) * tiny_golden_angle(7)) for count in (200, 9))
    errors = [np.linalg.norm(found / found[24, 26] - blurred / blurred[24, 26]) / np.linalg.norm(blurred) for found in (many, few)]
    assert errors[0] < 0.2
    assert errors[1] > 2 * errors[0]


def test_file_has_the_layout_of_the_real_ones(tmp_path):
    train, *_ = make("cine", tmp_path, {"train": 2, "val": 1, "test": 1}, SPEC)
    assert train.path == tmp_path / "train.h5"
    with h5py.File(train.path) as file:
        recon, truth = file["imagesRecon"][()], file["imagesTrue"][()]
        expected = simulate_series(SPEC, rng_of_name("cine 1 train 1"))
    assert recon.shape == truth.shape == (2, 34, 31, 6)  # series, x, y, time
    assert recon.dtype == truth.dtype == np.float32
    np.testing.assert_array_equal(recon[1], expected[0])
    np.testing.assert_array_equal(truth[1], expected[1])


def test_values_are_between_0_and_1_and_of_one_scale():
    recon, truth = simulate_series(replace(SPEC, spokes=101, noise=0.0), np.random.default_rng(2))
    for images in (recon, truth):
        assert images.min() >= 0
        assert 0.5 < images.max() <= 1
    # enough spokes, no noise: what is left is the edge of the disc in k-space
    assert np.abs(recon - truth).mean() < 0.25 * truth.mean()


def test_fewer_spokes_are_worse():
    errors = []
    for spokes in (5, 13, 51):
        recon, truth = simulate_series(replace(SPEC, spokes=spokes, noise=0.0), np.random.default_rng(2))
        errors.append(np.linalg.norm(recon / recon.mean() - truth / truth.mean()))
    assert errors[0] > errors[1] > errors[2]


def test_streaks_turn_from_frame_to_frame_while_the_chest_keeps_still():
    recon, truth = simulate_series(replace(SPEC, noise=0.0), np.random.default_rng(3))
    outside = truth.max(axis=-1) == 0
    still = (np.ptp(truth, axis=-1) < 1e-6) & (truth.max(axis=-1) > 0.2)
    assert still.sum() > 50
    frames = recon[outside].T
    correlations = np.corrcoef(frames)[np.triu_indices(len(frames), k=1)]
    assert np.abs(correlations).max() < 0.7


def test_heart_beats_with_thickening_walls_of_equal_area():
    heart = draw_heart(np.random.default_rng(5))
    relaxed, contracted = (beating(heart, amount) for amount in (0.0, 1.0))

    def left(blobs):
        muscle, blood = (next(blob for blob in blobs if blob.waves and blob.tissue == tissue) for tissue in ("myocardium", "blood"))
        return muscle.radii[1], blood.radii[1]

    (outer, inner), (small_outer, small_inner) = left(relaxed), left(contracted)
    assert small_inner == pytest.approx(inner * (1 - heart.squeeze))
    assert small_outer - small_inner > outer - inner
    assert outer**2 - inner**2 == pytest.approx(small_outer**2 - small_inner**2)


def test_contraction_runs_from_rest_to_the_end_of_systole_and_back():
    phases = np.linspace(0, 1, 201)
    amounts = np.array([contraction(phase) for phase in phases])
    assert (amounts[0], amounts[-1]) == pytest.approx((0, 0))
    assert amounts.max() == pytest.approx(1)
    assert phases[amounts.argmax()] == pytest.approx(0.38, abs=0.01)
    assert np.abs(np.diff(amounts)).max() < 0.06  # no jump
    assert (np.diff(amounts[76:]) <= 1e-12).all()


def test_blood_is_brighter_than_muscle_and_air_is_dark():
    signals = {name: balanced_ssfp(tissue, flip_deg=50) for name, tissue in HEART_TISSUES.items()}
    assert signals["blood"] > 2 * signals["myocardium"] > 4 * signals["lung"]
    # PD sin a / (1 + cos a + (1 - cos a) T1 / T2) of blood: 0.95 * 0.766 / (1.643 + 0.357 * 6) = 0.192
    assert signals["blood"] == pytest.approx(0.192, abs=1e-3)


@pytest.mark.parametrize(("key", "value"), [("spokes", 0), ("frames", 0), ("size", (64, 3)), ("noise", -1.0)])
def test_impossible_options_are_refused_with_their_value(key, value):
    with pytest.raises(BadInput, match=f"--{key} is "):
        replace(SPEC, **{key: value})
