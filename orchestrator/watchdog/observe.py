"""Turn evidence into events: what workers wrote, and what the scheduler says of those that cannot write any more (pure)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

import msgspec

from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.store.events import Changed, Ended, LedgerEvent, Number
from orchestrator.store.records import Attempt, Record, Records, SubmissionRecord
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.clues import Clues
from orchestrator.watchdog.diagnose import diagnose, is_by_a_person, told_of
from orchestrator.worker.journals import Journals
from orchestrator.worker.phrases import LIKELY


class Proven(NamedTuple):
    """What a valid result.json says."""

    sha256: str
    metrics: dict[str, Number]
    best: Number = None
    best_step: int | None = None
    last: Number = None
    runtime_s: float = 0.0


Proof = Callable[[str, int, int], Proven | None]
"""(run, attempt, restart) → what its result.json proves; None when there is no valid one."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Waiting times of a profile [s]."""

    settle_s: float = 180.0
    """A task that the scheduler calls ended may still show up again, or its files may."""
    absent_s: float = 300.0
    """A task that no source names is gone after this."""


class Absences(msgspec.Struct, frozen=True, kw_only=True):
    """Since when no source names a task, over repeated looks."""

    since: dict[str, float] = {}
    """ "token/index" → time of the first look that missed it."""
    looks: dict[str, int] = {}


MIN_LOOKS = 3


class Observation(NamedTuple):
    """What evidence comes to."""

    events: list[LedgerEvent]
    """What the records did not know."""
    absences: Absences
    """What to remember for the next look."""
    records: Records
    """The records with the events taken in."""


def observe(
    records: Records, journals: Journals, snapshot: Snapshot, proof: Proof, clues: Clues, patience: Patience, absences: Absences
) -> Observation:
    """Return what the evidence adds to `records`, which is not changed.

    The order of trust: a proof of success, a worker's own words, the scheduler's word for a task that ended and
    has had time to settle. What no healthy source names is given time; "unknown" is never an end.
    """
    events: list[LedgerEvent] = list(journals.events)
    view = records.copy().apply(events)
    begun = frozenset(attempt.token for record in view.runs.values() for attempt in record.attempts)
    evidence = _Evidence(snapshot, proof, clues, patience, absences, begun)
    missing: dict[str, tuple[float, int]] = {}
    judged: list[LedgerEvent] = []
    for record in view.runs.values():
        submission = view.submissions.get(record.token)
        if record.is_alive and submission is not None and not submission.is_open:
            judged.extend(_judge(record, submission, evidence, missing))
        elif record.state is State.INTERRUPTED:
            judged.extend(_scancelled(record, view, snapshot))
    kept = Absences(since={key: since for key, (since, _) in missing.items()}, looks={key: looks for key, (_, looks) in missing.items()})
    return Observation(events=[*events, *judged], absences=kept, records=view.apply(judged))


class _Evidence(NamedTuple):
    """What a judgement looks at, the same for all runs."""

    snapshot: Snapshot
    proof: Proof
    clues: Clues
    patience: Patience
    absences: Absences
    begun: frozenset[str]
    """Submissions of which some run was begun."""


def _judge(
    record: Record, submission: SubmissionRecord, evidence: _Evidence, missing: dict[str, tuple[float, int]]
) -> Iterator[LedgerEvent]:
    """Yield the end of a run whose task is gone, if it is surely gone; what no source names is noted in `missing`."""
    snapshot, patience, absences = evidence.snapshot, evidence.patience, evidence.absences
    rows = _tasks_of(record, submission, snapshot)
    now = snapshot.taken_at
    if any(row.state is not TaskState.ENDED for row in rows):
        yield from _put_back(record, rows, evidence)
        return
    if rows and is_settled(rows, patience, now):
        yield from _ends(record, rows, submission, evidence, ours=_is_recalled(record, submission))
        return
    if rows or not snapshot.queue_ok:
        return
    key = _place(record, submission)
    since, looks = absences.since.get(key, now), absences.looks.get(key, 0) + 1
    missing[key] = (since, looks)
    if looks >= MIN_LOOKS and now - since >= patience.absent_s:
        if _is_out_of_array(record, submission, snapshot):
            yield _left_its_array(record, now)
        else:
            yield from _ends(record, [], submission, evidence)


