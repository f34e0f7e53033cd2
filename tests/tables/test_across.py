"""Matrices: the values of a key become columns."""

from __future__ import annotations

import itertools

import pytest

from orchestrator.store.errors import InputError
from orchestrator.store.states import Cause, State
from orchestrator.tables.question import Question, answer
from orchestrator.tables.table import Tables
from tests.tables.studies import ask, case, column, history, notes, study

SITES = ("B", "F", "H")


def matrix(**question: object) -> Tables:
    """Three train sites by three test sites, two seeds; one cell is thin, one is empty, one is not in the grid."""
    cases = []
    for place, (train, test, seed) in enumerate(itertools.product(SITES, SITES, (1, 2))):
        if (train, test) == ("H", "H"):
            continue
        lost = (train, test) == ("F", "B") or (train, test, seed) == ("B", "H", 2)
        state = {"state": State.FAILED, "cause": Cause.TIMEOUT} if lost else {}
        reported = None if lost else history(val__ssim=(0.5 + place / 100,), test__ssim=(0.4 + place / 100,))
        cases.append(case({"data.train": train, "data.test": test, "seed": seed}, reported, **state))
    asked = {"by": ("data.train",), "across": ("data.test",), "over": ("seed",), "metrics": ("test/ssim",), **question}
    return answer([study(*cases)], Question(**asked))


def test_each_value_is_a_column_with_its_mean_interval_and_number() -> None:
    data = matrix().data
    each = ("", " ci95_low", " ci95_high", " n")
    assert data.columns == ("data.train", "metric", *(f"data.test={site}{part}" for site in SITES for part in each))
    assert column(data, "data.test=B") == [pytest.approx(0.405), None, pytest.approx(0.525)]
    assert column(data, "data.test=B n") == [2, 0, 2]
    assert column(data, "data.test=H n") == [1, 2, 0]


def test_the_page_tells_a_thin_an_empty_and_an_absent_cell_apart() -> None:
    page = matrix().page
    assert page.columns == ("data.train", "data.test=B", "data.test=F", "data.test=H")
    assert [row[0] for row in page.rows] == list(SITES)
    assert [row[3] for row in page.rows] == ["0.44 (1)", "0.51 ± 0.06", None]
    assert page.rows[1][1] == "–"
    assert [page.short[name] for name in page.columns] == ["train", "test=B", "=F", "=H"]
    told = notes(page)
    assert "n = 2, or as it stands in parentheses; –: no value" in told
    assert "missing: train=F test=B: 0 of 2; seed=1 failed (timeout), seed=2 failed (timeout)" in told
    assert "thin: train=B test=H: 1 of 2; seed=2 failed (timeout)" in told


def test_several_metrics_stand_below_each_other() -> None:
    tables = matrix(metrics=("test/ssim", "val/ssim"))
    assert column(tables.data, "metric") == ["test/ssim"] * 3 + ["val/ssim"] * 3
    assert tables.page.columns[:2] == ("data.train", "metric")


def test_several_keys_make_one_column_for_each_pair_of_values() -> None:
    cases = [case({"a": a, "b": b, "seed": 1}, a + b / 10) for a in (1, 2) for b in (3, 4)]
    table = ask(*cases, across=("a", "b"), over=("seed",))
    assert [name for name in table.columns if name.endswith(" n")] == [f"a={a} b={b} n" for a in (1, 2) for b in (3, 4)]
    assert len(table.rows) == 1


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"across": ("data.train",)}, "data.train is named twice"),
        ({"over": ("data.test",)}, "data.test is named twice"),
        ({"baseline": "data.train=B"}, "--baseline and --across"),
    ],
)
def test_a_key_has_one_place(question: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        matrix(**question)


def test_a_matrix_of_one_metric_names_it_first() -> None:
    assert matrix().page.notes[0].startswith("mean of test/ssim ± half of the 95 % interval")
    assert matrix(metrics=("test/ssim", "val/ssim")).page.notes[0].startswith("mean ± half")
