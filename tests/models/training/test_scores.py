"""Metrics of splits and tasks from those of volumes, and which results may not be believed."""

from __future__ import annotations

import math

import pytest

from models.config import MaskConfig
from models.quality import Quality
from models.training.scores import Evaluation, VolumeScore, why_degenerate

MASK = MaskConfig(acceleration=4, center_fraction=0.08)


def score(ssim: float, *, task: int = 0, psnr: float = 30.0, nmse: float = 0.04, fraction: float = 0.25) -> VolumeScore:
    """A volume of two slices, one of them empty."""
    whole = Quality(mse=4 * nmse, nmse=nmse, nrmse=nmse**0.5, psnr=psnr, ssim=ssim)
    empty = whole._replace(nmse=math.nan, nrmse=math.nan)
    return VolumeScore(task=task, losses=(0.1, 0.3), whole=whole, slices=(whole, empty), sampled_fractions=(fraction, fraction))


@pytest.mark.parametrize(("fraction", "degenerate"), [(0.125, False), (0.1249, False), (0.2518, True), (0.1, True), (1.0, True)])
def test_learned_mask_has_to_sample_what_was_asked(fraction, degenerate):
    mask = MaskConfig(kind="learned", acceleration=8)
    assert bool(why_degenerate(Evaluation(volumes=(score(0.9, fraction=fraction),)), mask)) == degenerate


def test_metrics_are_means_over_volumes_and_named_by_task():
    found = Evaluation(volumes=(score(0.9), score(0.7), score(0.5, task=1))).means("val", ("pd", "fs"))
    assert found["val/ssim"] == pytest.approx(0.7)
    assert (found["val/ssim/pd"], found["val/ssim/fs"]) == pytest.approx((0.8, 0.5))
    assert (found["val/n"], found["val/n/pd"], found["val/n/fs"]) == (3, 2, 1)
    assert found["val/loss/fs"] == pytest.approx(0.2)
    assert found["val/mse"] == pytest.approx(0.16)  # 4 · 0.04


def test_single_task_has_no_names_of_its_own():
    assert not [name for name in Evaluation(volumes=(score(0.9),)).means("val", ("",)) if name.count("/") > 1]


def test_spread_tells_deviation_worst_and_best_of_volumes_and_slices():
    found = Evaluation(volumes=(score(0.9, nmse=0.01), score(0.7, nmse=0.03))).spread("test")
    assert (found["test/ssim_std"], found["test/ssim_worst"], found["test/ssim_best"]) == pytest.approx((0.1, 0.7, 0.9))
    assert (found["test/nmse_std"], found["test/nmse_worst"], found["test/nmse_best"]) == pytest.approx((0.01, 0.03, 0.01))
    assert (found["test/slice_ssim"], found["test/slice_ssim_worst"], found["test/slice_n"]) == pytest.approx((0.8, 0.7, 4))
    assert (found["test/slice_mse"], found["test/slice_ssim_best"]) == pytest.approx((0.08, 0.9))
    assert found["test/slice_nmse"] == pytest.approx(0.02)  # slices without any signal are left out


def test_volume_without_any_error_has_an_infinite_psnr_and_no_deviation_of_it():
    found = Evaluation(volumes=(score(0.9), score(1.0, psnr=math.inf, nmse=0.0))).spread("test")
    assert math.isnan(found["test/psnr_std"])
    assert (found["test/psnr_worst"], found["test/psnr_best"]) == (30.0, math.inf)
    assert (found["test/slice_psnr"], found["test/slice_psnr_std"]) == (30.0, 0.0)


@pytest.mark.parametrize(
    ("volume", "why"),
    [
        (score(0.9), ""),
        (score(math.nan), "ssim is NaN"),
        (score(0.9, psnr=math.nan), "psnr is NaN"),
        (score(1.0, psnr=math.inf, nmse=0.0), "SSIM 1"),
        (score(0.9, fraction=1.0), r"the masks sample 1.000 of k-space, asked were 0.250"),
        (score(0.9, fraction=0.554), r"sample 0.554"),
        (score(0.9, fraction=0.33), ""),  # equispaced: the centre comes on top
        (score(0.9, fraction=0.01), r"sample 0.010"),
    ],
)
def test_results_that_cannot_be_are_told(volume, why):
    assert why in why_degenerate(Evaluation(volumes=(volume,)), MASK)
    assert bool(why_degenerate(Evaluation(volumes=(volume,)), MASK)) == bool(why)


def test_sampling_that_is_part_of_the_data_is_not_judged():
    assert why_degenerate(Evaluation(volumes=(score(0.9, fraction=0.9),)), None) == ""
    assert why_degenerate(Evaluation(volumes=(score(0.9, fraction=1.0),)), MaskConfig(acceleration=1, center_fraction=0.0)) == ""
