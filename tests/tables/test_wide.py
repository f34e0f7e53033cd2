"""The table of runs, and that of their reports."""

from __future__ import annotations

import math

import msgspec
import pytest

from orchestrator.grid.objective import Objective
from orchestrator.metrics.history import RunHistory
from orchestrator.store.errors import InputError
from orchestrator.store.records import Attempt
from orchestrator.store.states import Cause, State
from orchestrator.tables.frame import as_frame
from orchestrator.tables.question import Question, answer
from orchestrator.tables.wide import COST
from tests.tables.studies import ask, case, column, curve, history, notes, study


def test_row_holds_what_varies_what_was_reached_what_it_cost_and_where_it_comes_from() -> None:
    tables = answer([study(case({"mask.kind": "random", "seed": 1}, 0.875, number=1), commits={"t": "abc-dirty"})], Question())
    (row,) = as_frame(tables.data).to_dict("records")
    assert row == {
        "id": "0000000000000001",
        "mask.kind": "random",
        "seed": 1,
        "state": "completed",
        "cause": None,
        "step": 1,
        "val/ssim": 0.875,
        "attempts": 1,
        "runtime_s": 12.3,
        "spent_s": 12.3,
        "peak_mem_gb": 0.5,
        "peak_gpu_gb": 0.0,
        "attempt": "attempt-1",
        "job_id": "7_1",
        "node": "n1",
        "commit": "abc-dirty",
        "adopted_from": None,
    }


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([(State.RUNNING, 0.0, 0.0)], [1, None, None, None, None]),
        ([(State.FAILED, 20.0, 1.5), (State.RUNNING, 0.0, 0.0)], [2, None, 20.0, 1.5, 0.0]),
        ([(State.FAILED, 20.0, 1.5), (State.COMPLETED, 5.0, 2.5)], [2, 5.0, 25.0, 2.5, 0.0]),
        ([(State.COMPLETED, 0.0, 0.0)], [1, 0.0, 0.0, 0.0, 0.0]),
        ([], [0, None, None, None, None]),
    ],
)
def test_what_an_attempt_costs_that_still_computes_is_not_known(
    attempts: list[tuple[State, float, float]], expected: list[float | None]
) -> None:
    manifest, record, reported = case({"x": 1}, state=State.RUNNING)
    started = [
        Attempt(number=number, state=state, runtime_s=runtime, peak_mem_gb=memory)
        for number, (state, runtime, memory) in enumerate(attempts, start=1)
    ]
    table = ask((manifest, msgspec.structs.replace(record, attempts=tuple(started)), reported))
    assert [column(table, name)[0] for name in COST] == expected


def test_columns_stand_in_the_order_of_the_grid_file_with_the_selection_metric_first() -> None:
    table = ask(case({"z": 1, "a": 2}, history(val__ssim=(0.5,), c=(1.0,), b=(1.0,))))
    assert table.columns[:9] == ("id", "z", "a", "state", "cause", "step", "val/ssim", "b", "c")


def test_key_and_metric_of_one_name_have_a_column_each_with_its_own_value() -> None:
    tables = answer([study(case({"lr": 0.1}, history(val__ssim=(0.5,), lr=(0.001,), node=(3.0,))))], Question())
    for table in (tables.data, tables.page):
        (row,) = table.rows
        cells = dict(zip(table.columns, row, strict=True))
        assert len(cells) == len(table.columns)
        assert (cells["lr (config)"], cells["lr"], cells["node (metric)"]) == (0.1, 0.001, 3.0)


def test_only_what_varies_is_shown_unless_all_is_asked_for() -> None:
    cases = [case({"seed": seed}, 0.5, constant={"model": {"kind": "unet"}}) for seed in (1, 2)]
    assert "model.kind" not in ask(*cases).columns
    assert column(ask(*cases, all_keys=True), "model.kind") == ["unet", "unet"]


def test_a_run_from_before_an_axis_was_added_has_its_value_all_the_same() -> None:
    old = case({"x": 1}, 0.5, constant={"seed": 7})
    assert column(ask(old, case({"x": 1, "seed": 8}, 0.5)), "seed") == [7, 8]


