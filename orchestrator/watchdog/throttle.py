"""Give the slots of arrays that have drained to those that still wait: by their throttle, or by moving runs (pure)."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from orchestrator.cluster.scheduler import Snapshot, TaskState
from orchestrator.store.records import SubmissionRecord

THROTTLED = "JobArrayTaskLimit"
"""Slurm's reason for a task that nothing but its array's throttle keeps waiting."""


class Throttle(msgspec.Struct, frozen=True, kw_only=True):
    """What an array is to be allowed from now on."""

    token: str
    job_id: str
    tasks: int
    """Tasks at once."""
    max_parallel: int
    """Runs at once."""


def raise_throttles(submissions: Collection[SubmissionRecord], snapshot: Snapshot, slots: int) -> list[Throttle]:
    """Divide free slots over the arrays whose throttle keeps tasks waiting, one after the other to the one most behind.

    Arrays of one class drain at nearly the same time, not exactly; classes may differ by hours.
    """
    living = {submission.token: _living(submission, snapshot) for submission in submissions}
    behind = [submission for submission in submissions if submission.job_id and submission.max_parallel and not submission.fixed]
    tasks = {submission.token: submission.max_parallel // submission.at_a_time for submission in behind}
    raised = set()
    while open_ones := [one for one in behind if tasks[one.token] < living[one.token] and one.at_a_time <= slots]:
        most_behind = max(open_ones, key=lambda one: living[one.token] / max(1, tasks[one.token]))
        tasks[most_behind.token] += 1
        slots -= most_behind.at_a_time
        raised.add(most_behind.token)
    return [
        Throttle(token=one.token, job_id=one.job_id, tasks=tasks[one.token], max_parallel=tasks[one.token] * one.at_a_time)
        for one in behind
        if one.token in raised
    ]


def _living(submission: SubmissionRecord, snapshot: Snapshot) -> int:
    """Return how many tasks of the array have not ended; none where the throttle keeps no task waiting."""
    rows = [row for row in snapshot.tasks.get(submission.token, {}).values() if row.state is not TaskState.ENDED]
    throttled = any(row.state is TaskState.WAITING and row.reason == THROTTLED for row in rows)
    return len(rows) if throttled else 0


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Waiting tasks that are taken out of an array, for their runs to go into one of their own."""

    token: str
    rows: tuple[int, ...]


def plan_move(submissions: Collection[SubmissionRecord], snapshot: Snapshot, slots: int) -> Move | None:
    """Choose what to move to free slots where throttles are fixed: the end of the array that is most behind.

    As many tasks as `slots` compute in the time that the array takes for the rest: both then end together.
    """
    fixed = [submission for submission in submissions if submission.fixed and not submission.listed]
    waiting = {submission.token: _throttled_rows(submission, snapshot) for submission in fixed}
    behind = max(fixed, key=lambda one: len(waiting[one.token]) / one.max_parallel, default=None)
    if behind is None or slots < 1 or len(waiting[behind.token]) < 2:
        return None
    rows = waiting[behind.token]
    if not behind.recalled.isdisjoint(rows):
        return None  # what was taken out before is still in the queue
    count = max(1, len(rows) * slots // (slots + behind.max_parallel))
    return Move(token=behind.token, rows=tuple(rows[-count:]))


def _throttled_rows(submission: SubmissionRecord, snapshot: Snapshot) -> list[int]:
    rows = snapshot.tasks.get(submission.token, {})
    return sorted(index for index, row in rows.items() if row.state is TaskState.WAITING and row.reason == THROTTLED)
