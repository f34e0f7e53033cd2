"""What the value of a metric is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.grid.objective import Objective
from orchestrator.store.errors import InputError
from orchestrator.tables.values import common_objective, parse_selection, selected_step, value_of, values_of
from tests.tables.studies import SSIM, curve, history, study

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("values", "mode", "step"),
    [
        ((0.5, 0.9, 0.7), "max", 2),
        ((0.5, 0.9, 0.2), "min", 3),
        ((0.9, 0.9), "max", 1),  # the first of equals
        ((NAN, 0.5, 0.6), "max", 3),
        ((0.5, INF, 0.6), "max", 3),
        ((0.5, -INF, 0.6), "min", 1),
        ((NAN, INF), "max", None),
        ((), "max", None),
        ((-0.0, 0.0), "max", 1),
    ],
)
def test_selected_step_is_where_the_selection_metric_was_best_among_finite_values(
    values: tuple[float, ...], mode: str, step: float | None
) -> None:
    assert selected_step(history(val__ssim=values), Objective(name="val/ssim", mode=mode)) == step


def test_without_a_selection_or_its_reports_there_is_no_selected_step() -> None:
    assert selected_step(history(val__ssim=(0.5,)), None) is None
    assert selected_step(history(loss=(0.5,)), SSIM) is None


@given(st.lists(st.floats(width=32), max_size=9))
def test_selected_step_is_what_a_plain_search_finds(values: list[float]) -> None:
    finite = [(value, -step) for step, value in enumerate(values, 1) if math.isfinite(value)]
    expected = -max(finite)[1] if finite else None
    assert selected_step(history(val__ssim=tuple(values)), SSIM) == expected


def test_other_metrics_are_those_of_the_selected_step() -> None:
    run = history(val__ssim=(0.5, 0.9, 0.7), test__ssim=(0.4, 0.8, 0.95))
    assert value_of(run, "test/ssim", selected_step(run, SSIM)) == 0.8


def test_what_was_not_reported_at_that_step_is_what_the_entry_returned() -> None:
    run = history({"test/ssim": 0.75}, val__ssim=(0.5, 0.9), test__ssim=curve(0.4, steps=[1]))
    assert value_of(run, "test/ssim", 2.0) == 0.75
    assert value_of(run, "test/psnr", 2.0) is None


def test_what_was_reported_only_at_another_step_is_missing() -> None:
    run = history(val__ssim=(0.5, 0.9), test__ssim=curve(0.4, steps=[1]))
    assert value_of(run, "test/ssim", 2.0) is None


def test_without_a_selected_step_the_last_report_counts_after_what_was_returned() -> None:
    run = history({"loss": 0.1}, loss=(0.5, 0.3), psnr=(30.0, 31.0))
    assert (value_of(run, "loss", None), value_of(run, "psnr", None)) == (0.1, 31.0)


@pytest.mark.parametrize(("word", "number"), [("nan", NAN), ("inf", INF), ("-inf", -INF)])
def test_a_returned_word_for_what_json_lacks_is_that_number(word: str, number: float) -> None:
    assert str(value_of(history({"loss": word}), "loss", None)) == str(number)


def test_a_text_is_a_value_of_a_metric_that_never_held_a_number() -> None:
    run = history({"kind": "unet"}, {"note": "fine"}, val__ssim=(0.5,))
    assert values_of(run, ("kind", "note", "val/ssim"), 1.0) == ["unet", "fine", 0.5]


def test_curves_with_steps_of_their_own_are_read_at_the_same_step() -> None:
    run = history(
        a=curve(1, 2, 3, steps=[1, 5, 9]),
        b=curve(10, 20, steps=[5, 9]),
        c=curve(7, steps=[2]),
        d=curve(4, 5, steps=[0.5, 5]),
        e=curve(1, 2, steps=[4, 6]),
    )
    assert values_of(run, "abcde", 5.0) == [2.0, 10.0, None, 5.0, None]


def test_selection_names_a_direction_unless_it_is_the_objective() -> None:
    assert parse_selection("val/ssim", SSIM) == SSIM
    assert parse_selection("min:loss", SSIM) == Objective(name="loss", mode="min")
    assert parse_selection("max:a:b", None) == Objective(name="a:b", mode="max")
    with pytest.raises(InputError, match=r"--select loss: .*val/ssim \(max\).*max:loss or --select min:loss"):
        parse_selection("loss", SSIM)
    with pytest.raises(InputError, match="names no objective"):
        parse_selection("loss", None)


def test_conflicting_objectives_of_several_grids_are_named() -> None:
    loss = Objective(name="val/loss", mode="min")
    assert common_objective([study(objective=None), study(), study()]) == SSIM
    with pytest.raises(InputError, match=r"a by val/ssim \(max\), b by val/loss \(min\).*--select max:val/ssim"):
        common_objective([study(grid="a"), study(grid="b", objective=loss)])
