"""Tables as frames: a missing number is NaN, also where a whole column is missing."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from orchestrator.store.errors import InputError
from orchestrator.store.states import State
from orchestrator.tables.frame import as_frame, write_parquet
from tests.tables.studies import ask, case, history

ONE = case({"x": 1, "seed": 1}, history(val__ssim=(0.5, 0.6)))
FAILED = case({"x": 2, "seed": 1}, history(loss=(1.0,)), state=State.FAILED)
QUESTIONS = [
    ({"by": ("x",), "over": ("seed",), "baseline": "x=1"}, ["std", "ci95_low", "difference", "difference_high"]),
    ({"across": ("x",), "over": ("seed",)}, ["x=1 ci95_low", "x=1 ci95_high"]),
    ({"best": "val/ssim", "per": ("x",), "metrics": ("loss",)}, ["loss"]),
]


@pytest.mark.parametrize(("question", "empty"), QUESTIONS)
def test_a_number_that_is_missing_in_every_row_is_nan(question: dict[str, object], empty: list[str]) -> None:
    table = ask(ONE, FAILED, **question)
    for frame in (as_frame(table), pd.read_parquet(io.BytesIO(write_parquet(table)))):
        assert {name: str(frame[name].dtype) for name in empty} == dict.fromkeys(empty, "float64")
        assert frame[empty].isna().all(axis=None)


def test_what_runs_that_wait_will_cost_and_reach_is_nan() -> None:
    frame = as_frame(ask(case({"x": 1}, state=State.QUEUED, number=1)))
    assert str(frame["step"].dtype) == "float64"
    manifest, record, reported = case({"x": 1}, state=State.QUEUED, number=1)
    frame = as_frame(ask((manifest, type(record)(id=record.id), reported)))
    assert {str(frame[name].dtype) for name in ("runtime_s", "spent_s", "peak_mem_gb", "step")} == {"float64"}
    assert str(frame["cause"].dtype) == "object"


def test_texts_of_a_metric_stay() -> None:
    frame = as_frame(ask(case({"x": 1}, history(texts={"phase": "warm"}))))
    assert list(frame["phase"]) == ["warm"]


def test_a_table_without_rows_has_its_columns() -> None:
    table = ask(case({"x": 1}, history(val__ssim=(0.5,)), state=State.RUNNING), metrics=("val/ssim",), long=True)
    assert list(as_frame(table).columns) == list(table.columns)
    with pytest.raises(InputError):
        ask(best="val/ssim")
