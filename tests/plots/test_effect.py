"""What the points of a figure are: means, intervals, what is missing, and what is refused."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from scipy import stats

from orchestrator.grid.objective import Objective
from orchestrator.plots.cells import Ask
from orchestrator.plots.effect import plan_effect
from orchestrator.plots.figure import Line, Role
from orchestrator.store.errors import InputError
from orchestrator.tables.sample import Sample
from tests.plots.conftest import curves_sample, make_sample


def frame(sample: Sample) -> pd.DataFrame:
    """Return the values of a sample as a table of its own making."""
    return pd.DataFrame([{**run.manifest.varying, "y": run.reported.final.get("test/ssim")} for run in sample.runs])


def line(figure, label: str) -> Line:
    (found,) = [each for each in figure.lines if each.label == label]
    return found


def test_means_and_intervals_are_those_of_pandas_and_scipy(ratio: Sample) -> None:
    figure = plan_effect(ratio, Ask(x="scarcity", y="test/ssim", hue=("blocks",)))
    cells = frame(ratio).groupby(["model.blocks", "data.scarcity"])["y"]
    for blocks in ("IIV", "IIY", "STL"):
        for point in line(figure, blocks).points:
            values = cells.get_group((blocks, point.x))
            low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
            assert (point.n, point.mean, point.low, point.high) == (
                3,
                pytest.approx(values.mean()),
                pytest.approx(low),
                pytest.approx(high),
            )
    assert figure.x.label == "data.scarcity" and figure.y.label == "test/ssim (higher is better)"
    assert figure.notes == ("mean and 95 % confidence interval over seed, n = 3",)


def test_failed_run_makes_a_thin_point_and_an_empty_cell_is_missing() -> None:
    rows = [({"k": "a", "x": x, "seed": seed}, x + seed) for x in (1, 2) for seed in (0, 2)]
    rows += [({"k": "b", "x": 1, "seed": 0}, 1.0), ({"k": "b", "x": 1, "seed": 2}, None), ({"k": "b", "x": 2, "seed": 0}, None)]
    figure = plan_effect(make_sample(("g", rows)), Ask(x="x", y="test/ssim", hue=("k",)))
    assert [(point.x, point.n, point.mean) for point in line(figure, "a").points] == [(1, 2, 2.0), (2, 2, 3.0)]
    assert [(point.x, point.n, point.mean, point.low) for point in line(figure, "b").points] == [(1, 1, 1.0, None), (2, 0, None, None)]
    assert figure.missing == 1
    assert "× marks 1 missing cell" in figure.notes
    assert figure.notes[-1] == "3 runs missing: 2 failed (host_oom), 1 not in the grid"


@pytest.mark.parametrize(("number", "is_told"), [(8, False), (9, True)])
def test_more_lines_than_can_be_read_are_said_to_be_too_many(number: int, is_told: bool) -> None:
    rows = [({"k": k, "x": x}, 1.0) for k in range(number) for x in (1, 2)]
    notes = plan_effect(make_sample(("g", rows)), Ask(x="x", y="test/ssim", hue=("k",))).notes
    assert (f"{number} lines are too many to read with ease" in notes) is is_told


def test_runs_whose_selection_metric_ended_nan_are_counted_and_named() -> None:
    sample = curves_sample([({"x": 1}, {1: 0.5, 2: math.nan}), ({"x": 2}, {1: 0.5, 2: 0.6}), ({"x": 3}, {1: 0.5, 2: math.inf})])
    notes = plan_effect(sample, Ask(x="x", y="val/ssim")).notes
    ids = f"({sample.runs[0].id}, {sample.runs[2].id})"
    assert f"val/ssim ended NaN or infinite in 2 of 3 completed runs {ids}, drawn as selected before" in notes


def test_runs_whose_selection_metric_never_was_finite_are_counted_and_named() -> None:
    sample = curves_sample([({"x": 1}, {1: math.nan, 2: math.nan}), ({"x": 2}, {1: 0.5, 2: 0.6})])
    notes = plan_effect(sample, Ask(x="x", y="val/ssim")).notes
    assert f"1 of 2 completed runs ({sample.runs[0].id}) without a finite val/ssim: drawn as returned, or reported last" in notes


def test_cell_that_the_grid_does_not_hold_is_missing_and_not_interpolated() -> None:
    rows = [({"k": k, "x": x}, float(x)) for k in ("a", "b") for x in (1, 2, 3) if (k, x) != ("b", 2)]
    figure = plan_effect(make_sample(("g", rows)), Ask(x="x", y="test/ssim", hue=("k",)))
    assert [(point.x, point.n) for point in line(figure, "b").points] == [(1, 1), (2, 0), (3, 1)]


def test_nan_and_text_are_counted_and_never_averaged() -> None:
    values: list[float | str] = [1.0, 3.0, "nan", "text"]
    rows = [({"x": 1, "seed": seed}, value) for seed, value in enumerate(values)]
    figure = plan_effect(make_sample(("g", rows)), Ask(x="x", y="test/ssim"))
    (point,) = figure.lines[0].points
    assert (point.n, point.mean) == (2, 2.0)
    assert "2 runs missing: 1 NaN, 1 holds the text 'text'" in figure.notes


def test_key_that_would_be_averaged_silently_is_refused_with_the_ways_out() -> None:
    rows = [({"x": x, "optim.lr": lr, "seed": seed}, 1.0) for x in (1, 2) for lr in (0.1, 0.2) for seed in (1, 2)]
    sample = make_sample(("g", rows))
    with pytest.raises(InputError, match=r"mean over optim\.lr, which nobody named .*--hue optim\.lr.*--where.*--over seed,optim\.lr"):
        plan_effect(sample, Ask(x="x", y="test/ssim"))
    figure = plan_effect(sample, Ask(x="x", y="test/ssim", over=("seed", "lr")))
    assert [point.n for point in figure.lines[0].points] == [4, 4]
    assert "over seed, lr, n = 4" in figure.notes[0]


def test_axes_that_move_together_are_no_hidden_average() -> None:
    rows = [({"mask.kind": kind, "mask.seed": number, "x": x, "seed": 1}, 1.0) for kind, number in (("a", 0), ("b", 9)) for x in (1, 2)]
    figure = plan_effect(make_sample(("g", rows)), Ask(x="x", y="test/ssim", hue=("kind",), over=("seed",)))
    assert [each.label for each in figure.lines] == ["a", "b"]


def test_without_repeats_the_points_are_single_runs() -> None:
    figure = plan_effect(make_sample(("g", [({"x": x}, float(x)) for x in (1, 2)])), Ask(x="x", y="test/ssim"))
    assert [(point.n, point.low) for point in figure.lines[0].points] == [(1, None), (1, None)]
    assert figure.notes == ("single runs, n = 1",)


def test_grids_that_differ_are_told_apart_by_the_key_grid() -> None:
    one, two = ("one", [({"x": x}, 1.0) for x in (1, 2)]), ("two", [({"x": x}, 2.0) for x in (1, 2)])
    with pytest.raises(InputError, match="mean over grid"):
        plan_effect(make_sample(one, two), Ask(x="x", y="test/ssim"))
    figure = plan_effect(make_sample(one, two), Ask(x="x", y="test/ssim", hue=("grid",)))
    assert [(each.label, each.points[0].mean) for each in figure.lines] == [("one", 1.0), ("two", 2.0)]


@pytest.mark.parametrize(
    ("values", "places", "categories"),
    [
        ([8, 2, 4], [2, 4, 8], ()),  # numbers in their order
        (["random", "equispaced"], [0, 1], ("random", "equispaced")),  # words in that of the grid
        ([True, False], [0, 1], ("true", "false")),
        ([1, "auto"], [0, 1], ("1", "auto")),
        ([[1, 2], [3]], [0, 1], ("[1,2]", "[3]")),
        ([None], [0], ("null",)),
    ],
    ids=str,
)
def test_axis_is_numeric_only_where_all_values_are_numbers(values: list, places: list, categories: tuple[str, ...]) -> None:
    figure = plan_effect(make_sample(("g", [({"x": value}, 1.0) for value in values])), Ask(x="x", y="test/ssim"))
    assert ([point.x for point in figure.lines[0].points], figure.x.categories) == (places, categories)


@pytest.mark.parametrize(
    ("xs", "ys", "logs"),
    [
        ([1e-4, 1e-3, 1e-2], [1.0, 2.0, 3.0], (True, False)),
        ([1, 2, 3], [1e-3, 1.0, 0.5], (False, True)),
        ([0, 1, 1000], [0.0, 1.0, 1000.0], (False, False)),  # zero has no place on a logarithmic axis
        ([-1, 100], [1.0, 99.0], (False, False)),
    ],
)
def test_axis_is_logarithmic_where_positive_values_span_decades(xs: list[float], ys: list[float], logs: tuple[bool, bool]) -> None:
    figure = plan_effect(make_sample(("g", [({"x": x}, y) for x, y in zip(xs, ys, strict=True)])), Ask(x="x", y="test/ssim"))
    assert (figure.x.is_log, figure.y.is_log) == logs


def test_runs_without_the_key_are_left_out_and_counted() -> None:
    rows = [({"x": 1, "kind": "a"}, 1.0), ({"x": 2, "kind": "a"}, 2.0), ({"kind": "a"}, 9.0)]
    figure = plan_effect(make_sample(("g", rows)), Ask(x="x", y="test/ssim"))
    assert [point.mean for point in figure.lines[0].points] == [1.0, 2.0]
    assert "1 run without x" in figure.notes[-1]


def test_baseline_over_the_same_axis_is_a_line_of_its_own(ratio: Sample) -> None:
    figure = plan_effect(ratio, Ask(x="scarcity", y="test/ssim", hue=("blocks",), baseline="model.blocks=STL"))
    assert [(each.label, each.role) for each in figure.lines] == [
        ("IIV", Role.SERIES),
        ("IIY", Role.SERIES),
        ("baseline: model.blocks=STL", Role.BASELINE),
    ]
    expected = frame(ratio).query("`model.blocks` == 'STL'").groupby("data.scarcity")["y"].mean()
    assert [point.mean for point in figure.lines[-1].points] == pytest.approx(expected.tolist())


def test_baseline_at_one_place_is_a_level_and_the_line_it_is_part_of_stays_whole(ratio: Sample) -> None:
    figure = plan_effect(ratio, Ask(x="scarcity", y="test/ssim", hue=("blocks",), baseline="model.blocks=STL and data.scarcity=0"))
    level = figure.lines[-1]
    expected = frame(ratio).query("`model.blocks` == 'STL' and `data.scarcity` == 0")["y"]
    assert (level.is_level, level.points[0].n, level.points[0].mean) == (True, 3, pytest.approx(expected.mean()))
    assert [point.n for point in line(figure, "STL").points] == [3, 3, 3, 3]


def test_baseline_without_a_hue_is_what_tells_the_two_lines_apart() -> None:
    rows = [({"k": k, "x": x, "seed": seed}, level + seed) for k, level in (("a", 1.0), ("stl", 5.0)) for x in (1, 2) for seed in (0, 2)]
    figure = plan_effect(make_sample(("g", rows)), Ask(x="x", y="test/ssim", baseline="k=stl"))
    told = [(each.label, [point.mean for point in each.points]) for each in figure.lines]
    assert told == [("test/ssim", [2.0, 2.0]), ("baseline: k=stl", [6.0, 6.0])]


def test_baseline_that_would_average_silently_is_refused(ratio: Sample) -> None:
    with pytest.raises(InputError, match=r"--baseline: a point would be the mean over model\.blocks"):
        plan_effect(ratio, Ask(x="scarcity", y="test/ssim", hue=("blocks",), baseline="seed=1"))


def test_best_line_is_chosen_by_the_selection_metric_and_shows_the_other() -> None:
    rows = [({"k": "a", "x": 1}, 0.9), ({"k": "b", "x": 1}, 0.1), ({"k": "a", "x": 2}, 0.8), ({"k": "b", "x": 2}, 0.2)]
    sample = make_sample(("g", rows), objective=Objective(name="val/ssim"))
    chosen = {0: 0.1, 1: 0.7, 2: 0.6, 3: 0.5}  # on the validation data b wins at 1, a at 2
    for place, run in enumerate(sample.runs):
        run.reported.final["val/ssim"] = chosen[place]  # type: ignore[index]
    figure = plan_effect(sample, Ask(x="x", y="test/ssim", hue=("k",), best=""))
    assert [point.mean for point in line(figure, "best by val/ssim").points] == [0.1, 0.8]


def test_best_line_of_an_expression_shows_its_runs(ratio: Sample) -> None:
    figure = plan_effect(ratio, Ask(x="scarcity", y="test/ssim", hue=("blocks",), best="model.blocks=IIV"))
    assert line(figure, "best: model.blocks=IIV").points == line(figure, "IIV").points


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (Ask(x="scarcty", y="test/ssim"), r"--x scarcty: .*data\.scarcity"),
        (Ask(x="scarcity", y="test/sim"), r"--y test/sim: .*test/ssim"),
        (Ask(x="scarcity", y="test/ssim", hue=("block",)), r"--hue block: .*model\.blocks"),
        (Ask(x="scarcity", y="test/ssim", hue=("scarcity",)), r"--hue data\.scarcity: is drawn as --x"),
        (Ask(x="scarcity", y="test/ssim", hue=("blocks",), over=("blocks",)), r"--over model\.blocks: is drawn"),
        (Ask(x="scarcity", y="test/ssim", hue=("blocks",), baseline="model.blocks=none"), "--baseline .*selects none of 36 runs"),
        (Ask(x="scarcity", y="test/ssim", hue=("blocks",), baseline="model.blocks="), "--baseline 'model.blocks='"),
        (Ask(x="scarcity", y="test/ssim", hue=("blocks",), best="model.block=IIV"), "--best .*model.blocks"),
        (Ask(x="scarcity", y="test/ssim", over=("seed", "blocks"), best=""), "--best: .*--hue"),
        (Ask(x="scarcity", y="test/ssim", hue=("blocks",), baseline="model.blocks in (IIV,IIY,STL)"), "no run is left to draw"),
        (Ask(x="scarcity", y="test/ssim", hue=("blocks",), baseline="model.blocks in (IIV,IIY)"), "--baseline: .*mean over model"),
        (Ask(x="scarcity", y="test/ssim", over=("seed", "blocks"), baseline="seed>0"), "no run is left to draw"),
    ],
    ids=str,
)
def test_wrong_question_names_the_option_and_the_way_out(ratio: Sample, ask: Ask, told: str) -> None:
    with pytest.raises(InputError, match=told):
        plan_effect(ratio, ask)


def test_best_without_an_objective_asks_for_one() -> None:
    rows = [({"k": k, "x": x}, 1.0) for k in ("a", "b") for x in (1, 2)]
    with pytest.raises(InputError, match=r"--best: the grid file names no objective .*--select max:NAME"):
        plan_effect(make_sample(("g", rows)), Ask(x="x", y="test/ssim", hue=("k",), best=""))


def test_nothing_to_draw_is_an_error() -> None:
    rows = [({"x": 1}, None), ({"x": 2}, "nan")]
    with pytest.raises(InputError, match="no completed run among the chosen ones has a finite value"):
        plan_effect(make_sample(("g", rows)), Ask(x="x", y="test/ssim"))


def test_direction_is_told_where_it_is_known() -> None:
    sample = make_sample(("g", [({"x": 1}, 1.0)]), objective=Objective(name="val/ssim", mode="min"))
    assert plan_effect(sample, Ask(x="x", y="test/ssim")).y.label == "test/ssim (lower is better)"
    other = make_sample(("g", [({"x": 1}, 1.0)]), metric="psnr", objective=Objective(name="val/ssim"))
    assert plan_effect(other, Ask(x="x", y="psnr")).y.label == "psnr"
    assert math.isfinite(plan_effect(other, Ask(x="x", y="psnr")).lines[0].points[0].mean or math.nan)
