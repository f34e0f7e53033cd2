"""Decide what to do about a run that the machine interrupted (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

import msgspec

from orchestrator.cluster.scheduler import Snapshot, TaskState
from orchestrator.store.records import Record, Records, SubmissionRecord
from orchestrator.store.states import State

MAX_INTERRUPTIONS = 3
"""A run is taken up again this often without a person asking."""


REFUSED_WAIT_S, REFUSED_MOST_S = 60.0, 3600.0
"""After a refusal the next try waits so long; twice as long after each further one in a row, up to the second figure."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with a run, and why; recorded under its id before the act."""

    id: str
    run: str
    action: str
    reason: str


def decide(record: Record, snapshot: Snapshot) -> Decision | None:
    """Return the requeue of an interrupted run; None while its task may still go on, or after three interruptions."""
    if record.state is not State.INTERRUPTED:
        return None
    if record.interruptions > MAX_INTERRUPTIONS:
        return None
    if may_go_on(record, snapshot):
        return None  # Slurm requeues a preempted task itself; the worker then continues the same attempt
    cause = record.cause.value if record.cause else "interrupted"
    reason = f"{cause}, interruption {record.interruptions} of at most {MAX_INTERRUPTIONS}"
    return Decision(id=f"{record.id}-{record.attempt}-requeue", run=record.id, action="requeue", reason=reason)


def refused_lately(submissions: Iterable[SubmissionRecord], now: float) -> list[SubmissionRecord]:
    """Return the newest submission of each kind that is not to be tried again yet, as the scheduler refused it.

    A kind is what asks for the same resources, or prepares the same: what one class asks for in vain holds up no other.
    """
    kinds: dict[tuple[bytes, str], list[SubmissionRecord]] = {}
    for one in sorted(submissions, key=lambda one: -one.at):
        if one.job_id or one.refused:
            kinds.setdefault((msgspec.json.encode(one.resources, order="sorted"), "" if one.runs else one.reason), []).append(one)
    return [newest_first[0] for newest_first in kinds.values() if _waits(newest_first, now)]


def _waits(newest_first: list[SubmissionRecord], now: float) -> bool:
    refusals = sum(1 for _ in takewhile(lambda one: one.refused, newest_first))
    wait = min(REFUSED_MOST_S, REFUSED_WAIT_S * 2.0 ** min(20, refusals - 1))
    return refusals > 0 and now < newest_first[0].at + wait


def held_runs(records: Records, snapshot: Snapshot) -> set[str]:
    """Return the runs that nobody may submit again now: their task may go on, or the queue did not answer.

    They were interrupted, or taken out of an array whose task was perhaps quicker.
    """
    again = (record for record in records.runs.values() if record.attempt and record.state in (State.INTERRUPTED, State.PLANNED))
    return {record.id for record in again if not snapshot.queue_ok or may_go_on(record, snapshot)}


def may_go_on(record: Record, snapshot: Snapshot) -> bool:
    """Say whether the scheduler still holds the task that computed the run."""
    attempt = record.current
    started = attempt is not None and attempt.number == record.attempt
    token, index = (attempt.token, attempt.index) if attempt and started else (record.token, record.index)
    row = snapshot.task(token, index)
    return row is not None and row.state is not TaskState.ENDED
