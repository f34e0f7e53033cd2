"""All that is known of each run: a fold of the ledger's events, one frozen value a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from orchestrator.store.events import (
    Adopted,
    Applied,
    Asked,
    Changed,
    Ended,
    Intent,
    LedgerEvent,
    Looked,
    Number,
    Paused,
    Recalled,
    Refused,
    Resumed,
    Started,
    Submitted,
    Throttled,
)
from orchestrator.store.states import ALIVE, BAD_ENDS, FINAL, Cause, State, may_become

WATCH = "watch"
"""Reason of an intent that no person asked for."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One start of a run."""

    number: int
    restart: int = 0
    token: str = ""
    index: int = 0
    host: str = ""
    node: str = ""
    """The scheduler's name of the host."""
    job_id: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    state: State = State.RUNNING
    cause: Cause | None = None
    message: str = ""
    signature: str = ""
    confidence: str = ""
    evidence: tuple[str, ...] = ()
    last_step: Number = None
    saved_at: float | None = None
    """When it wrote its newest checkpoint; None: it wrote none."""
    runtime_s: float = 0.0
    peak_mem_gb: float = 0.0
    peak_gpu_gb: float = 0.0


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where one run stands, and how it came there."""

    id: str
    state: State = State.PLANNED
    cause: Cause | None = None
    reason: str = ""
    before: State = State.PLANNED
    """The state that the present one replaced: where a refused or restored run returns to."""
    before_cause: Cause | None = None
    before_reason: str = ""
    before_overrides: dict[str, Any] = {}
    """Of the attempt before the newest: what holds again when the scheduler refuses that one."""
    restored: bool = False
    """A person brought it back from the trash: no rule moves it there again."""
    attempt: int = 0
    """The newest attempt number allotted; 0: never submitted."""
    token: str = ""
    """The newest submission that holds the run."""
    index: int = 0
    """Its row in that submission's table."""
    since: float = 0.0
    """When the present state began."""
    attempts: tuple[Attempt, ...] = ()
    tally: dict[Cause, int] = {}
    """By cause, how many attempts ended badly since a person last asked for the run: what budgets count."""
    overrides: dict[str, Any] = {}
    """Dotted runtime keys that its newest attempt sets, or the next one where a person asked for it."""
    asked: dict[str, Any] = {}
    """Resources of the next attempt, where a person asked for it and it waits for a slot."""
    metrics: dict[str, Number] = {}
    best: Number = None
    best_step: int | None = None
    last: Number = None
    sha256: str = ""
    signature: str = ""
    adopted_from: str = ""
    """Grid whose completed run stands for this one."""
    adopted_attempt: str = ""

    @property
    def is_alive(self) -> bool:
        return self.state in ALIVE

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def current(self) -> Attempt | None:
        """The attempt that was started last."""
        return self.attempts[-1] if self.attempts else None

    @property
    def decisive(self) -> Attempt | None:
        """The attempt that speaks for the run: the one that completed, else the one that was started last."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.state is State.COMPLETED), self.current)

    @property
    def spent_s(self) -> float:
        """Wall time of all attempts that ended."""
        return sum(attempt.runtime_s for attempt in self.attempts)

    @property
    def losses(self) -> int:
        """How many attempts ended badly since a person last asked for the run."""
        return sum(self.tally.values())


class SubmissionRecord(Intent, frozen=True, kw_only=True, omit_defaults=True, tag_field="t", tag="submission"):
    """One array: its intent, and the scheduler's answer."""

    job_id: str = ""
    refused: str = ""
    withdrawn: bool = False
    """It is called refused, and nobody refused it: none of its runs waited any more when it turned out that it had not been taken."""
    fixed: bool = False
    """Its throttle cannot be changed any more."""
    recalled: frozenset[int] = frozenset()
    """Rows whose tasks we cancelled ourselves, to move their runs elsewhere: no person's wish."""

    @property
    def is_open(self) -> bool:
        """Written down, and neither taken nor refused: what a killed launch leaves behind."""
        return not self.job_id and not self.refused


