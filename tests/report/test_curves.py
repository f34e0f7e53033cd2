"""Curves: which are drawn, how they are thinned, and what mean and band of a group are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from orchestrator.report.axes import axes_of
from orchestrator.report.curves import MOST_LINES, curves_section, drawing, group_line, grouping, metrics_with_curves, short_labels
from orchestrator.report.effects import effects_of
from orchestrator.report.scores import scores_of
from orchestrator.report.thinning import MOST_STEPS, at_steps, common_steps, evenly
from tests.report.made import curve, manifests, run_id, study

NAN = float("nan")


@pytest.mark.parametrize(("many", "most", "expected"), [(3, 5, [0, 1, 2]), (11, 3, [0, 5, 10]), (4, 1, [0]), (0, 3, []), (5, 2, [0, 4])])
def test_even_picks_keep_both_ends(many: int, most: int, expected: list[int]) -> None:
    assert evenly(range(many), most) == expected


def test_curve_at_other_steps_is_its_last_report_and_nothing_outside() -> None:
    values = at_steps(curve([10, 30, 50], [1, 3, 5]), np.array([0.0, 1, 2, 3, 4, 5, 6]))
    np.testing.assert_array_equal(values, [NAN, 10, 10, 30, 30, 50, NAN])


def test_long_curves_are_drawn_at_some_of_their_steps_the_ends_among_them() -> None:
    steps = common_steps([curve(range(1000)), curve(range(500))])
    assert (len(steps), steps[0], steps[-1]) == (MOST_STEPS, 1, 1000)
    assert list(common_steps([curve([1, 2]), curve([1], [7])])) == [1, 2, 7]


def test_group_is_mean_and_interval_of_the_runs_that_report_a_number() -> None:
    steps = np.array([1.0, 2, 3])
    line = group_line("a", [curve([1, 2, 3]), curve([3, NAN]), curve([5, 6, float("inf")])], steps)
    np.testing.assert_allclose(line.mean, [3, 4, 3])
    np.testing.assert_array_equal(line.runs, [3, 2, 1])
    halves = [stats.sem(values) * stats.t.ppf(0.975, len(values) - 1) for values in ([1, 3, 5], [2, 6])]
    np.testing.assert_allclose(line.high - line.mean, [*halves, 0])
    np.testing.assert_allclose(line.mean - line.low, [*halves, 0])


def test_step_without_any_number_is_not_drawn() -> None:
    line = group_line("a", [curve([1, NAN, 3]), curve([1, NAN, 5])], np.array([1.0, 2, 3]))
    assert list(line.steps) == [1, 3]


def test_few_runs_are_lines_and_many_are_groups_of_the_strongest_axis() -> None:
    axes = {"seed": range(5), "acc": [4, 8], "kind": ["a", "b"]}
    one = study(axes, [0.01 * acc + kind for _ in range(5) for acc in (4, 8) for kind in (0, 1)])
    found = axes_of(manifests(axes))
    axis = grouping(found, effects_of(found, scores_of(one).by_run))
    assert axis is not None and axis.key == "kind"
    curves = {run: each.curves["val/ssim"] for run, each in one.history.items()}
    labels = {manifest.id: manifest.label for manifest, _ in one.pairs}
    grouped = drawing("val/ssim", curves, labels, axis)
    assert [(line.label, line.runs.tolist()) for line in grouped.lines] == [("kind=a", [10, 10]), ("kind=b", [10, 10])]
    assert short_labels([one.pairs[0][0]], ["seed", "mask.acceleration"]) == {run_id(0): "seed=0"}
    few = drawing("val/ssim", dict(list(curves.items())[:MOST_LINES]), labels, axis)
    assert len(few.lines) == MOST_LINES and few.lines[0].label == "seed=0 acc=4 kind=a" and few.lines[0].low is None


def test_objective_stands_first_and_single_reports_are_no_curve() -> None:
    curves = {run_id(1): {"b": curve([1, 2]), "loss": curve([1, 2]), "once": curve([1])}, run_id(2): {"b": curve([1, 2])}}
    assert metrics_with_curves(curves, "loss") == ["loss", "b"]
    flat = {run_id(1): {"b": curve([1, 2]), "a": curve([3, 3]), "loss": curve([5, 5])}}
    assert metrics_with_curves(flat, "loss") == ["loss", "b", "a"]
    several = {run_id(1): {name: curve([1, 2]) for name in ("lr", "train/loss", "val/psnr", "val/ssim")}}
    assert metrics_with_curves(several, "val/ssim") == ["val/ssim", "val/psnr", "lr", "train/loss"]


def test_figures_name_what_is_thinned_and_left_out() -> None:
    one = study({"x": range(3)}, [0.1, 0.2, 0.3])
    for run in one.history.values():
        run.curves["val/ssim"] = curve(range(1000))  # type: ignore[index]
    section = curves_section(one, axes_of([manifest for manifest, _ in one.pairs]), [])
    assert f"drawn at {MOST_STEPS} of their steps" in section.body and len(section.figures) == 1
    empty = curves_section(study({"x": [1]}, [None]), [], [])
    assert "No run has reported a metric at two steps" in empty.body and empty.figures == ()
