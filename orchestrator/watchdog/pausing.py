"""Pause a grid, the event first, then the file that workers look for, then the tasks in the queue; and let it go on, the event last."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.store.errors import ClusterError
from orchestrator.store.events import Changed, Paused, Resumed
from orchestrator.store.files import remove_file, write_atomic
from orchestrator.store.ledger import Pen
from orchestrator.store.records import Record, Records
from orchestrator.store.states import State
from orchestrator.watchdog.breaker import Trip
from orchestrator.watchdog.look import Site

HELD_BY_US = "JobHeldUser"
HELD_WORDS = ("JobHeld",)
"""How Slurm's reasons begin for tasks that somebody holds."""


def pause(pen: Pen, trip: Trip, *, by: str) -> str:
    """Record that the grid is paused; returns the sentence that says so. `keep_paused` then holds what waits."""
    pen.write(Paused(at=pen.clock(), reason=trip.reason, signature=trip.signature, runs=trip.runs, by=by))
    return f"paused: {trip.reason}. Nothing more is started; when it is mended: mrsweep launch {pen.paths.name} --resume"


def keep_paused(pen: Pen, snapshot: Snapshot, site: Site) -> None:
    """Hold everything of a paused grid that waits; doing so again changes nothing."""
    paused = pen.records.paused
    if paused is None:
        return
    if not pen.paths.paused.exists():
        write_atomic(pen.paths.paused, msgspec.json.encode(paused))
    queued = [record for record in pen.records.runs.values() if record.state is State.QUEUED]
    pen.write(*(Changed(at=pen.clock(), run=record.id, state=State.HELD, reason="the grid is paused") for record in queued))
    waiting = [row for row in tasks_of_runs(pen.records, snapshot) if not row.reason.startswith(HELD_WORDS)]
    if waiting:
        pen.check()
        site.scheduler.hold(waiting)


def needs_holding(records: Records, snapshot: Snapshot) -> bool:
    """Say whether something of a paused grid is not held yet."""
    if records.paused is None:
        return False
    queued = any(record.state is State.QUEUED for record in records.runs.values())
    return queued or any(not row.reason.startswith(HELD_WORDS) for row in tasks_of_runs(records, snapshot))


def resume(pen: Pen, snapshot: Snapshot, site: Site, *, by: str) -> int:
    """Let a paused grid go on, and what waits for its canaries; returns how many runs were held.

    What waits in the queue was submitted with the code that failed: its tasks are taken out, and its runs are planned again.
    """
    held = go_on(pen.records, without_held(pen.records, snapshot), pen.clock(), by=by)
    if pen.records.paused is None and not held:
        return 0
    if not snapshot.queue_ok:
        raise ClusterError(f"{pen.paths.name}: the queue does not say which tasks are held. Resume it when squeue answers.")
    waiting = held_by_us(pen.records, snapshot)
    if waiting:
        pen.check()
        site.scheduler.cancel(waiting)
    remove_file(pen.paths.paused)
    pen.write(Resumed(at=pen.clock(), by=by), *held)  # last: what is cut off before is still paused, and can be resumed again
    return len(held)


def go_on(records: Records, snapshot: Snapshot, at: float, *, by: str) -> list[Changed]:
    """Return what becomes of held runs when a person lets them go on (pure). `snapshot`: without the tasks that we hold.

    A run that a task may still compute all the same stays with it; the others are planned again.
    """
    held = [record for record in records.runs.values() if record.state is State.HELD]
    states = {record.id: State.QUEUED if _waits(record, records, snapshot) else State.PLANNED for record in held}
    return [Changed(at=at, run=run_id, state=state, reason="resumed", by=by) for run_id, state in states.items()]


def held_by_us(records: Records, snapshot: Snapshot) -> list[TaskRow]:
    """Return the waiting tasks that the pause holds; what an administrator holds is not ours."""
    return [row for row in tasks_of_runs(records, snapshot) if row.reason.startswith(HELD_BY_US)]


def without_held(records: Records, snapshot: Snapshot) -> Snapshot:
    """Return what the scheduler will say when the tasks that we hold are taken out."""
    gone = {(row.token, row.index) for row in held_by_us(records, snapshot)}
    tasks = {token: {index: row for index, row in rows.items() if (token, index) not in gone} for token, rows in snapshot.tasks.items()}
    return msgspec.structs.replace(snapshot, tasks=tasks)


def tasks_of_runs(records: Records, snapshot: Snapshot) -> Iterable[TaskRow]:
    """Yield the waiting tasks that would compute runs; prepare jobs are none of them."""
    for token, rows in snapshot.tasks.items():
        submission = records.submissions.get(token)
        if submission is not None and submission.runs:
            yield from (row for row in rows.values() if row.state is TaskState.WAITING)


def _waits(record: Record, records: Records, snapshot: Snapshot) -> bool:
    """Say whether a task in the queue could still compute the run."""
    submission = records.submissions.get(record.token)
    if submission is None:
        return False
    rows = snapshot.tasks.get(record.token, {})
    mine = rows.values() if submission.listed else [rows[record.index]] if record.index in rows else []
    return any(row.state is not TaskState.ENDED for row in mine)
