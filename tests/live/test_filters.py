"""What is typed to filter: words of states and causes, a signature, an expression, a piece of a name."""

from __future__ import annotations

import pytest

from orchestrator.live.filters import Filter, narrow, parse_filter, typed_as
from orchestrator.results.overview import Line
from orchestrator.results.select import Selection
from orchestrator.store.states import Cause, State

TYPED = [
    ("", Filter()),
    ("  ", Filter()),
    ("failed", Filter(Selection(states=(State.FAILED,)))),
    ("failed cancelled", Filter(Selection(states=(State.FAILED, State.CANCELLED)))),
    ("host_oom", Filter(Selection(causes=(Cause.HOST_OOM,)))),
    ("cause=stalled", Filter(Selection(causes=(Cause.STALLED,)))),
    ("state=failed", Filter(Selection(states=(State.FAILED,)))),
    ("signature=3f9a1c", Filter(Selection(signature="3f9a1c"))),
    ("failed seed>2", Filter(Selection(states=(State.FAILED,), where="seed>2"))),
    ("failed and seed>2", Filter(Selection(states=(State.FAILED,), where="seed>2"))),
    ("timeout error lr=0.1 or lr=1", Filter(Selection(causes=(Cause.TIMEOUT, Cause.ERROR), where="lr=0.1 or lr=1"))),
    ("failed=1", Filter(Selection(where="failed=1"))),  # a key of that name
    ("timeout = 3", Filter(Selection(where="timeout = 3"))),
    ("lost in (1, 2)", Filter(Selection(where="lost in (1, 2)"))),
    ("state=3", Filter(Selection(where="state=3"))),
    ("VarNet", Filter(text="varnet")),
    ("failed varnet", Filter(Selection(states=(State.FAILED,)), text="varnet")),
    ("varnet lr=0.01", Filter(Selection(where="lr=0.01"), text="varnet")),
    ("VarNet failed and lr = 0.01", Filter(Selection(states=(State.FAILED,), where="lr = 0.01"), text="varnet")),
    ("varnet-2 knee not seed=1", Filter(Selection(where="not seed=1"), text="varnet-2 knee")),
    ("varnet not in (1, 2)", Filter(Selection(where="varnet not in (1, 2)"))),
    ("fail", Filter(text="fail")),  # while it is typed
]


@pytest.mark.parametrize(("typed", "wanted"), TYPED, ids=[typed or "nothing" for typed, _ in TYPED])
def test_words_come_first_and_an_expression_or_a_text_after_them(typed: str, wanted: Filter) -> None:
    assert parse_filter(typed) == wanted


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(states=(State.FAILED, State.STALLED), causes=(Cause.STALLED,), where="lost=1"),
        Selection(signature="3f9a1c"),
    ],
    ids=repr,
)
def test_a_selection_of_the_command_line_is_typed_as_what_it_means(selection: Selection) -> None:
    assert parse_filter(typed_as(selection)) == Filter(selection)


LINES = [
    Line(id="a1", label="kind=varnet seed=1", state="failed", cause="error"),
    Line(id="b2", label="kind=varnet seed=2", state="running"),
    Line(id="c3", label="kind=unet seed=1", state="failed", cause="timeout"),
]
NARROWED = [
    ("", None, None, ["a1", "b2", "c3"]),
    ("failed", None, None, ["a1", "c3"]),
    ("failed timeout", None, None, ["c3"]),
    ("seed=1", {"a1", "c3"}, None, ["a1", "c3"]),
    ("signature=aa", None, {"c3"}, ["c3"]),
    ("varnet", None, None, ["a1", "b2"]),
    ("1 varnet", None, None, ["a1"]),
    ("varnet seed=1", {"a1", "c3"}, None, ["a1"]),
    ("b", None, None, ["b2"]),  # the beginning of an id
    ("nothing", None, None, []),
]


@pytest.mark.parametrize(("typed", "matching", "alike", "ids"), NARROWED)
def test_lines_are_narrowed(typed: str, matching: set[str] | None, alike: set[str] | None, ids: list[str]) -> None:
    assert [line.id for line in narrow(LINES, parse_filter(typed), matching=matching, alike=alike)] == ids


def test_a_limit_of_the_command_line_holds() -> None:
    assert [line.id for line in narrow(LINES, Filter(Selection(limit=2)), matching=None, alike=None)] == ["a1", "b2"]
