"""The best run of a group: ranked by one metric, shown with the others, and nothing that is no result wins."""

from __future__ import annotations

import math

import pytest

from orchestrator.store.errors import InputError
from orchestrator.store.states import Cause, State
from orchestrator.tables.question import Question, answer
from tests.tables.studies import ask, case, column, curve, history, notes, study


def two(validation: float, test: float) -> object:
    return history(val__ssim=(validation - 0.1, validation), test__ssim=(0.99, test))


def test_the_run_is_chosen_by_validation_and_the_test_metric_is_that_of_its_best_step() -> None:
    cases = [case({"lr": 1}, two(0.8, 0.9)), case({"lr": 2}, two(0.9, 0.7))]
    table = ask(*cases, best="val/ssim")
    assert (column(table, "lr"), column(table, "val/ssim"), column(table, "test/ssim"), column(table, "step")) == ([2], [0.9], [0.7], [2])


def test_each_group_has_its_best() -> None:
    cases = [case({"blocks": blocks, "lr": lr}, blocks - lr) for blocks in (1, 5) for lr in (0.2, 0.1, 0.3)]
    table = ask(*cases, best="val/ssim", per=("blocks",))
    assert list(zip(column(table, "blocks"), column(table, "lr"), strict=True)) == [(1, 0.1), (5, 0.1)]
    assert (column(table, "ranked"), column(table, "of")) == ([3, 3], [3, 3])


def test_less_is_better_where_it_is_said() -> None:
    cases = [case({"x": x}, history(loss=(x, x / 2))) for x in (1.0, 0.5, 0.8)]
    assert column(ask(*cases, best="min:loss", objective=None), "loss") == [0.25]


def test_another_metric_may_select_the_step() -> None:
    cases = [case({"x": 1}, history(val__ssim=(0.9, 0.5), loss=(3.0, 1.0))), case({"x": 2}, history(val__ssim=(0.1, 0.8), loss=(2.0, 4.0)))]
    assert (column(ask(*cases, best="min:loss"), "loss"), column(ask(*cases, best="min:loss", select="val/ssim"), "loss")) == ([1.0], [3.0])


@pytest.mark.parametrize(
    ("reported", "why"),
    [
        (history(val__ssim=(math.nan,)), "1 with val/ssim nan"),
        (history(val__ssim=(math.inf,)), "1 with val/ssim inf"),
        (history(val__ssim=(1.0,), test__psnr=(math.inf,)), "1 with test/psnr inf"),  # a perfect score beside an infinite one
        (history({"val/ssim": "great"}), "1 with val/ssim a text"),
        (history(other=(1.0,)), "1 without val/ssim"),
    ],
)
def test_what_is_no_result_is_counted_and_never_ranked(reported: object, why: str) -> None:
    good = history(val__ssim=(0.5,), test__psnr=(30.0,))
    table = ask(case({"x": 1}, reported), case({"x": 2}, good), best="val/ssim")
    assert (column(table, "x"), column(table, "ranked"), column(table, "not_ranked")) == ([2], [1], [why])
    assert f"thin: all runs: 1 of 2 ranked; {why}" in notes(table)


def test_a_metric_that_is_infinite_everywhere_keeps_no_run_from_being_ranked() -> None:
    cases = [case({"x": x}, history(val__ssim=(x / 10,), odd=(math.inf,))) for x in (1, 2)]
    assert column(ask(*cases, best="val/ssim"), "x") == [2]


def test_runs_that_did_not_complete_are_named_and_never_ranked() -> None:
    cases = [
        case({"k": 1, "x": 1}, 0.9, state=State.RUNNING),
        case({"k": 1, "x": 2}, 0.5),
        case({"k": 2, "x": 3}, state=State.FAILED, cause=Cause.ERROR),
    ]
    table = ask(*cases, best="val/ssim", per=("k",))
    assert (column(table, "x"), column(table, "not_ranked")) == ([2, None], ["1 running", "1 failed (error)"])
    assert "missing: k=2: 0 of 1 ranked; 1 failed (error)" in notes(table)


def test_equals_are_said_and_the_first_is_shown() -> None:
    table = ask(*(case({"x": x}, 0.5) for x in (3, 1, 2)), best="val/ssim")
    assert column(table, "x") == [3]
    assert "2 more runs with the same value; the first is shown" in notes(table)


def test_ranking_by_a_test_metric_is_called_what_it_is() -> None:
    cases = [case({"x": 1}, history(val__ssim=(0.5,), test__ssim=curve(0.4)))]
    assert "test/ssim itself ranks here, which flatters it" in notes(ask(*cases, best="max:test/ssim"))
    assert "flatters" not in notes(ask(*cases, best="val/ssim"))


def test_the_page_shows_a_short_id_and_how_many_of_how_many_were_ranked() -> None:
    cases = [case({"x": 1}, 0.5, number=1), case({"x": 2}, state=State.FAILED, cause=Cause.ERROR)]
    page = answer([study(*cases)], Question(best="val/ssim")).page
    assert (column(page, "id"), column(page, "ranked")) == (["00000000"], ["1 of 2"])


def test_an_unknown_metric_names_those_that_are_known() -> None:
    with pytest.raises(InputError, match=r"--best max:ssim: .*Did you mean val/ssim|--best ssim: .*Did you mean val/ssim"):
        ask(case({"x": 1}, 0.5), best="max:ssim")


def test_a_grid_that_makes_the_groups_stands_there_once() -> None:
    grids = [study(case({"x": x}, 0.5 + x / 10, number=x), grid=f"g{x}") for x in (1, 2)]
    grids.append(study(case({"x": 3}, state=State.FAILED, number=3), grid="g3"))
    for table in (
        answer(grids, Question(best="val/ssim", per=("grid",))).data,
        answer(grids, Question(best="val/ssim", per=("grid",))).page,
    ):
        assert table.columns[:3] == ("grid", "id", "x")
        assert [(row[0], row[2]) for row in table.rows] == [("g1", 1), ("g2", 2), ("g3", None)]
    assert answer(grids, Question(best="val/ssim", per=("x",))).data.columns[:3] == ("x", "grid", "id")


def test_a_key_of_the_config_that_is_called_grid_stands_beside_the_grid() -> None:
    grids = [study(case({"grid": number}, 0.5, number=number), grid=f"g{number}") for number in (1, 2)]
    table = answer(grids, Question(best="val/ssim", per=("grid",))).data
    assert (table.columns[:2], table.rows[0][:2]) == (("grid (config)", "grid"), (1, "g1"))
