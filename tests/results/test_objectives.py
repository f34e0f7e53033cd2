"""The objective of finished runs."""

from __future__ import annotations

from orchestrator.grid.objective import Objective
from orchestrator.results.objectives import count_unreported, number
from orchestrator.store.records import Record
from orchestrator.store.states import State


def test_number_understands_the_words_that_json_lacks() -> None:
    assert number("-inf") == float("-inf")
    assert number("nan") != number("nan")
    assert number(None) != number(None)
    assert number(3) == 3.0


def test_completed_runs_without_a_value_are_counted_where_one_is_asked_for() -> None:
    records = [Record(id="a", state=State.COMPLETED), Record(id="b", state=State.COMPLETED, best=0.5), Record(id="c", state=State.FAILED)]
    assert count_unreported(records, Objective(name="loss")) == 1
    assert count_unreported(records, None) == 0
