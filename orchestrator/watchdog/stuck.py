"""Tasks that Slurm holds because it could not start them: they wait for ever, unless somebody takes them out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.store.events import Changed, Recalled
from orchestrator.store.ledger import Pen
from orchestrator.store.records import Records, SubmissionRecord
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.look import Site

HELD_BY_SLURM = re.compile(r"launch failed requeued held|JobHoldMaxRequeue|job requeued in held state", re.IGNORECASE)
"""Its reasons for a task whose prolog or launch failed, or that it has requeued too often (slurm.conf(5), MaxBatchRequeue)."""


def find_stuck(records: Records, snapshot: Snapshot) -> dict[str, list[TaskRow]]:
    """Return token → tasks that Slurm holds. Of a list that other tasks work on none counts: they compute its runs."""
    known = {token: rows.values() for token, rows in snapshot.tasks.items() if token in records.submissions}
    found = {token: [row for row in rows if is_stuck(row)] for token, rows in known.items()}
    return {token: stuck for token, stuck in found.items() if stuck and _are_alone(records.submissions[token], stuck, snapshot)}


def is_stuck(row: TaskRow) -> bool:
    """Say whether a task waits that Slurm will never start by itself."""
    return row.state is TaskState.WAITING and HELD_BY_SLURM.search(row.reason) is not None


def _are_alone(submission: SubmissionRecord, stuck: list[TaskRow], snapshot: Snapshot) -> bool:
    living = [row for row in snapshot.tasks[submission.token].values() if row.state is not TaskState.ENDED]
    return not submission.listed or len(living) == len(stuck)


def take_out(pen: Pen, site: Site, snapshot: Snapshot) -> list[str]:
    """Take stuck tasks out of the queue: their runs count as never started. It is recorded first; a cut-off is repeated."""
    told = []
    for token, stuck in find_stuck(pen.records, snapshot).items():
        submission = pen.records.submissions[token]
        rows = tuple(_rows(submission, stuck))
        runs = [record.id for row in rows if submission.runs and (record := pen.records.waiting_in(submission, row))]
        reason = f"its task could not be started: {stuck[0].reason}"
        never = [Changed(at=pen.clock(), run=run, state=State.INTERRUPTED, cause=Cause.NEVER_STARTED, reason=reason) for run in runs]
        pen.write(Recalled(at=pen.clock(), token=token, rows=rows), *never)
        pen.check()
        site.scheduler.cancel(stuck)
        told.append(f"{token}: {len(stuck)} of its tasks were taken out, as Slurm could not start them ({stuck[0].reason})")
    return told


def _rows(submission: SubmissionRecord, stuck: list[TaskRow]) -> Iterator[int]:
    """Yield the rows of the table that the tasks were to compute."""
    yield from range(len(submission.runs)) if submission.listed else (row.index for row in stuck)
