"""Look for stalled runs now and then, and end those that the policy says to take up again."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.launch.opened import OpenGrid
from orchestrator.store.events import Decided, Recalled
from orchestrator.store.files import read_json, write_atomic
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import Pen
from orchestrator.store.records import WATCH, Record, Records
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.act import write_wish
from orchestrator.watchdog.answers import AGAIN, Policy
from orchestrator.watchdog.look import Site
from orchestrator.watchdog.stall import Checked, Quiet, Rule, Sign, check, computing, is_due
from orchestrator.worker.claim import STALLED, Wish, read_wish
from orchestrator.worker.telemetry import Heartbeat

PATIENCE_S = 60.0
"""After the wish, and what the worker has for it, a task that still lives is cancelled this much later."""


SUSPENDED = frozenset({"SUSPENDED", "STOPPED"})
"""Slurm's words for a task that keeps its place and gets no processor."""


def check_for_stalled(grid: OpenGrid, site: Site, policy: Policy, records: Records, snapshot: Snapshot) -> Checked | None:
    """Read the heartbeats of computing runs, if it is time to; None when it is not."""
    now = snapshot.taken_at
    stated_min = policy.answer(Cause.STALLED).after_min
    after_s = 60 * (site.profile.stall_min if stated_min is None else stated_min)
    quiet = read_json(grid.paths.quiet, Quiet) or Quiet()
    if not is_due(records, quiet, after_s, now):
        return None
    signs = {record.id: _sign(grid.paths, record) for record in computing(records)}
    excused = {record.id for record in computing(records) if _is_suspended(record, snapshot)}
    return check(records, signs, quiet, Rule(after_s, by_reports=stated_min is not None), now, excused=excused)


def _is_suspended(record: Record, snapshot: Snapshot) -> bool:
    row = snapshot.task(record.current.token, record.current.index) if record.current else None
    return row is not None and row.word in SUSPENDED


def save_quiet(paths: GridPaths, checked: Checked | None) -> None:
    """Remember what the check saw; a derived file."""
    if checked is not None:
        write_atomic(paths.quiet, msgspec.json.encode(checked.quiet), durable=False)


def _sign(paths: GridPaths, record: Record) -> Sign | None:
    attempt = record.current
    beat = read_json(paths.run(record.id).attempt(attempt.number, attempt.restart).heartbeat, Heartbeat) if attempt else None
    return Sign(reported=beat.metrics_bytes, cpu_s=beat.cpu_s) if beat else None


def to_end(records: Records, policy: Policy) -> list[Record]:
    """Return the stalled runs that the policy takes up again, while their budget lasts."""
    answer = policy.answer(Cause.STALLED)
    if answer.action not in AGAIN:
        return []
    stalled = [record for record in records.runs.values() if record.state is State.STALLED]
    return [record for record in stalled if answer.attempts is None or record.tally.get(Cause.STALLED, 0) < answer.attempts]


def end_stalled(pen: Pen, site: Site, policy: Policy, snapshot: Snapshot) -> list[str]:
    """Ask the workers of stalled runs to end them; cancel the tasks of those that do not answer. Returns a sentence for each."""
    told, silent = list[str](), set[str]()
    for record in to_end(pen.records, policy):
        wish = read_wish(pen.paths.run(record.id))
        if wish is None or wish.reason != STALLED or not wish.holds_for(record.attempt):
            pen.write(
                Decided(at=pen.clock(), decision=f"{record.id}-{record.attempt}-end", run=record.id, action="end", reason=record.reason)
            )
            write_wish(pen.paths, record.id, Wish(wish="requeue", by=WATCH, at=pen.clock(), reason=STALLED, through=record.attempt))
            told.append(f"run {record.id[:8]}…: is to end and to be taken up again ({record.reason})")
        elif pen.clock() - wish.at > site.profile.warning_s + PATIENCE_S:
            silent.add(record.id)
    return [*told, *_cancel_silent(pen, site, snapshot, silent)] if silent else told


def _cancel_silent(pen: Pen, site: Site, snapshot: Snapshot, silent: Collection[str]) -> list[str]:
    """Cancel the tasks that compute nothing but silent runs; that it was us is recorded first, for accounting names only the user."""
    told = []
    for token, doomed in _silent_tasks(pen.records, silent).items():
        rows = [row for row in snapshot.tasks.get(token, {}).values() if row.state is TaskState.RUNNING and row.index in doomed]
        same = _unchanged(rows, site.scheduler.snapshot([token], since=pen.clock(), now=pen.clock(), open_tasks={})) if rows else []
        if same:
            pen.write(Recalled(at=pen.clock(), token=token, rows=tuple(index for row in same for index in doomed[row.index])))
            pen.check()
            site.scheduler.cancel(same)
            told.append(f"{token}: {len(same)} of its tasks did not answer and were cancelled")
    return told


def _silent_tasks(records: Records, silent: Collection[str]) -> dict[str, dict[int, list[int]]]:
    """Return token -> task -> rows of the table that it computes, for tasks that compute silent runs and no other."""
    tasks: dict[tuple[str, int], list[Record]] = {}
    for record in computing(records):
        if record.current is not None:
            tasks.setdefault((record.current.token, record.current.index), []).append(record)
    found: dict[str, dict[int, list[int]]] = {}
    for (token, index), runs in tasks.items():
        if all(record.id in silent for record in runs):
            found.setdefault(token, {})[index] = [record.index for record in runs]
    return found


def _unchanged(rows: Iterable[TaskRow], now: Snapshot) -> list[TaskRow]:
    """Return the tasks that still are in the start that was judged: Slurm may have begun them anew since, under the same id."""
    found = {(row.job_id, row.index): row for tasks in now.tasks.values() for row in tasks.values() if row.state is TaskState.RUNNING}
    return [row for row in rows if (same := found.get((row.job_id, row.index))) and same.started_at == row.started_at]
