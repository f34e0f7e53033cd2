"""Expressions that select runs."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.grid.where import parse_where, quoted
from orchestrator.store.errors import SelectionError

RUN = {"loss": {"weighting": "dwa"}, "seed": 3, "optim.lr": 1e-4, "flag": True, "note": "a b's", "none": None, "val/ssim": 0.8}

EXPRESSIONS = [
    ("loss.weighting=dwa and seed>2", True),
    ("loss.weighting = 'dwa' and seed > 3", False),
    ("seed=3.0", True),
    ("seed='3'", False),
    ("seed!=3", False),
    ("seed == 3", True),
    ("flag=true", True),
    ("flag=1", False),
    ("none=null", True),
    ("none>3", False),
    ("optim.lr<=1e-4", True),
    ("optim.lr in (1e-3, 0.0001)", True),
    ("loss.weighting not in (naive, dwa)", False),
    ("not seed=3 or flag=true", True),
    ("not (seed=3 or flag=true)", False),
    ("seed=1 or seed=2 and flag=true or seed>=3", True),
    ('note="a b\'s"', True),
    (r"note='a b\'s'", True),
    ("val/ssim>.5", True),
    ('"val/ssim"<.5', False),
    ("loss.weighting<e", True),
    ("(((seed=3)))", True),
    ("not not seed=3", True),
]


@pytest.mark.parametrize(("text", "answer"), EXPRESSIONS)
def test_expressions_select(text: str, answer: bool) -> None:
    assert parse_where(text)(RUN) is answer


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 1),
        ("seed", 5),
        ("seed=", 6),
        ("seed=3 4", 8),
        ("seed=3 and", 11),
        ("(seed=3", 8),
        ("seed in 3", 9),
        ("seed in (3", 11),
        ("seed in ()", 10),
        ("seed not 3", 10),
        ("and=3", 1),
        ("seed=3 and 'x", 12),
        ("seed=1e999", 6),
        ("seed=not", 6),
    ],
)
def test_what_cannot_be_read_is_told_with_its_position(text: str, position: int) -> None:
    with pytest.raises(SelectionError, match=f"at position {position}\\b"):
        parse_where(text)


def test_nesting_is_bounded() -> None:
    with pytest.raises(SelectionError, match="at most 50"):
        parse_where("(" * 10_000 + "a=1")


@pytest.mark.parametrize("text", ["weighting=dwa", "seed=3 or weighting=dwa"])
def test_an_unknown_key_names_those_near_to_it(text: str) -> None:
    with pytest.raises(SelectionError, match=r"'weighting' is unknown. Did you mean loss.weighting\?"):
        parse_where(text)(RUN)


def test_texts_and_numbers_are_not_compared() -> None:
    with pytest.raises(SelectionError, match=r"loss.weighting holds 'dwa', which '>' at position 15 cannot compare with 2"):
        parse_where("loss.weighting>2")(RUN)


def test_a_key_that_some_runs_lack_selects_among_the_others() -> None:
    runs: list[dict[str, Any]] = [{"mask.acs": 3, "s": 1}, {"s": 2}]
    assert list(parse_where("mask.acs=3").select(runs, lambda run: run)) == runs[:1]
    with pytest.raises(SelectionError, match=r"'mask\.ac' is unknown"):
        list(parse_where("mask.ac=3").select(runs, lambda run: run))
    assert list(parse_where("x=3").select([], lambda run: run)) == []


@given(
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.none()
)
def test_a_quoted_value_is_read_back_and_never_becomes_syntax(value: Any) -> None:
    where = parse_where(f"a={quoted(value)}")
    assert where({"a": value}) is True
    assert where({"a": [value]}) is False
    assert math.isnan(float(quoted(math.nan).removeprefix(".")))


def selected(text: str, *runs: dict[str, Any]) -> list[int]:
    return [run["n"] for run in parse_where(text).select_by_short_keys(runs, lambda run: run)]


def test_a_short_key_means_the_only_one_that_ends_in_it() -> None:
    runs = ({"mask.acceleration": 8, "n": 1}, {"mask.acceleration": 4, "n": 2}, {"n": 3})
    assert selected("acceleration=8 or acceleration in (4, 5) and not n=1", *runs) == [1, 2]
    assert selected("acceleration>4", *runs) == [1]
    assert selected("n=3", *runs) == [3]


def test_a_whole_key_goes_before_one_that_ends_in_it() -> None:
    assert selected("lr=1", {"lr": 1, "optim.lr": 2, "n": 1}, {"optim.lr": 1, "n": 2}) == [1]


def test_a_short_key_that_means_several_lists_them() -> None:
    with pytest.raises(SelectionError, match=r"the key 'lr' means 2 keys: net\.lr, optim\.lr\. Write the one that you mean"):
        selected("lr=1", {"net.lr": 1, "n": 1}, {"optim.lr": 1, "n": 2})


@pytest.mark.parametrize("word", ["sk.acceleration", "acc"])
def test_a_part_of_a_word_is_no_short_key(word: str) -> None:
    with pytest.raises(SelectionError, match="is unknown"):
        selected(f"{word}=8", {"mask.acceleration": 8, "n": 1})


def test_where_a_result_is_named_for_good_only_whole_keys_do() -> None:
    with pytest.raises(SelectionError, match="'acceleration' is unknown"):
        list(parse_where("acceleration=8").select([{"mask.acceleration": 8}], lambda run: run))
