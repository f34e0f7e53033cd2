"""Makes one picture of what the queue and the accounting say: pure, the queue is right about what lives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from orchestrator.cluster.sacct import Listing
from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState

_LIVE = frozenset({TaskState.WAITING, TaskState.RUNNING, TaskState.UNCLEAR})


def merge(queue: Listing | None, accounting: Listing | None, *, taken_at: float, notes: Iterable[str] = (), asked: bool = True) -> Snapshot:
    """Return one snapshot; None stands for a source that failed, `asked=False` for an accounting that nothing was asked of.

    Rows that only the accounting calls alive are passed over when a healthy queue does not know the task: they are stale.
    An older job that had the same id has another name, and so is none of ours: no clock is compared with another.
    """
    told = [note for listing in (queue, accounting) if listing for note in listing.notes]
    healthy = queue is not None and queue.complete
    rows = _combined(queue.rows if queue else (), accounting.rows if accounting else ())
    if healthy:
        rows = [row for row in rows if row.source != "sacct" or row.state not in _LIVE]
    tasks, twins = _one_job_a_token(rows)
    return Snapshot(
        taken_at=taken_at,
        queue_ok=healthy,
        accounting_ok=not asked or (accounting is not None and accounting.complete),
        tasks=tasks,
        twins=tuple(twins),
        notes=tuple(dict.fromkeys([*notes, *told])),
    )


def _combined(queue: Iterable[TaskRow], accounting: Iterable[TaskRow]) -> list[TaskRow]:
    found = {(row.token, row.job_id, row.index): row for row in accounting}
    for row in queue:
        key = (row.token, row.job_id, row.index)
        found[key] = _combine(row, found[key]) if key in found else row
    return list(found.values())


def _combine(queued: TaskRow, accounted: TaskRow) -> TaskRow:
    """The accounting knows exit codes and steps, but lags: it counts for an end that the queue has seen as well."""
    if queued.state is TaskState.ENDED and accounted.word == queued.word:
        return msgspec.structs.replace(accounted, oom=accounted.oom or queued.oom, reason=accounted.reason or queued.reason)
    again = (queued.submitted_at or 0.0) > (accounted.submitted_at or 0.0)  # the accounting's record is that of the start before
    return msgspec.structs.replace(queued, restarts=accounted.restarts + (1 if again else 0))


def _one_job_a_token(rows: list[TaskRow]) -> tuple[dict[str, dict[int, TaskRow]], list[TaskRow]]:
    """Sort rows by token and index; those of any other job than the first of a token are twins."""
    jobs: dict[str, dict[str, list[TaskRow]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        jobs[row.token][row.job_id].append(row)
    tasks: dict[str, dict[int, TaskRow]] = {}
    twins: list[TaskRow] = []
    for token, by_job in jobs.items():
        first, *others = sorted(by_job, key=lambda job: _precedence(job, by_job[job]))
        tasks[token] = {row.index: row for row in by_job[first]}
        twins += [row for job in others for row in by_job[job]]
    return tasks, twins


def _precedence(job_id: str, rows: list[TaskRow]) -> tuple[bool, int]:
    """The job that counts: one that lives or has started before one that was cancelled in the queue, then the lower id.

    Ids and not times of submission decide, since a requeue resets those.
    """
    never_began = all(row.state is TaskState.ENDED and row.started_at is None for row in rows)
    return never_began, int(job_id)