class Records(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The whole grid; `apply` is the only thing that changes it."""

    runs: dict[str, Record] = {}
    submissions: dict[str, SubmissionRecord] = {}
    orphans: set[str] = set()
    """Runs that the newest version of the grid file no longer asks for."""
    version: int = 0
    looked_at: float = 0.0
    """When somebody last recorded what they saw."""
    paused: Paused | None = None
    """Why nothing of the grid starts, until a person resumes it."""
    resumed_at: float = 0.0
    """What ended before is no reason to pause again."""

    def get(self, run_id: str) -> Record:
        """Return the record of a run; one that nothing is known of is PLANNED."""
        return self.runs.get(run_id) or Record(id=run_id)

    def waiting_in(self, submission: SubmissionRecord, row: int) -> Record | None:
        """Return the record of a row's run while it waits for just this submission; a prepare job has rows without runs."""
        if row >= len(submission.runs):
            return None
        run_id, attempt = submission.runs[row]
        record = self.get(run_id)
        waits = record.state is State.QUEUED and (record.token, record.attempt) == (submission.token, attempt)
        return record if waits else None

    def unfinished_rows(self, submission: SubmissionRecord) -> set[int]:
        """Return the rows of a submission whose runs may still bring news, interrupted ones included."""
        if submission.refused:
            return set()
        rows = ((row, self.get(run_id), attempt) for row, (run_id, attempt) in enumerate(submission.runs))
        return {row for row, record, attempt in rows if not record.is_final and record.attempt == attempt}

    def copy(self) -> Records:
        """Return records that can take in events while these stay as they are."""
        copies = {"runs": dict(self.runs), "submissions": dict(self.submissions)}
        return msgspec.structs.replace(self, **copies, orphans=set(self.orphans))

    def apply(self, events: Iterable[LedgerEvent]) -> Records:
        """Take in events, in their order; what the table of transitions forbids changes nothing."""
        for event in events:
            handle = _HANDLERS.get(type(event))
            if handle is not None:
                handle(self, event)
        return self

    def _move(self, record: Record, state: State, **changes: Any) -> None:
        if not may_become(record.state, state):
            return
        if record.state is not state:
            changes |= {"before": record.state, "before_cause": record.cause, "before_reason": record.reason}
        cause = changes.get("cause")
        if state in BAD_ENDS and record.state not in (*BAD_ENDS, State.PRUNED) and cause is not None:
            changes["tally"] = {**record.tally, cause: record.tally.get(cause, 0) + 1}
        self.runs[record.id] = msgspec.structs.replace(record, state=state, **changes)


def _applied(records: Records, event: Applied) -> None:
    records.version = event.version
    records.orphans |= set(event.orphans)
    records.orphans -= set(event.revived)


def _intent(records: Records, event: Intent) -> None:
    records.submissions[event.token] = SubmissionRecord(**msgspec.structs.asdict(event))
    for index, (run_id, attempt) in enumerate(event.runs):
        record = records.get(run_id)
        if attempt < record.attempt or (record.is_alive and record.attempt == attempt):
            continue  # it lives, or a newer attempt does
        place = {"attempt": attempt, "token": event.token, "index": index, "since": event.at}
        tally = record.tally if event.reason == WATCH else {}
        overrides = event.overrides.get(run_id, {})
        fresh = {"cause": None, "reason": "", "adopted_from": "", "restored": False}
        records._move(record, State.QUEUED, tally=tally, overrides=overrides, before_overrides=record.overrides, **fresh, **place)


def _submitted(records: Records, event: Submitted) -> None:
    submission = records.submissions.get(event.token)
    if submission is not None:
        records.submissions[event.token] = msgspec.structs.replace(submission, job_id=event.job_id, refused="")


def _throttled(records: Records, event: Throttled) -> None:
    submission = records.submissions.get(event.token)
    if submission is not None:
        changes = {"max_parallel": event.max_parallel, "fixed": event.refused}
        records.submissions[event.token] = msgspec.structs.replace(submission, **changes)


def _refused(records: Records, event: Refused) -> None:
    submission = records.submissions.get(event.token)
    if submission is None:
        return
    records.submissions[event.token] = msgspec.structs.replace(submission, refused=event.message, withdrawn=event.withdrawn)
    for row in range(len(submission.runs)):
        record = records.waiting_in(submission, row)
        if record is not None:
            before = {"state": record.before, "cause": record.before_cause, "overrides": record.before_overrides}
            records.runs[record.id] = msgspec.structs.replace(record, reason=event.message, since=event.at, **before)


def _recalled(records: Records, event: Recalled) -> None:
    submission = records.submissions.get(event.token)
    if submission is None:
        return
    records.submissions[event.token] = msgspec.structs.replace(submission, recalled=submission.recalled | set(event.rows))
    for row in event.rows:
        record = records.waiting_in(submission, row)
        if record is not None:
            records._move(record, State.PLANNED, reason="taken out of an array that lags behind", since=event.at)


def _started(records: Records, event: Started) -> None:
    record = records.get(event.run)
    known = any((event.attempt, event.restart) == (old.number, old.restart) for old in record.attempts)
    if known or event.attempt < record.attempt:
        return
    attempt = Attempt(
        number=event.attempt,
        restart=event.restart,
        token=event.token,
        index=event.index,
        host=event.host,
        node=event.node,
        job_id=event.job_id,
        started_at=event.at,
    )
    attempts = (*record.attempts, attempt)
    record = records.runs[event.run] = msgspec.structs.replace(record, attempt=event.attempt, attempts=attempts, asked={})
    records._move(record, State.RUNNING, token=event.token, since=event.at, cause=None, reason="")


def _ended(records: Records, event: Ended) -> None:
    record = records.get(event.run)
    attempts = tuple(_close(attempt, event) for attempt in _with_unseen(record.attempts, event))
    record = records.runs[event.run] = msgspec.structs.replace(record, attempts=attempts)
    newest = record.attempts[-1] if record.attempts else None
    overtaken = newest is not None and (event.attempt, event.restart) < (newest.number, newest.restart)
    lives = newest is not None and newest.ended_at is None
    if (overtaken and lives) or ((overtaken or event.attempt < record.attempt) and event.state is not State.COMPLETED):
        return  # a zombie: only the end of the attempt that started last counts; a success counts unless another computes
    proof = (
        {"metrics": event.metrics, "best": event.best, "best_step": event.best_step, "last": event.last, "sha256": event.sha256}
        if event.state is State.COMPLETED
        else {}
    )
    cause = event.cause or _UNTOLD.get(event.state)
    records._move(record, event.state, cause=cause, reason=event.message, since=event.at, signature=event.signature, **proof)


def _with_unseen(attempts: tuple[Attempt, ...], event: Ended) -> tuple[Attempt, ...]:
    """Return the attempts, with one that nobody saw begin and that left its proof all the same."""
    if event.state is not State.COMPLETED or any((one.number, one.restart) == (event.attempt, event.restart) for one in attempts):
        return attempts
    unseen = Attempt(number=event.attempt, restart=event.restart, host=event.host)
    return tuple(sorted((*attempts, unseen), key=lambda one: (one.number, one.restart)))


_UNTOLD = {State.INTERRUPTED: Cause.LOST, State.FAILED: Cause.UNKNOWN, State.CANCELLED: Cause.CANCELLED}
"""The cause of an end that names none."""


def _close(attempt: Attempt, event: Ended) -> Attempt:
    if (attempt.number, attempt.restart) != (event.attempt, event.restart):
        return attempt
    return msgspec.structs.replace(
        attempt,
        ended_at=event.at,
        state=event.state,
        cause=event.cause,
        message=event.message,
        signature=event.signature,
        confidence=event.confidence,
        evidence=event.evidence,
        last_step=event.last_step,
        saved_at=event.saved_at,
        runtime_s=event.runtime_s,
        peak_mem_gb=event.peak_mem_gb,
        peak_gpu_gb=event.peak_gpu_gb,
        host=event.host or attempt.host,
    )


def _changed(records: Records, event: Changed) -> None:
    record, reason = records.get(event.run), f"{event.reason} ({event.by})" if event.by else event.reason
    if record.state is State.PRUNED and event.state is record.before:  # restored, with the reason that it had
        records._move(record, event.state, cause=event.cause, reason=record.before_reason, restored=True, since=event.at)
        return
    records._move(record, event.state, cause=event.cause, reason=reason, since=event.at)


def _asked(records: Records, event: Asked) -> None:
    reason = f"requeued ({event.by})" if event.by else "requeued"
    new = {"cause": None, "reason": reason, "since": event.at, "tally": {}, "overrides": event.overrides, "asked": event.resources}
    records._move(records.get(event.run), State.PLANNED, **new)


def _adopted(records: Records, event: Adopted) -> None:
    records._move(
        records.get(event.run),
        State.COMPLETED,
        since=event.at,
        metrics=event.metrics,
        best=event.best,
        best_step=event.best_step,
        last=event.last,
        sha256=event.sha256,
        adopted_from=event.grid,
        adopted_attempt=event.attempt,
        reason=f"adopted from {event.grid}",
    )


def _paused(records: Records, event: Paused) -> None:
    records.paused = event


def _resumed(records: Records, event: Resumed) -> None:
    records.paused = None
    records.resumed_at = event.at


def _looked(records: Records, event: Looked) -> None:
    records.looked_at = event.at


_HANDLERS: dict[type, Any] = {
    Applied: _applied,
    Intent: _intent,
    Submitted: _submitted,
    Refused: _refused,
    Throttled: _throttled,
    Recalled: _recalled,
    Started: _started,
    Ended: _ended,
    Changed: _changed,
    Adopted: _adopted,
    Asked: _asked,
    Paused: _paused,
    Resumed: _resumed,
    Looked: _looked,
}