def _put_back(record: Record, rows: list[TaskRow], evidence: _Evidence) -> Iterator[LedgerEvent]:
    """Yield the end of a start whose task Slurm itself has put back into the queue, after a lost node or for a job that goes first.

    The task keeps its id and begins anew some time; its worker then goes on as the next start of the same attempt. A requeue
    resets the time of submission, so that an answer from before the new start is told from one about it.
    """
    attempt = record.current
    if record.state is State.QUEUED or attempt is None or attempt.started_at is None or len(rows) != 1:
        return
    put_back_at, settled_at = rows[0].submitted_at, evidence.snapshot.taken_at - evidence.patience.settle_s
    if rows[0].state is not TaskState.WAITING or not put_back_at or not attempt.started_at < put_back_at <= settled_at:
        return
    proven = evidence.proof(record.id, attempt.number, attempt.restart)
    if proven is not None:  # its worker went down before it could say so; of a list, the next start of the task computes other runs
        yield _success(record.id, attempt, proven, put_back_at)
    else:
        yield Ended(
            at=put_back_at,
            run=record.id,
            attempt=attempt.number,
            restart=attempt.restart,
            state=State.INTERRUPTED,
            cause=Cause.PREEMPTED,
            message="its task was put back into the queue",
            confidence=LIKELY,
            evidence=(f"{rows[0].source}: {rows[0].word} {rows[0].reason}".strip(),),
            runtime_s=put_back_at - attempt.started_at,
        )


def _place(record: Record, submission: SubmissionRecord) -> str:
    """Return what is missed: the task that computed the run, else the one it waits for, else any of a list."""
    attempt = record.current
    if record.state is not State.QUEUED and attempt is not None:
        return f"{attempt.token}/{attempt.index}"
    return f"{record.token}/{'*' if submission.listed else record.index}"


def _is_out_of_array(record: Record, submission: SubmissionRecord, snapshot: Snapshot) -> bool:
    """Say whether the queue holds the array and not this task: Slurm keeps no record of one that scancel took out while it waited.

    A controller that forgot its jobs holds none of the array's tasks; then nobody cancelled anything.
    """
    if record.state is not State.QUEUED or submission.listed or not snapshot.accounting_ok or _is_recalled(record, submission):
        return False
    return any(row.state is not TaskState.ENDED for row in snapshot.tasks.get(submission.token, {}).values())


def _is_recalled(record: Record, submission: SubmissionRecord) -> bool:
    """Say whether we cancelled the run's task ourselves."""
    return record.token == submission.token and record.index in submission.recalled


def _left_its_array(record: Record, now: float) -> Changed:
    reason = "its task was cancelled while it waited; the array goes on without it"
    return Changed(at=now, run=record.id, state=State.CANCELLED, cause=Cause.CANCELLED_BEFORE_START, reason=reason)


def _tasks_of(record: Record, submission: SubmissionRecord, snapshot: Snapshot) -> list[TaskRow]:
    """Return the tasks on which the run depends: the one that computes it, or all that could still take it."""
    tasks = snapshot.tasks.get(submission.token, {})
    attempt = record.current
    if record.state is not State.QUEUED and attempt is not None:
        row = snapshot.task(attempt.token, attempt.index)
        return [row] if row else []
    if submission.listed:
        return list(tasks.values())
    own = tasks.get(record.index)
    return [own] if own else []


def _scancelled(record: Record, records: Records, snapshot: Snapshot) -> Iterator[Changed]:
    """Yield the cancellation of a run whose worker was told to end, when the scheduler says that a person ended its task.

    The worker cannot tell: a preemption, the time limit and scancel all reach it as SIGTERM.
    """
    attempt = record.current
    if attempt is None or record.cause not in (Cause.PREEMPTED, Cause.TIMEOUT):
        return
    row, submission = snapshot.task(attempt.token, attempt.index), records.submissions.get(attempt.token)
    ours = submission is not None and _is_recalled(record, submission)
    if row is not None and is_by_a_person(row) and not ours:
        reason = f"its task was cancelled {row.reason}".strip()
        yield Changed(at=snapshot.taken_at, run=record.id, state=State.CANCELLED, cause=Cause.CANCELLED, reason=reason)


def is_settled(rows: Collection[TaskRow], patience: Patience, now: float) -> bool:
    """Say whether these tasks ended so long ago that no word of them is under way any more."""
    newest = max(row.ended_at or 0.0 for row in rows)
    return now - newest >= patience.settle_s


def _ends(
    record: Record, rows: list[TaskRow], submission: SubmissionRecord, evidence: _Evidence, *, ours: bool = False
) -> Iterator[LedgerEvent]:
    """Yield what became of a run whose tasks are gone: the end of its newest attempt, and a success that an earlier one left behind.

    `ours`: we cancelled its task ourselves.
    """
    now = evidence.snapshot.taken_at
    ended_at = (rows[0].ended_at if rows else None) or now
    proofs = ((earlier, evidence.proof(record.id, earlier.number, earlier.restart)) for earlier in _allotted(record))
    proven = next((_success(record.id, earlier, found, ended_at) for earlier, found in proofs if found is not None), None)
    newest = record.current
    if proven is None or (
        newest is not None and newest.ended_at is None and (proven.attempt, proven.restart) != (newest.number, newest.restart)
    ):
        if not _waits(record):
            yield _end(record, rows, submission, evidence, ours=ours)
        else:
            yield _never_started(record, rows, now, ours=ours, left_over=submission.listed and submission.token in evidence.begun)
    if proven is not None:
        yield proven


