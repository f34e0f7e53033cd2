"""Learning curves: mean and interval at each step, over the runs that reported there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from orchestrator.plots.cells import Ask
from orchestrator.plots.curves import plan_curves
from orchestrator.plots.figure import Role
from orchestrator.store.errors import InputError
from tests.plots.conftest import curves_sample, make_sample

CURVES = Ask(x="step", y="val/ssim", hue=("k",))


def test_mean_and_interval_at_each_step_are_those_of_scipy() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(4, 5))
    sample = curves_sample([({"k": "a", "seed": seed}, dict(enumerate(row, 1))) for seed, row in enumerate(values)])
    (line,) = plan_curves(sample, CURVES).lines
    low, high = stats.t.interval(0.95, 3, values.mean(axis=0), stats.sem(values, axis=0))
    assert [point.x for point in line.points] == [1, 2, 3, 4, 5]
    assert [point.mean for point in line.points] == pytest.approx(values.mean(axis=0).tolist())
    assert [point.low for point in line.points] == pytest.approx(low.tolist())
    assert [point.high for point in line.points] == pytest.approx(high.tolist())


def test_run_that_ended_early_leaves_fewer_behind_and_nothing_is_interpolated() -> None:
    sample = curves_sample([({"k": "a", "seed": 1}, {1: 1.0, 2: 2.0, 4: 4.0}), ({"k": "a", "seed": 2}, {1: 3.0, 4: 6.0, 6: 6.0})])
    (line,) = plan_curves(sample, CURVES).lines
    assert [(point.x, point.n, point.mean) for point in line.points] == [(1, 2, 2.0), (2, 1, 2.0), (4, 2, 5.0), (6, 1, 6.0)]
    assert [point.low is None for point in line.points] == [False, True, False, True]
    assert plan_curves(sample, CURVES).notes == (
        "mean and 95 % confidence interval over seed, n = 1–2",
        "dotted where some runs reported no finite number",
    )


def test_nan_and_infinite_reports_are_left_out_and_counted() -> None:
    sample = curves_sample([({"k": "a", "seed": 1}, {1: 1.0, 2: math.nan}), ({"k": "a", "seed": 2}, {1: 3.0, 2: 2.0, 3: math.inf})])
    figure = plan_curves(sample, CURVES)
    assert [(point.x, point.n, point.mean) for point in figure.lines[0].points] == [(1, 2, 2.0), (2, 1, 2.0)]
    assert "2 runs NaN or infinite at some steps, which are left out" in figure.notes


def test_baseline_and_best_are_curves_of_their_own() -> None:
    sample = curves_sample(
        [({"k": k, "seed": seed}, {1: level + seed}) for k, level in (("a", 1.0), ("b", 5.0), ("c", 9.0)) for seed in (0, 2)]
    )
    figure = plan_curves(sample, Ask(x="step", y="val/ssim", hue=("k",), baseline="k=a", best="k=c"))
    told = [(line.label, line.role, line.points[0].mean) for line in figure.lines]
    assert told == [
        ("b", Role.SERIES, 6.0),
        ("c", Role.SERIES, 10.0),
        ("baseline: k=a", Role.BASELINE, 2.0),
        ("best: k=c", Role.BEST, 10.0),
    ]


def test_hidden_average_is_refused_for_curves_too() -> None:
    sample = curves_sample([({"k": k, "seed": 1}, {1: 1.0}) for k in ("a", "b")])
    with pytest.raises(InputError, match="mean over k, which nobody named"):
        plan_curves(sample, Ask(x="step", y="val/ssim"))


def test_best_without_runs_is_refused_for_curves() -> None:
    sample = curves_sample([({"k": "a", "seed": 1}, {1: 1.0})])
    with pytest.raises(InputError, match="--best: curves have no best group"):
        plan_curves(sample, Ask(x="step", y="val/ssim", best=""))


def test_metric_that_diverged_everywhere_has_no_curve() -> None:
    sample = curves_sample([({"k": "a", "seed": 1}, {1: math.nan})])
    with pytest.raises(InputError, match="has a finite value"):
        plan_curves(sample, CURVES)


def test_curve_of_a_run_that_failed_does_not_count_and_is_named() -> None:
    sample = curves_sample([({"k": "a", "seed": 1}, {1: 1.0}), ({"k": "a", "seed": 2}, {1: 9.0, 2: 9.0})], failed=[1])
    figure = plan_curves(sample, CURVES)
    assert [(point.x, point.n, point.mean) for point in figure.lines[0].points] == [(1, 1, 1.0)]
    assert "1 run missing: failed" in figure.notes


def test_metric_that_was_only_returned_is_told_to_have_no_curve() -> None:
    sample = make_sample(("g", [({"k": "a", "seed": 1}, 0.5), ({"k": "a", "seed": 2}, None)]), metric="final/params")
    with pytest.raises(InputError, match=r"--y final/params: was returned at the end, not step by step; choose a key for --x"):
        plan_curves(sample, Ask(x="step", y="final/params", hue=("k",)))
