"""Options that do not go together, and grids of which nothing can be said yet."""

from __future__ import annotations

import pytest

from orchestrator.store.errors import InputError
from orchestrator.store.states import Cause, State
from tests.tables.studies import ask, case


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"over": ("seed",)}, "--over needs --by"),
        ({"by": ("x",), "baseline": "x=1"}, "--baseline needs --by and --over"),
        ({"per": ("x",)}, "--per needs --best"),
        ({"long": True, "best": "val/ssim"}, "--long and --best are different tables"),
        ({"by": ("x",), "best": "val/ssim"}, "--by and --best are different tables"),
        ({"by": ("x",), "all_keys": True}, "--all-keys is for one row a run or a step"),
        ({"select": "loss"}, "--select loss: whether more or less of it is better"),
        ({"select": "max:loss"}, r"--select loss: no run reported such a metric\. .*Known: val/ssim"),
        ({"best": "ssim"}, "--best ssim: whether more or less"),
        ({"best": "val/ssim", "metrics": ("psnr",)}, "--metric psnr: no run reported"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_way_out(question: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ask(case({"x": 1, "seed": 1}, 0.5), **question)


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
