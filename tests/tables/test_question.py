"""Options that do not go together, and grids of which nothing can be said yet."""

from __future__ import annotations

import pytest

from orchestrator.store.errors import InputError
from orchestrator.store.states import Cause, State
from tests.tables.studies import ask, case, history, notes


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"over": ("seed",)}, "--over needs --by"),
        ({"by": ("x",), "baseline": "x=1"}, "--baseline needs --by and --over"),
        ({"per": ("x",)}, "--per needs --best"),
        ({"long": True, "best": "val/ssim"}, "--long and --best are different tables"),
        ({"by": ("x",), "best": "val/ssim"}, "--by and --best are different tables"),
        ({"by": ("x",), "all_keys": True}, "--all-keys is for one row a run or a step"),
        ({"select": "test/ssim"}, "--select test/ssim: whether more or less of it is better"),
        ({"select": "loss"}, r"--select loss: no run reported such a metric\. .*Known: val/ssim, test/ssim"),
        ({"select": "max:loss"}, r"--select loss: no run reported such a metric\. .*Known: val/ssim, test/ssim"),
        ({"best": "test/ssim"}, "--best test/ssim: whether more or less"),
        ({"best": "val/sim"}, r"--best val/sim: no run reported such a metric\. Did you mean val/ssim\?"),
        ({"best": "val/ssim", "metrics": ("psnr",)}, "--metric psnr: no run reported"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_way_out(question: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ask(case({"x": 1, "seed": 1}, history(val__ssim=(0.5,), test__ssim=(0.4,))), **question)


@pytest.mark.parametrize("question", [{"by": ("x",)}, {"best": "val/ssim"}])
def test_nothing_is_averaged_or_ranked_before_a_run_has_completed(question: dict[str, object]) -> None:
    cases = [case({"x": 1}, 0.9, state=State.RUNNING), case({"x": 2}, state=State.FAILED, cause=Cause.ERROR)]
    with pytest.raises(InputError, match=r"g: none of 2 runs has completed \(failed \(error\), running\).*mrsweep status g"):
        ask(*cases, **question)
    with pytest.raises(InputError, match="g: no run is selected"):
        ask(**question)


def test_select_takes_the_values_at_the_best_step_of_another_metric() -> None:
    from tests.tables.studies import column, history

    run = case({"x": 1}, history(val__ssim=(0.9, 0.5), loss=(3.0, 1.0)))
    assert column(ask(run), "loss") == [3.0]
    assert (column(ask(run, select="min:loss"), "loss"), column(ask(run, select="min:loss"), "val/ssim")) == ([1.0], [0.5])


BOTH = history(val__ssim=(0.9, 0.5), test__ssim=(0.3, 0.6))
TABLES = [{}, {"by": ("x",), "over": ("seed",)}, {"across": ("x",), "over": ("seed",)}, {"best": "val/ssim"}]


@pytest.mark.parametrize("question", TABLES)
def test_every_table_says_by_which_other_metric_the_steps_were_selected(question: dict[str, object]) -> None:
    told = notes(ask(case({"x": 1, "seed": 1}, BOTH), select="max:test/ssim", **question))
    assert "every value is of the step where test/ssim was" in told
    assert "test/ssim itself selects the step, which flatters it: select by a validation metric, and read test/ssim beside it" in told


@pytest.mark.parametrize("question", TABLES)
@pytest.mark.parametrize("select", ["", "val/ssim"])
def test_a_table_by_the_objective_says_nothing_of_the_selection(question: dict[str, object], select: str) -> None:
    told = notes(ask(case({"x": 1, "seed": 1}, BOTH), select=select, **question))
    assert "flatters" not in told and "and not" not in told


def test_a_selection_in_place_of_no_objective_is_said_too() -> None:
    told = notes(ask(case({"x": 1}, BOTH), objective=None, select="min:val/ssim"))
    assert "every value is of the step where val/ssim was lowest" in told and "flatters" not in told


@pytest.mark.parametrize("question", [{"select": "max:val/ssim"}, {"metrics": ("val/ssim",)}, {"best": "val/ssim"}])
def test_before_any_report_a_metric_is_not_called_unknown(question: dict[str, object]) -> None:
    cases = [case({"x": x}, state=State.PLANNED) for x in (1, 2, 3)]
    with pytest.raises(InputError, match="none of 3 runs has completed") as refused:
        ask(*cases, **question)
    assert "Known" not in str(refused.value)


def test_runs_that_completed_without_any_report_are_told_so() -> None:
    with pytest.raises(InputError, match="--metric loss: no run reported such a metric, nor any other number"):
        ask(case({"x": 1}), metrics=("loss",))


@pytest.mark.parametrize(
    ("question", "option"), [({"by": ("x",)}, "--by"), ({"across": ("x",)}, "--across"), ({"by": ("x",), "across": ("y",)}, "--across")]
)
@pytest.mark.parametrize(
    ("reported", "held"),
    [(history(), "no run reported a metric"), (history({"note": "ok"}, texts={"phase": "a"}), "note, phase hold texts")],
)
def test_nothing_is_averaged_where_no_number_was_reported(question: dict[str, object], option: str, reported: object, held: str) -> None:
    with pytest.raises(InputError, match=rf"^{option}: there is no number to average: {held}\. Report one with: run\.report"):
        ask(*(case({"x": x, "y": 1}, reported) for x in (1, 2)), **question)


@pytest.mark.parametrize(
    ("states", "advice"), [((State.FAILED, State.RUNNING), "Wait for them."), ((State.FAILED, State.CANCELLED), "status")]
)
def test_one_waits_only_for_runs_that_may_still_report(states: tuple[State, ...], advice: str) -> None:
    cases = [case({"x": x}, state=state) for x, state in enumerate(states)]
    with pytest.raises(InputError, match=f"none of 2 runs has completed.* {advice}$"):
        ask(*cases, metrics=("loss",))
