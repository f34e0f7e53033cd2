"""Failures: runs that ended alike are one group with one name, whoever looks and whenever."""

from __future__ import annotations

import pytest

from orchestrator.results.failures import Failure, failure_id, group_failures, telling_lines, with_excerpts
from orchestrator.store.records import Attempt, Record
from orchestrator.store.states import Cause, State


def run(
    number: int, state: State = State.FAILED, cause: Cause | None = Cause.ERROR, reason: str = "ValueError: 3", **fields: object
) -> Record:
    return Record(id=f"{number:016x}", state=state, cause=cause, reason=reason, **fields)  # type: ignore[arg-type]


def ended(confidence: str, *evidence: str) -> tuple[Attempt, ...]:
    return (Attempt(number=1, confidence=confidence, evidence=evidence),)


COUNTED = [
    (State.FAILED, {}, True),
    (State.BLOCKED, {}, True),
    (State.INTERRUPTED, {Cause.TIMEOUT: 1}, False),
    (State.INTERRUPTED, {Cause.TIMEOUT: 1, Cause.LOST: 1}, True),  # lost twice
    (State.CANCELLED, {}, False),
    (State.STALLED, {}, False),
    (State.COMPLETED, {}, False),
]


@pytest.mark.parametrize(("state", "tally", "counts"), COUNTED)
def test_runs_that_stand_still_are_grouped(state: State, tally: dict[Cause, int], counts: bool) -> None:
    assert bool(group_failures([run(1, state, tally=tally)])) is counts


def test_an_interrupted_run_that_is_given_up_stands_still() -> None:
    record = run(1, State.INTERRUPTED, Cause.TIMEOUT, tally={Cause.TIMEOUT: 1})
    assert group_failures([record], frozenset({record.id}))[0].runs == (record.id,)


def test_the_largest_group_comes_first_and_names_all_of_its_runs() -> None:
    same = [run(number, signature="ValueError f.py:g ValueError: #", reason=f"ValueError: {number}\nat line 3") for number in range(3)]
    other = run(9, cause=Cause.HOST_OOM, signature="host_oom", reason="killed")
    large, small = group_failures([other, *same])
    assert (large.cause, large.message, large.states) == ("error", "ValueError: 0", {"failed": 3})
    assert large.runs == tuple(record.id for record in same)
    assert (small.cause, small.runs) == ("host_oom", (other.id,))


def test_the_id_of_a_group_depends_on_cause_and_signature_alone() -> None:
    one, twin = run(1, signature="s"), run(2, signature="s", reason="other words", attempts=ended("guess"))
    assert failure_id(one) == failure_id(twin) == group_failures([one])[0].id == "d999be"
    assert failure_id(run(3, cause=Cause.HOST_OOM, signature="s")) != failure_id(one)
    assert failure_id(run(3, signature="t")) != failure_id(one)


@pytest.mark.parametrize("state", [State.COMPLETED, State.QUEUED, State.RUNNING])
def test_a_run_that_did_not_end_badly_belongs_to_no_group(state: State) -> None:
    assert failure_id(run(1, state, None, signature="s")) == ""


def test_without_a_signature_the_first_line_of_the_reason_tells_groups_apart() -> None:
    blocked = [run(number, State.BLOCKED, None, reason=f"prepare failed, {word}\nlog") for number, word in enumerate(["a", "a", "b"])]
    assert [len(group.runs) for group in group_failures(blocked)] == [2, 1]


def test_a_group_is_as_sure_as_its_least_sure_run_and_shows_the_evidence_of_one() -> None:
    sure, unsure = run(1, attempts=ended("certain")), run(2, attempts=ended("likely", "sacct: FAILED 1:0"))
    (group,) = group_failures([sure, unsure])
    assert (group.confidence, group.evidence) == ("likely", ("sacct: FAILED 1:0",))


EXCERPTS = [
    ("Traceback (most recent call last):\n  in f\n    ~~^^~\nValueError: 3 is odd\n", ["  in f"]),
    ("first\nsecond\nthird\nfourth", ["second", "third", "fourth"]),
    ("", ["sacct: TIMEOUT"]),
]


@pytest.mark.parametrize(("excerpt", "lines"), EXCERPTS)
def test_of_an_excerpt_the_last_lines_are_shown_that_are_not_the_message(excerpt: str, lines: list[str]) -> None:
    group = Failure(id="a", cause="error", message="ValueError: 3 is odd", runs=("r",), evidence=("sacct: TIMEOUT",), excerpt=excerpt)
    assert telling_lines(group, 3) == lines


def test_excerpts_go_to_the_groups_that_they_are_of() -> None:
    groups = group_failures([run(1), run(2, cause=Cause.DIVERGED)])
    assert [group.excerpt for group in with_excerpts(groups, {groups[1].id: "log"})] == ["", "log"]
