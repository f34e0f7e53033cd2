"""Evidence to events: who is trusted, and how long what nobody names is waited for."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.store.events import Changed, Ended, Intent, LedgerEvent, Recalled, Started, Submitted
from orchestrator.store.records import Records
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.diagnose import Case
from orchestrator.watchdog.observe import Absences, Patience, Proven, bad_end_of, blocked_by_prepare, observe
from orchestrator.watchdog.policy import held_runs
from orchestrator.worker.journals import Journals

RUN = "0123456789abcdef"
PATIENCE = Patience(settle_s=10, absent_s=30)
NOW = 1000.0


def in_queue(listed: bool = False) -> Records:
    intent = Intent(at=1.0, token="t1", runs=((RUN, 1),), tasks=1, max_parallel=1, listed=listed)
    return Records().apply([intent, Submitted(at=2.0, token="t1", job_id="77")])


def computing(listed: bool = False) -> Records:
    return in_queue(listed).apply([Started(at=900.0, run=RUN, attempt=1, token="t1", index=0, host="n1")])


def row(word: str, state: TaskState = TaskState.ENDED, ended_at: float = 950.0, *, oom: bool = False, reason: str = "") -> TaskRow:
    return TaskRow(token="t1", job_id="77", index=0, state=state, word=word, ended_at=ended_at, oom=oom, reason=reason, source="sacct")


SCANCELLED = row("CANCELLED", reason="by 1000")


def seen(*rows: TaskRow, queue_ok: bool = True, now: float = NOW) -> Snapshot:
    tasks = {"t1": {task.index: task for task in rows}} if rows else {}
    return Snapshot(taken_at=now, queue_ok=queue_ok, accounting_ok=True, tasks=tasks)


def look(
    records: Records, snapshot: Snapshot, *, journal: tuple[Started | Ended, ...] = (), sha256: str = "", before: Absences | None = None
):  # type: ignore[no-untyped-def]
    journals = Journals(events=journal)
    return observe(
        records,
        journals,
        snapshot,
        lambda run, attempt, restart: Proven(sha256, {}) if sha256 else None,
        lambda run, attempt, submission: Case(),
        PATIENCE,
        before or Absences(),
    )[:2]


def outcome(records: Records, snapshot: Snapshot, **more: object) -> tuple[State, Cause | None]:
    events, _ = look(records, snapshot, **more)  # type: ignore[arg-type]
    record = records.copy().apply(events).get(RUN)
    return record.state, record.cause


ENDS = [
    ("OUT_OF_MEMORY", State.FAILED, Cause.HOST_OOM),
    ("TIMEOUT", State.INTERRUPTED, Cause.TIMEOUT),
    ("PREEMPTED", State.INTERRUPTED, Cause.PREEMPTED),
    ("NODE_FAIL", State.INTERRUPTED, Cause.NODE_FAILURE),
    ("CANCELLED", State.INTERRUPTED, Cause.LOST),
    ("FAILED", State.INTERRUPTED, Cause.LOST),
    ("COMPLETED", State.INTERRUPTED, Cause.LOST),
]


@pytest.mark.parametrize(("word", "state", "cause"), ENDS)
def test_end_of_a_task_ends_the_run_that_left_no_word(word: str, state: State, cause: Cause) -> None:
    assert outcome(computing(), seen(row(word))) == (state, cause)


def test_step_that_was_killed_for_memory_counts_whatever_the_job_says() -> None:
    assert outcome(computing(), seen(row("FAILED", oom=True))) == (State.FAILED, Cause.HOST_OOM)


@pytest.mark.parametrize(
    ("word", "alive", "state"),
    [
        ("CANCELLED", False, State.CANCELLED),
        ("CANCELLED", True, State.INTERRUPTED),  # it may still be requeued
        ("PREEMPTED", False, State.INTERRUPTED),
        ("FAILED", False, State.INTERRUPTED),
    ],
)
def test_run_that_was_told_to_end_is_cancelled_when_a_person_cancelled_its_task(word: str, alive: bool, state: State) -> None:
    told = Ended(at=940.0, run=RUN, attempt=1, state=State.INTERRUPTED, cause=Cause.PREEMPTED)
    task = row(word, TaskState.RUNNING if alive else TaskState.ENDED, reason="by 1000" if word == "CANCELLED" else "")
    assert outcome(computing(), seen(task), journal=(told,))[0] is state


def test_proof_of_success_wins_over_every_word() -> None:
    assert outcome(computing(), seen(row("FAILED")), sha256="ab") == (State.COMPLETED, None)


@pytest.mark.parametrize("state", [TaskState.WAITING, TaskState.RUNNING, TaskState.UNCLEAR])
def test_task_that_may_go_on_changes_nothing(state: TaskState) -> None:
    assert outcome(computing(), seen(row("?", state))) == (State.RUNNING, None)


def test_task_that_just_ended_is_given_time_to_settle() -> None:
    assert outcome(computing(), seen(row("FAILED", ended_at=NOW - 9))) == (State.RUNNING, None)
    assert outcome(computing(), seen(row("FAILED", ended_at=NOW - 10))) == (State.INTERRUPTED, Cause.LOST)


def test_absence_counts_only_when_repeated_and_from_a_healthy_queue() -> None:
    absences = Absences()
    story = []
    for now, healthy in [(1000.0, True), (1010.0, False), (1020.0, True), (1025.0, True), (1040.0, True)]:
        events, absences = look(computing(), seen(queue_ok=healthy, now=now), before=absences)
        story.append(bool(events))
    assert story == [False, False, False, False, False]  # the unhealthy look began the count anew
    events, absences = look(computing(), seen(now=1060.0), before=absences)
    assert [event.cause for event in events if isinstance(event, Ended)] == [Cause.LOST]


@pytest.mark.parametrize(
    ("state", "accounting", "cause"),
    [
        (State.CANCELLED, True, Cause.CANCELLED_BEFORE_START),  # scancel of one waiting task leaves no record
        (State.INTERRUPTED, False, Cause.NEVER_STARTED),  # it may have started and ended
    ],
)
def test_waiting_task_that_is_gone_from_its_array_was_cancelled(state: State, accounting: bool, cause: Cause) -> None:
    rest = msgspec.structs.replace(row("PENDING", TaskState.WAITING), index=1)
    absences = Absences()
    for now in (1000.0, 1020.0, 1040.0):
        snapshot = msgspec.structs.replace(seen(rest, now=now), accounting_ok=accounting)
        events, absences = look(in_queue(), snapshot, before=absences)
    record = in_queue().apply(events).get(RUN)
    assert (record.state, record.cause) == (state, cause)


def test_pending_task_that_a_person_cancelled_is_cancelled_not_lost() -> None:
    assert outcome(in_queue(), seen(SCANCELLED)) == (State.CANCELLED, Cause.CANCELLED_BEFORE_START)
    without_accounting = msgspec.structs.replace(row("CANCELLED"), source="squeue")
    assert outcome(in_queue(), seen(without_accounting)) == (State.CANCELLED, Cause.CANCELLED_BEFORE_START)


def test_task_that_accounting_calls_cancelled_by_nobody_was_forgotten_by_slurm() -> None:
    assert outcome(in_queue(), seen(row("CANCELLED"))) == (State.INTERRUPTED, Cause.NEVER_STARTED)
    assert outcome(computing(), seen(row("CANCELLED"))) == (State.INTERRUPTED, Cause.LOST)


def test_task_that_we_took_out_of_its_array_is_no_person_s_wish() -> None:
    recalled = in_queue().apply([Recalled(at=3.0, token="t1", rows=(0,))])
    assert recalled.get(RUN).state is State.PLANNED
    started = recalled.apply([Started(at=4.0, run=RUN, attempt=1, token="t1", index=0, host="n1")])  # it was quicker than we
    assert started.get(RUN).state is State.RUNNING
    assert outcome(started, seen(SCANCELLED)) == (State.INTERRUPTED, Cause.LOST)
    told = Ended(at=940.0, run=RUN, attempt=1, state=State.INTERRUPTED, cause=Cause.PREEMPTED)
    assert outcome(started, seen(SCANCELLED), journal=(told,)) == (State.INTERRUPTED, Cause.PREEMPTED)


def test_task_that_slurm_cancelled_for_its_dependency_is_no_person_s_wish() -> None:
    cancelled = msgspec.structs.replace(row("CANCELLED"), reason="Dependency", source="squeue")
    assert outcome(in_queue(), seen(cancelled)) == (State.INTERRUPTED, Cause.NEVER_STARTED)


def test_task_that_ended_without_starting_its_run_is_taken_up_again() -> None:
    assert outcome(in_queue(), seen(row("NODE_FAIL"))) == (State.INTERRUPTED, Cause.NEVER_STARTED)


def test_scancel_of_a_computing_task_is_a_cancellation_not_a_preemption() -> None:
    preempted = Ended(at=940.0, run=RUN, attempt=1, state=State.INTERRUPTED, cause=Cause.PREEMPTED)
    assert outcome(computing(), seen(SCANCELLED), journal=(preempted,)) == (State.CANCELLED, Cause.CANCELLED)
    assert outcome(computing(), seen(row("PREEMPTED")), journal=(preempted,)) == (State.INTERRUPTED, Cause.PREEMPTED)


def test_listed_run_waits_while_any_worker_of_its_list_lives() -> None:
    living = msgspec.structs.replace(row("RUNNING", TaskState.RUNNING), index=1)
    assert outcome(in_queue(listed=True), seen(row("FAILED"), living)) == (State.QUEUED, None)


def test_open_intent_is_nobody_s_loss() -> None:
    intent = Intent(at=1.0, token="t1", runs=((RUN, 1),), tasks=1, max_parallel=1)
    events, absences = look(Records().apply([intent]), seen())
    assert (events, absences) == ([], Absences())


def test_failed_prepare_blocks_its_runs_with_the_log() -> None:
    events = blocked_by_prepare(in_queue(), {RUN: "cafe"}, lambda digest: "exit code 1: no space", NOW)
    assert [(event.state, event.reason) for event in events] == [(State.BLOCKED, "prepare failed, exit code 1: no space")]
    assert blocked_by_prepare(in_queue(), {RUN: "cafe"}, lambda digest: None, NOW) == []


BAD_ENDS = [
    (row("TIMEOUT"), "its job 77 ended as TIMEOUT"),
    (row("FAILED", oom=True), "its job 77 ended as OUT_OF_MEMORY"),
    (SCANCELLED, "its job 77 ended as CANCELLED"),
    (row("COMPLETED"), None),
    (row("PREEMPTED"), None),
    (row("NODE_FAIL"), None),
    (row("TIMEOUT", ended_at=NOW - 9), None),
    (row("RUNNING", TaskState.RUNNING), None),
]


@pytest.mark.parametrize(("task", "told"), BAD_ENDS)
def test_end_of_a_prepare_job_blocks_when_it_would_end_so_again(task: TaskRow, told: str | None) -> None:
    job = in_queue().submissions["t1"]
    assert bad_end_of(job, seen(task), PATIENCE) == told
    assert bad_end_of(job, seen(), PATIENCE) is None


def _interrupted(times: int) -> Records:
    events: list[LedgerEvent] = []
    for attempt in range(1, times + 1):
        events += [
            Intent(at=1.0, token=f"t{attempt}", runs=((RUN, attempt),), tasks=1, max_parallel=1, reason="watch"),
            Started(at=2.0, run=RUN, attempt=attempt, token=f"t{attempt}", index=0, host="n1"),
            Ended(at=3.0, run=RUN, attempt=attempt, state=State.INTERRUPTED, cause=Cause.PREEMPTED),
        ]
    return Records().apply(events)


def test_success_that_nobody_told_of_counts_even_when_another_attempt_waits() -> None:
    lost = Ended(at=950.0, run=RUN, attempt=1, state=State.INTERRUPTED, cause=Cause.NODE_FAILURE)
    again = Intent(at=960.0, token="t1", runs=((RUN, 2),), tasks=1, max_parallel=1, reason="watch")
    records = computing().apply([lost, again, Submitted(at=961.0, token="t1", job_id="78")])
    assert outcome(records, seen(row("COMPLETED")), sha256="ab") == (State.COMPLETED, None)
    assert outcome(records, seen(row("COMPLETED")), sha256="") == (State.INTERRUPTED, Cause.NEVER_STARTED)


def test_interrupted_run_is_held_while_slurm_may_take_it_up_or_does_not_answer() -> None:
    records = _interrupted(1)
    assert held_runs(records, seen(row("PENDING", TaskState.WAITING))) == {RUN}
    assert held_runs(records, seen(queue_ok=False)) == {RUN}
    assert held_runs(records, seen(row("PREEMPTED"))) == set()


def test_run_that_was_cancelled_in_the_queue_and_started_all_the_same_keeps_its_attempt() -> None:
    cancelled = in_queue().apply([Changed(at=3.0, run=RUN, state=State.CANCELLED)])
    started = Started(at=4.0, run=RUN, attempt=1, token="t1", index=0, host="n1")
    records = cancelled.apply([started])
    assert (records.get(RUN).state, len(records.get(RUN).attempts)) == (State.CANCELLED, 1)
    done = Ended(at=5.0, run=RUN, attempt=1, state=State.COMPLETED, sha256="ab")
    assert records.apply([done]).get(RUN).state is State.COMPLETED


PUT_BACK = [
    (950.0, State.INTERRUPTED),  # after the start, 50 s ago
    (995.0, State.RUNNING),  # its own end may still be under way
    (800.0, State.RUNNING),  # before the start: the answer is older than that
    (None, State.RUNNING),
]


@pytest.mark.parametrize(("submitted_at", "state"), PUT_BACK)
def test_start_is_over_whose_task_slurm_has_put_back_into_the_queue(submitted_at: float | None, state: State) -> None:
    waiting = msgspec.structs.replace(row("PENDING", TaskState.WAITING, reason="BeginTime"), submitted_at=submitted_at)
    assert outcome(computing(), seen(waiting))[0] is state


def test_start_that_left_its_proof_has_completed_though_its_task_was_put_back() -> None:
    waiting = msgspec.structs.replace(row("PENDING", TaskState.WAITING, reason="BeginTime"), submitted_at=950.0)
    assert outcome(computing(), seen(waiting), sha256="ab") == (State.COMPLETED, None)


def test_run_goes_on_when_the_task_that_was_put_back_begins_anew() -> None:
    waiting = msgspec.structs.replace(row("PENDING", TaskState.WAITING), submitted_at=950.0)
    events, _ = look(computing(), seen(waiting))
    again = Started(at=1100.0, run=RUN, attempt=1, restart=1, token="t1", index=0, host="n2")
    record = computing().apply([*events, again]).get(RUN)
    assert (record.state, [attempt.state for attempt in record.attempts]) == (State.RUNNING, [State.INTERRUPTED, State.RUNNING])
