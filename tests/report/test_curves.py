"""Curves: which are drawn, how they are thinned, and what mean and band of a group are."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from scipy import stats

from orchestrator.metrics.history import RunHistory
from orchestrator.report.axes import axes_of
from orchestrator.report.curves import (
    MOST_LINES,
    Drawing,
    curves_section,
    draw,
    drawing,
    group_line,
    grouping,
    metrics_with_curves,
    pieces_of,
)
from orchestrator.report.effects import effects_of
from orchestrator.report.scores import scores_of
from orchestrator.report.thinning import MOST_STEPS, at_steps, common_steps, evenly, up_to_steps
from orchestrator.store.states import State
from orchestrator.tables.study import Study
from tests.report.made import curve, manifests, run_id, study

NAN = float("nan")


@pytest.mark.parametrize(("many", "most", "expected"), [(3, 5, [0, 1, 2]), (11, 3, [0, 5, 10]), (4, 1, [0]), (0, 3, []), (5, 2, [0, 4])])
def test_even_picks_keep_both_ends(many: int, most: int, expected: list[int]) -> None:
    assert evenly(range(many), most) == expected


def test_curve_at_thinned_steps_is_its_last_report_and_nothing_outside() -> None:
    values = up_to_steps(curve([10, 30, 50], [1, 3, 5]), np.array([0.0, 1, 2, 3, 4, 5, 6]))
    np.testing.assert_array_equal(values, [NAN, 10, 10, 30, 30, 50, NAN])


def test_curve_at_steps_of_others_is_what_it_reported_there_and_nothing_else() -> None:
    values = at_steps(curve([10, 30, 50], [1, 3, 5]), np.array([0.0, 1, 2, 3, 4, 5, 6]))
    np.testing.assert_array_equal(values, [NAN, 10, NAN, 30, NAN, 50, NAN])


def test_long_curves_are_drawn_at_some_of_their_steps_the_ends_among_them() -> None:
    steps, is_thinned = common_steps([curve(range(1000)), curve(range(500))])
    assert (len(steps), steps[0], steps[-1], is_thinned) == (MOST_STEPS, 1, 1000, True)
    every, is_thinned = common_steps([curve([1, 2]), curve([1], [7])])
    assert (every.tolist(), is_thinned) == ([1, 2, 7], False)


def test_group_is_mean_and_interval_of_the_runs_that_report_a_number() -> None:
    line = group_line("a", np.array([[1.0, 2, 3], [3, NAN, NAN], [5, 6, float("inf")]]), np.array([1.0, 2, 3]))
    np.testing.assert_allclose(line.mean, [3, 4, 3])
    np.testing.assert_array_equal(line.runs, [3, 2, 1])
    halves = [stats.sem(values) * stats.t.ppf(0.975, len(values) - 1) for values in ([1, 3, 5], [2, 6])]
    np.testing.assert_allclose(line.high - line.mean, [*halves, 0])
    np.testing.assert_allclose(line.mean - line.low, [*halves, 0])


def test_step_without_any_number_is_not_drawn() -> None:
    line = group_line("a", np.array([[1.0, NAN, 3], [1, NAN, 5]]), np.array([1.0, 2, 3]))
    assert list(line.steps) == [1, 3]


def test_few_runs_are_lines_and_many_are_groups_of_the_strongest_axis() -> None:
    axes = {"seed": range(5), "acc": [4, 8], "kind": ["a", "b"]}
    one = study(axes, [0.01 * acc + kind for _ in range(5) for acc in (4, 8) for kind in (0, 1)])
    found = axes_of(manifests(axes))
    axis = grouping(found, effects_of(found, scores_of(one).by_run))
    assert axis is not None and axis.key == "kind"
    curves = {run: each.curves["val/ssim"] for run, each in one.history.items()}
    labels = {manifest.id: manifest.label for manifest, _ in one.pairs}
    grouped = drawing("val/ssim", curves, labels, axis, set(curves))
    assert [(line.label, line.runs.tolist()) for line in grouped.lines] == [("kind=a", [10, 10]), ("kind=b", [10, 10])]
    few = drawing("val/ssim", dict(list(curves.items())[:MOST_LINES]), labels, axis, ())
    assert len(few.lines) == MOST_LINES and few.lines[0].label == "seed=0 acc=4 kind=a" and few.lines[0].low is None


def test_objective_stands_first_and_single_reports_are_no_curve() -> None:
    curves = {run_id(1): {"b": curve([1, 2]), "loss": curve([1, 2]), "once": curve([1])}, run_id(2): {"b": curve([1, 2])}}
    assert metrics_with_curves(curves, "loss") == ["loss", "b"]
    flat = {run_id(1): {"b": curve([1, 2]), "a": curve([3, 3]), "loss": curve([5, 5])}}
    assert metrics_with_curves(flat, "loss") == ["loss", "b", "a"]
    several = {run_id(1): {name: curve([1, 2]) for name in ("lr", "train/loss", "val/psnr", "val/ssim")}}
    assert metrics_with_curves(several, "val/ssim") == ["val/ssim", "val/psnr", "lr", "train/loss"]


def test_runs_that_report_at_steps_of_their_own_are_averaged_where_they_reported() -> None:
    curves = {run_id(place): curve([1.0, 3.0], [1, 3]) if place % 2 else curve([2.0], [2]) for place in range(MOST_LINES + 1)}
    (line,) = drawing("loss", curves, dict.fromkeys(curves, ""), None, set(curves)).lines
    odd = (MOST_LINES + 1) // 2
    assert (line.mean.tolist(), line.runs.tolist()) == ([1, 2, 3], [odd, MOST_LINES + 1 - odd, odd])


def test_figures_name_what_is_thinned_and_left_out() -> None:
    one = study({"x": range(3)}, [0.1, 0.2, 0.3])
    for run in one.history.values():
        run.curves["val/ssim"] = curve(range(1000))  # type: ignore[index]
    section = curves_section(one, axes_of([manifest for manifest, _ in one.pairs]), [])
    assert f"drawn at {MOST_STEPS} of their steps" in section.body and len(section.figures) == 1
    empty = curves_section(study({"x": [1]}, [None]), [], [])
    assert "No run has reported a metric at two steps" in empty.body and empty.figures == ()


def ended_early(state: State) -> Study:
    """Return a study of 12 runs with 3 steps, of which the last stopped after the first one, in this state."""
    one = study({"kind": ["a", "b"], "seed": range(6)}, [0.5] * 12)
    history = {manifest.id: RunHistory(curves={"val/ssim": curve([1, 2, 3])}) for manifest, _ in one.pairs}
    (manifest, last), *others = reversed(one.pairs)
    history[manifest.id] = RunHistory(curves={"val/ssim": curve([99])})
    pairs = [*reversed(others), (manifest, msgspec.structs.replace(last, state=state))]
    return msgspec.structs.replace(one, pairs=pairs, history=history)


def told_of(one: Study) -> str:
    return curves_section(one, axes_of([manifest for manifest, _ in one.pairs]), []).body


def test_means_are_of_completed_runs_and_the_others_are_counted() -> None:
    body = told_of(ended_early(State.FAILED))
    assert f"Of more than {MOST_LINES} runs only those that completed are drawn: 1 other left out." in body and "dashed where" not in body
    one = ended_early(State.FAILED)
    curves = {run: each.curves["val/ssim"] for run, each in one.history.items()}
    found = drawing("val/ssim", curves, dict.fromkeys(curves, ""), None, {record.id for _, record in one.pairs[:-1]})
    assert (found.lines[0].mean.tolist(), found.runs, found.left_out) == ([1, 2, 3], 11, 1)


def test_line_is_dashed_where_fewer_runs_stand_behind_it() -> None:
    body = told_of(ended_early(State.COMPLETED))
    assert "A line is dashed where fewer runs stand behind it than its group has" in body
    line = group_line("a", np.array([[1.0, 2, 3, 4], [1, NAN, 3, 4], [1, 2, 3, NAN]]), np.array([1.0, 2, 3, 4]))
    assert (line.most, line.runs.tolist(), line.is_thin) == (3, [3, 2, 3, 2], True)
    pieces = pieces_of(line)
    np.testing.assert_array_equal(pieces["full"], [1, NAN, 3, NAN])
    np.testing.assert_array_equal(pieces["thin"], [1, 2, 3, 4])
    renderers = draw(Drawing(metric="m", lines=(line,), thinned=False, runs=9)).renderers
    assert [each.glyph.line_dash for each in renderers[1:]] == [[], [6]]


def test_runs_that_reported_nan_are_counted_once() -> None:
    one = study({"x": range(3)}, [0.1, 0.2, 0.3])
    broken = RunHistory(curves={"val/ssim": curve([1, NAN]), "loss": curve([1, float("inf")])})
    told = curves_section(msgspec.structs.replace(one, history={**one.history, run_id(1): broken}), axes_of(manifests({"x": range(3)})), [])
    assert "1 run reported NaN or an infinity; such values are not drawn." in told.body


def test_without_a_completed_run_the_longest_curves_are_drawn_one_by_one() -> None:
    one = ended_early(State.FAILED)
    failed = [(manifest, msgspec.structs.replace(each, state=State.FAILED)) for manifest, each in one.pairs]
    body = told_of(msgspec.structs.replace(one, pairs=failed))
    assert f"Where no run has completed, the {MOST_LINES} with the most reports are drawn: 4 others left out." in body
