"""Records: a fold of events in which done is sticky and a zombie changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.store.events import Changed, Ended, Intent, LedgerEvent, Refused, Started
from orchestrator.store.records import Records
from orchestrator.store.states import FINAL, TRANSITIONS, Cause, State, may_become

RUN = "0123456789abcdef"


def intent(attempt: int = 1, token: str = "t1", reason: str = "launch") -> Intent:
    return Intent(at=1.0, token=token, runs=((RUN, attempt),), tasks=1, max_parallel=1, reason=reason)


def started(attempt: int = 1, token: str = "t1", restart: int = 0) -> Started:
    return Started(at=2.0, run=RUN, attempt=attempt, restart=restart, token=token, index=0, host="n1")


def ended(state: State, attempt: int = 1, restart: int = 0, cause: Cause | None = None) -> Ended:
    return Ended(at=3.0, run=RUN, attempt=attempt, restart=restart, state=state, cause=cause, sha256="ab" * (state is State.COMPLETED))


def state_after(*events: LedgerEvent) -> State:
    return Records().apply(events).get(RUN).state


STORIES: list[tuple[str, tuple[LedgerEvent, ...], State]] = [
    ("never submitted", (), State.PLANNED),
    ("in the queue", (intent(),), State.QUEUED),
    ("refused by the scheduler", (intent(), Refused(at=2.0, token="t1", message="no")), State.PLANNED),
    ("computing", (intent(), started()), State.RUNNING),
    ("done", (intent(), started(), ended(State.COMPLETED)), State.COMPLETED),
    ("done is sticky", (intent(), started(), ended(State.COMPLETED), ended(State.FAILED)), State.COMPLETED),
    ("failed", (intent(), started(), ended(State.FAILED, cause=Cause.ERROR)), State.FAILED),
    ("again in the queue", (intent(), started(), ended(State.FAILED), intent(2, "t2")), State.QUEUED),
    ("the zombie of attempt 1 ends", (intent(), started(), intent(2, "t2"), started(2, "t2"), ended(State.FAILED, 1)), State.RUNNING),
    ("Slurm restarted the task", (intent(), started(), ended(State.INTERRUPTED), started(restart=1)), State.RUNNING),
    ("the first start's end comes late", (intent(), started(), started(restart=1), ended(State.INTERRUPTED)), State.RUNNING),
    ("one more intent for the same attempt", (intent(), started(), intent(1, "t2")), State.RUNNING),
    ("cancelled, yet it was quicker", (intent(), Changed(at=2.0, run=RUN, state=State.CANCELLED), ended(State.COMPLETED)), State.COMPLETED),
    (
        "pruned and restored",
        (
            intent(),
            started(),
            ended(State.FAILED),
            Changed(at=4.0, run=RUN, state=State.PRUNED),
            Changed(at=5.0, run=RUN, state=State.FAILED),
        ),
        State.FAILED,
    ),
]


@pytest.mark.parametrize(("events", "state"), [story[1:] for story in STORIES], ids=[story[0] for story in STORIES])
def test_story_leads_to_state(events: tuple[LedgerEvent, ...], state: State) -> None:
    assert state_after(*events) is state


def test_every_state_is_in_the_table_and_can_be_reached() -> None:
    reached = {State.PLANNED}
    while more := {after for state in reached for after in TRANSITIONS[state]} - reached:
        reached |= more
    assert set(TRANSITIONS) == set(State) == reached


def test_no_final_state_goes_back_to_running_by_itself() -> None:
    assert not any(may_become(state, State.RUNNING) for state in FINAL)


EVENTS = st.one_of(
    st.builds(intent, st.integers(1, 3), st.sampled_from(["t1", "t2", "t3"])),
    st.builds(started, st.integers(1, 3), st.sampled_from(["t1", "t2", "t3"]), st.integers(0, 1)),
    st.builds(ended, st.sampled_from([State.FAILED, State.INTERRUPTED, State.CANCELLED]), st.integers(1, 3), st.integers(0, 1)),
)


@given(st.lists(EVENTS, max_size=12), st.lists(EVENTS, max_size=12))
def test_nothing_but_pruning_undoes_a_proven_success(before: list[LedgerEvent], after: list[LedgerEvent]) -> None:
    success = (intent(9, "t9"), started(9, "t9"), ended(State.COMPLETED, 9))
    assert state_after(*before, *success, *after) is State.COMPLETED


@given(st.lists(EVENTS, max_size=20))
def test_attempt_numbers_never_go_back(events: list[LedgerEvent]) -> None:
    records = Records()
    newest = 0
    for event in events:
        records.apply([event])
        assert records.get(RUN).attempt >= newest
        newest = records.get(RUN).attempt


def test_bad_ends_count_until_a_person_asks_again() -> None:
    records = Records()
    for attempt in (1, 2, 3):
        records.apply([intent(attempt, f"t{attempt}", "watch"), started(attempt, f"t{attempt}"), ended(State.INTERRUPTED, attempt)])
    assert records.get(RUN).tally == {Cause.LOST: 3}
    assert records.apply([intent(4, "t4", "requeue")]).get(RUN).tally == {}