def _waits(record: Record) -> bool:
    return record.state is State.QUEUED or record.current is None


def _allotted(record: Record) -> list[Attempt]:
    """Return every attempt that may have left a result, the newest first: the worker of a lost node may have begun some unseen."""
    known = {attempt.number for attempt in record.attempts}
    unseen = [Attempt(number=number) for number in range(1, record.attempt + 1) if number not in known]
    return sorted((*record.attempts, *unseen), key=lambda attempt: (attempt.number, attempt.restart), reverse=True)


def _end(record: Record, rows: list[TaskRow], submission: SubmissionRecord, evidence: _Evidence, *, ours: bool) -> Ended:
    """Return the end of an attempt that nothing proves, from all that is known of it."""
    attempt = record.attempts[-1]
    ended_at = (rows[0].ended_at if rows else None) or evidence.snapshot.taken_at
    case = msgspec.structs.replace(
        evidence.clues(record.id, attempt, submission),
        row=rows[0] if rows else None,
        ours=ours,
        stalled=record.state is State.STALLED,
    )
    state, diagnosis = diagnose(case)
    end = case.end
    return Ended(
        at=ended_at,
        run=record.id,
        attempt=attempt.number,
        restart=attempt.restart,
        state=state,
        cause=diagnosis.cause,
        message=diagnosis.message,
        signature=diagnosis.signature,
        confidence=diagnosis.confidence,
        evidence=diagnosis.evidence,
        last_step=case.last_step,
        saved_at=case.saved_at,
        runtime_s=max(0.0, ended_at - (attempt.started_at or ended_at)),
        peak_mem_gb=max(case.measured_gb, end.peak_mem_gb if end else 0.0),
        peak_gpu_gb=end.peak_gpu_gb if end else 0.0,
    )


def _success(run_id: str, attempt: Attempt, proven: Proven, at: float) -> Ended:
    """Return the end of an attempt that left its proof, and nobody to tell of it."""
    return Ended(
        at=at,
        run=run_id,
        attempt=attempt.number,
        restart=attempt.restart,
        state=State.COMPLETED,
        sha256=proven.sha256,
        metrics=proven.metrics,
        best=proven.best,
        best_step=proven.best_step,
        last=proven.last,
        runtime_s=proven.runtime_s,
    )


def _never_started(record: Record, rows: list[TaskRow], now: float, *, ours: bool, left_over: bool) -> Changed:
    """Return what becomes of a run that no task began. `left_over`: its tasks began others of their list, and had no time for it."""
    if rows and not ours and all(map(is_by_a_person, rows)):
        reason = f"its task was cancelled while it waited {rows[0].reason}".strip()
        return Changed(at=now, run=record.id, state=State.CANCELLED, cause=Cause.CANCELLED_BEFORE_START, reason=reason)
    said = f"its task ended as {told_of(rows[0])}" if rows else "no source names its task"
    if left_over:
        return Changed(at=now, run=record.id, state=State.PLANNED, reason=f"{said} before its turn came")
    return Changed(at=now, run=record.id, state=State.INTERRUPTED, cause=Cause.NEVER_STARTED, reason=f"{said}, and it never started")


def bad_end_of(job: SubmissionRecord, snapshot: Snapshot, patience: Patience) -> str | None:
    """Return how the job of a prepare command ended, when that means it will not succeed by itself; None else.

    Preemption and a lost node are no fault of the command: it is submitted again with the runs that wait for it.
    """
    rows = snapshot.tasks.get(job.token, {}).values()
    if not rows or any(row.state is not TaskState.ENDED for row in rows) or not is_settled(rows, patience, snapshot.taken_at):
        return None
    row = next(iter(rows))
    if row.index in job.recalled:
        return None
    if is_by_a_person(row) or row.oom or row.word in ("FAILED", "TIMEOUT", "DEADLINE"):
        return f"its job {job.job_id} ended as {'OUT_OF_MEMORY' if row.oom else row.word}"
    return None


def blocked_by_prepare(records: Records, prepare_of: Mapping[str, str], failure: Callable[[str], str | None], now: float) -> list[Changed]:
    """Return the events for queued runs whose prepare command failed; `failure` maps its hash to what is known of it."""
    told: dict[str, str | None] = {}
    events = []
    for record in records.runs.values():
        digest = prepare_of.get(record.id, "")
        if not digest or record.state is not State.QUEUED:
            continue
        if digest not in told:
            told[digest] = failure(digest)
        reason = told[digest]
        if reason is not None:
            events.append(Changed(at=now, run=record.id, state=State.BLOCKED, cause=Cause.BAD_INPUT, reason=f"prepare failed, {reason}"))
    return events