def test_several_grids_are_told_apart_and_what_differs_between_them_is_a_column() -> None:
    one = study(case({"seed": 1}, 0.5, constant={"model.kind": "unet"}), grid="u")
    other = study(case({"seed": 1}, 0.6, constant={"model.kind": "varnet", "gone": 1}), grid="v")
    table = answer([one, other], Question()).data
    assert table.columns[:5] == ("grid", "id", "seed", "model.kind", "gone")
    assert [row[:1] + row[2:5] for row in table.rows] == [("u", 1, "unet", None), ("v", 1, "varnet", 1)]


def test_grids_with_other_objectives_need_a_selection() -> None:
    studies = [
        study(case({"x": 1}, 0.5)),
        study(case({"x": 2}, history(loss=(1.0,))), grid="h", objective=Objective(name="loss", mode="min")),
    ]
    with pytest.raises(InputError, match="the grids select by different metrics"):
        answer(studies, Question())
    assert len(answer(studies, Question(select="max:val/ssim")).data.rows) == 2


def test_what_has_no_result_is_counted_with_state_and_cause() -> None:
    cases = [case({"x": 1}, 0.5), case({"x": 2}, state=State.FAILED, cause=Cause.GPU_OOM), case({"x": 3}, state=State.QUEUED)]
    table = ask(*cases)
    assert (table.counts["runs"], table.counts["missing"]) == (3, 2)
    assert "2 of 3 runs without a result: 1 failed (gpu_oom), 1 queued" in table.notes
    assert column(table, "cause") == [None, "gpu_oom", None]


def test_values_that_are_not_finite_are_shown_and_counted() -> None:
    cases = [
        case({"x": 1}, history(val__ssim=(math.nan,), psnr=(math.nan,)), number=1),
        case({"x": 2}, 0.5),
        case({"x": 3}, history(val__ssim=(0.4,), psnr=(math.inf,)), number=3),
    ]
    table = ask(*cases)
    assert table.counts["not_finite"] == 2
    assert math.isnan(column(table, "val/ssim")[0]) and math.isinf(column(table, "psnr")[2])
    assert "'val/ssim' is NaN or infinite in 1 of 3 completed runs (00000000): neither ranked nor averaged" in table.notes
    assert "'psnr' is NaN or infinite in 2 of 3 completed runs (00000000, 00000000): neither ranked nor averaged" in table.notes


def test_a_completed_run_without_the_objective_is_counted() -> None:
    table = ask(case({"x": 1}, 0.5), case({"x": 2}, history(other=(1.0,)), number=2 << 32), case({"x": 3}, history({"val/ssim": 0.7})))
    assert table.counts["unreported"] == 1
    told = "1 of 3 completed runs (00000002) without a finite value of 'val/ssim': its values are those returned, or reported last"
    assert told in table.notes


def test_reports_that_cannot_be_read_or_name_no_step_are_said_as_well_as_files_that_gave_an_error() -> None:
    reported = [{"unread": 2, "stepless": 10}, {"stepless": 10}, {"errors": 3}]
    cases = [case({"x": x}, msgspec.structs.replace(history(val__ssim=(0.5,)), **more)) for x, more in enumerate(reported)]
    for question in ({}, {"by": ("x",)}, {"best": "val/ssim"}):
        table = ask(*cases, **question)
        assert "2 reports of 1 run cannot be read (damaged, or too long a line), and are left out" in table.notes
        assert "20 reports of 2 runs name no step, and count as step 0" in table.notes
        assert "files of 1 run could not be read: what they hold is missing; they are read again the next time" in table.notes
    assert "1 report of 1 run names no step, and counts as step 0" in notes(ask(case({"x": 1}, RunHistory(stepless=1))))


def test_text_in_a_numeric_column_is_named() -> None:
    table = ask(case({"x": 1}, 0.5, number=1), case({"x": 2}, history({"val/ssim": "ok"}), number=2))
    assert "held a text in 1 of 2 completed runs (00000000)" in notes(table)
    assert column(table, "val/ssim") == [0.5, "ok"]


def test_a_text_at_another_step_is_named_and_the_number_counts() -> None:
    odd = history(texts={"val/ssim": "broken"}, val__ssim=(0.5, 0.7))
    table = ask(case({"x": 1}, odd, number=1), case({"x": 2}, 0.5))
    assert "held a text in 1 of 2 completed runs (00000000)" in notes(table)
    assert column(table, "val/ssim") == [0.7, 0.5]


