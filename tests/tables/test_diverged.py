"""Runs whose selection metric ended NaN or infinite: they count with their best step, and that is said."""

from __future__ import annotations

import math

import pytest

from orchestrator.store.states import State
from orchestrator.tables.diverged import diverged_later, never_finite
from tests.tables.studies import ask, case, column, history, notes, sample


@pytest.mark.parametrize(
    "reported",
    [
        history(val__ssim=(0.5, math.nan)),
        history(val__ssim=(0.5, math.nan, -math.inf)),
        history({"val/ssim": "nan"}, val__ssim=(0.5, 0.6)),
        history({"val/ssim": math.inf}, val__ssim=(0.5, 0.6)),
    ],
)
def test_a_run_that_diverged_after_its_best_step_is_found(reported: object) -> None:
    assert [run.manifest.config["x"] for run in diverged_later(sample(case({"x": 1}, 0.5), case({"x": 2}, reported)))] == [2]


@pytest.mark.parametrize(
    "reported",
    [
        history(val__ssim=(0.5, math.nan, 0.4)),
        history(val__ssim=(math.nan,)),
        history({"val/ssim": "good"}, val__ssim=(0.5,)),
        history(val__ssim=(0.5,), loss=(1.0, math.nan)),
        history(),
    ],
)
def test_a_run_that_recovered_or_never_had_a_good_step_is_not(reported: object) -> None:
    assert diverged_later(sample(case({"x": 1}, reported))) == []


def test_without_a_selection_metric_or_a_result_none_diverged() -> None:
    diverged = history(val__ssim=(0.5, math.nan))
    assert diverged_later(sample(case({"x": 1}, diverged), objective=None)) == []
    assert diverged_later(sample(case({"x": 1}, diverged, state=State.RUNNING))) == []


@pytest.mark.parametrize("question", [{}, {"by": ("k",), "over": ("seed",)}, {"across": ("k",), "over": ("seed",)}, {"best": "val/ssim"}])
def test_every_table_says_which_runs_diverged_and_that_they_count(question: dict[str, object]) -> None:
    cases = [case({"k": 1, "seed": seed}, 0.5, number=seed) for seed in (1, 2)]
    cases += [case({"k": 1, "seed": seed}, history(val__ssim=(0.5, math.nan)), number=seed << 32) for seed in (3, 4)]
    told = (
        "'val/ssim' ended NaN or infinite in 2 of 4 completed runs (00000003, 00000004): they count with their selected step, before that"
    )
    assert told in ask(*cases, **question).notes


def test_one_that_diverged_is_told_as_one_and_stays_in_the_mean() -> None:
    table = ask(case({"k": 1, "seed": 1}, 0.5), case({"k": 1, "seed": 2}, history(val__ssim=(0.7, math.nan))), by=("k",), over=("seed",))
    assert "1 of 2 completed runs" in notes(table) and "it counts with its selected step, before that" in notes(table)
    assert (column(table, "n"), column(table, "mean")) == ([2], [pytest.approx(0.6)])


NEVER = [
    history(val__ssim=(math.nan, math.inf), test__ssim=(0.1, 0.2)),
    history({"val/ssim": "nan"}, test__ssim=(0.2,)),
    history(texts={"val/ssim": "good"}, test__ssim=(0.2,)),
    history({"test/ssim": 0.2}),
]


@pytest.mark.parametrize("reported", NEVER)
def test_a_run_whose_selection_metric_never_was_finite_is_found(reported: object) -> None:
    found = never_finite(sample(case({"x": 1}, 0.5), case({"x": 2}, reported), case({"x": 3}, reported, state=State.FAILED)))
    assert [run.manifest.config["x"] for run in found] == [2]


@pytest.mark.parametrize("reported", [history(val__ssim=(math.nan, 0.1)), history({"val/ssim": 0.1})])
def test_one_that_was_finite_once_is_not(reported: object) -> None:
    assert never_finite(sample(case({"x": 1}, reported))) == []
    assert never_finite(sample(case({"x": 1}, NEVER[0]), objective=None)) == []


@pytest.mark.parametrize("question", [{}, {"by": ("k",), "over": ("seed",)}, {"across": ("k",), "over": ("seed",)}, {"best": "val/ssim"}])
@pytest.mark.parametrize("reported", NEVER)
def test_every_table_says_whose_selection_metric_never_was_finite(question: dict[str, object], reported: object) -> None:
    cases = [case({"k": 1, "seed": seed}, history(val__ssim=(0.5,), test__ssim=(0.4,)), number=seed) for seed in (1, 2)]
    table = ask(*cases, case({"k": 1, "seed": 3}, reported, number=3 << 32), metrics=("test/ssim",), **question)
    told = "1 of 3 completed runs (00000003) without a finite value of 'val/ssim': its values are those returned, or reported last"
    assert told in table.notes
    assert table.counts["unreported"] == 1