def test_a_metric_that_was_renamed_is_named_with_counts() -> None:
    cases = [case({"x": x}, 0.5) for x in (1, 2)] + [case({"x": 3}, history(ssim=(0.4,)))]
    assert "2 of 3 completed runs report 'val/ssim', and others 'ssim' (1): was it renamed?" in notes(ask(*cases))
    assert "renamed" in notes(ask(*cases, metrics=("ssim",)))
    assert "renamed" not in notes(ask(*(case({"x": x}, history(val__ssim=(0.5,), test__ssim=(0.4,))) for x in (1, 2))))


def test_a_name_that_others_report_beside_the_metric_is_no_new_name_of_it() -> None:
    both = history(val__ssim=(0.5,), ssim=(0.4,))
    cases = [case({"x": 1}, both), case({"x": 2}, both), case({"x": 3}, history(ssim=(0.4,)))]
    assert "renamed" not in notes(ask(*cases))


def test_metrics_are_chosen_by_name_and_pattern() -> None:
    cases = [case({"x": 1}, history(val__ssim=(0.5,), test__a=(1.0,), test__b=(2.0,)))]
    table = ask(*cases, metrics=("test/*", "val/ssim"))
    assert table.columns[5:8] == ("test/a", "test/b", "val/ssim")
    for wrong in ("tst/a", "none*"):
        with pytest.raises(InputError, match=r"no run reported such a metric\. .*Known: "):
            ask(*cases, metrics=(wrong,))


def test_damaged_reports_are_counted() -> None:
    manifest, record, reported = case({"x": 1}, 0.5)
    damaged = type(reported)(curves=reported.curves, unread=3)
    assert "3 reports of 1 run cannot be read" in notes(ask((manifest, record, damaged)))


def test_the_page_has_the_metrics_beside_the_keys_and_state_with_cause() -> None:
    done = answer([study(case({"x": 1}, 0.5, number=1))], Question()).page
    assert done.columns[:5] == ("id", "x", "val/ssim", "step", "state")
    mixed = answer([study(case({"x": 1}, 0.5), case({"x": 2}, state=State.FAILED, cause=Cause.ERROR))], Question()).page
    assert mixed.columns[:4] == ("id", "x", "state", "val/ssim")
    assert column(mixed, "state") == ["completed", "failed (error)"]


def test_an_empty_grid_is_an_empty_table() -> None:
    table = ask()
    assert (table.rows, table.counts["runs"]) == ([], 0)


def test_long_has_one_row_a_step_also_of_runs_that_did_not_end() -> None:
    reported = history(val__ssim=(0.5, 0.6), loss=curve(3.0, 1.0, steps=[1, 3]))
    table = ask(case({"x": 1}, reported, number=1, state=State.RUNNING), case({"x": 2}), long=True)
    assert table.columns == ("id", "x", "state", "step", "val/ssim", "loss")
    assert [row[1:] for row in table.rows] == [(1, "running", 1, 0.5, 3.0), (1, "running", 2, 0.6, None), (1, "running", 3, None, 1.0)]
    assert len(table.rows) == 3
    assert list(table.rows) == list(table.rows)


def test_long_keeps_steps_that_are_no_whole_numbers() -> None:
    table = ask(case({"x": 1}, history(val__ssim=curve(0.5, 0.6, steps=[0.5, 2.0]))), long=True)
    assert column(table, "step") == [0.5, 2]


def test_metrics_of_the_same_word_as_the_objective_stand_beside_it() -> None:
    table = ask(
        case({"x": 1}, history(val__ssim=(0.5,), a=(1.0,), test__psnr=(1.0,), test__ssim=(1.0,), test__ssim__pd=(1.0,), ssimilar=(1.0,)))
    )
    assert table.columns[5:11] == ("val/ssim", "test/ssim", "test/ssim/pd", "a", "ssimilar", "test/psnr")


def test_long_has_short_ids_for_people_and_whole_ones_for_files() -> None:
    tables = answer([study(case({"x": 1}, 0.5, number=1))], Question(long=True))
    assert (column(tables.page, "id"), column(tables.data, "id")) == (["00000000"], ["0000000000000001"])
    assert len(tables.page.rows) == 1


@pytest.mark.parametrize("question", [{}, {"long": True}, {"best": "val/ssim"}, {"by": ("x",), "over": ("seed",)}])
def test_a_page_says_which_column_it_needs(question: dict[str, object]) -> None:
    page = answer([study(case({"x": 1, "seed": 1}, history(val__ssim=(0.5,), b=(1.0,))))], Question(**question)).page
    assert page.needed == "val/ssim" and page.needed in page.columns
