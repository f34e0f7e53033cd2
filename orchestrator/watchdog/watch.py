"""One round of watching: look, record, settle what was cut off, take up interrupted runs, fill free slots."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.grid.manifest import Manifest
from orchestrator.launch.apply import Draft, read_draft, write_draft
from orchestrator.launch.commit import open_intents, take_up
from orchestrator.launch.launch import count_live
from orchestrator.launch.opened import OpenGrid
from orchestrator.launch.plan import free_slots, tell_waiting
from orchestrator.store.errors import ClusterError
from orchestrator.store.events import Changed, Decided, Looked, Throttled
from orchestrator.store.ledger import Pen, read_records, take_pen
from orchestrator.store.records import WATCH, Records, SubmissionRecord
from orchestrator.store.states import State
from orchestrator.watchdog.act import Submittal, plan_submittal, submit, write_wish
from orchestrator.watchdog.look import Look, Site, ask, look, save_absences
from orchestrator.watchdog.policy import decide, may_go_on
from orchestrator.watchdog.throttle import Move, Throttle, plan_move, raise_throttles
from orchestrator.worker.claim import Wish

Sleep = Callable[[float], None]

class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one round of watching did; every entry is a sentence."""

    look: Look
    told: tuple[str, ...]
    waiting: tuple[str, ...] = ()
    """Runs that cannot be named yet: "3 runs wait for results of stl_single"."""


def record(grid: OpenGrid, site: Site, *, wait_s: float = 60.0) -> Look:
    """Look, and bring the ledger up to date; takes the pen only when there is news."""
    seen = look(grid, site)
    if not seen.events:
        save_absences(grid.paths, seen.absences)
        return seen
    with take_pen(grid.paths, lease_s=site.profile.lease_s, wait_s=wait_s) as pen:
        return record_under(pen, grid, site)


def record_under(pen: Pen, grid: OpenGrid, site: Site) -> Look:
    """Look and record, with the pen in hand."""
    seen = look(grid, site, records=pen.records, now=pen.clock())
    if seen.events:
        pen.write(*seen.events, Looked(at=pen.clock(), sources=_sources(seen.snapshot)))
    save_absences(grid.paths, seen.absences)
    return seen


def _sources(snapshot: Snapshot) -> tuple[str, ...]:
    return tuple(name for name, answered in (("queue", snapshot.queue_ok), ("accounting", snapshot.accounting_ok)) if answered)


def watch_once(grid: OpenGrid, site: Site, *, sleep: Sleep = time.sleep, wait_s: float = 60.0) -> Round:
    """Do one round. A round that finds nothing to write and nothing to do leaves the disk as it is."""
    seen = look(grid, site)
    draft = _draft_of_runs_that_waited(grid)
    waiting = tuple(tell_waiting(draft.waiting)) if draft else ()
    if not seen.events and not _has_work(grid, seen, site) and not (draft and draft.runs.new):
        save_absences(grid.paths, seen.absences)
        return Round(look=seen, told=(), waiting=waiting)
    with take_pen(grid.paths, lease_s=site.profile.lease_s, wait_s=wait_s) as pen:
        seen = record_under(pen, grid, site)
        told = [*_cancel_twins(pen, seen.snapshot, site), *settle_open(pen, seen.snapshot, site, sleep)]
        told += _add_runs_that_waited(pen, grid)
        told += _fill(pen, grid, site, seen.snapshot)
    return Round(look=msgspec.structs.replace(seen, records=read_records(grid.paths)), told=tuple(told), waiting=waiting)


def _has_work(grid: OpenGrid, seen: Look, site: Site) -> bool:
    if grid.settings is None:
        return False
    if open_intents(seen.records.submissions.values()) or _waiting_twins(seen.snapshot):
        return True
    return bool(_to_submit(grid, seen.records, seen.snapshot)) or any(_to_widen(grid, seen.records, seen.snapshot))


def _cancel_twins(pen: Pen, snapshot: Snapshot, site: Site) -> list[str]:
    """Cancel the second job of a submission that was taken twice; it waits behind the first, and would find nothing to do."""
    twins = _waiting_twins(snapshot)
    if not twins:
        return []
    pen.check()
    site.scheduler.cancel(twins)
    return [f"{token}: a second job of it was cancelled" for token in sorted({row.token for row in twins})]


def _waiting_twins(snapshot: Snapshot) -> list[TaskRow]:
    return [row for row in snapshot.twins if row.state is TaskState.WAITING]


def settle_open(pen: Pen, snapshot: Snapshot, site: Site, sleep: Sleep) -> list[str]:
    """Settle submissions whose answer got lost: look twice, some seconds apart, then adopt or submit again."""
    if not open_intents(pen.records.submissions.values()):
        return []
    sleep(site.profile.confirm_s)
    return take_up(pen, [snapshot, ask(pen.records, site.scheduler, pen.clock())], site.scheduler)


def _draft_of_runs_that_waited(grid: OpenGrid) -> Draft | None:
    """Return what the grid file asks for now; None for a grid whose runs need no other's result."""
    if not grid.spec.has_needs or grid.settings is None:
        return None
    return read_draft(grid.newest_file, grid.paths.dir.parent, project=Path(grid.settings.cwd), accept_defaults=True)


def _add_runs_that_waited(pen: Pen, grid: OpenGrid) -> list[str]:
    """Make the runs whose `needs:` have been met since the launch."""
    draft = _draft_of_runs_that_waited(grid)
    if draft is None or not draft.runs.new:
        return []
    write_draft(pen, draft)
    grid.__dict__.pop("manifests", None)
    return [f"{len(draft.runs.new)} runs have what they waited for"]


def _fill(pen: Pen, grid: OpenGrid, site: Site, snapshot: Snapshot) -> list[str]:
    """Submit interrupted runs and those that waited for a slot; slots that are left go to arrays that lag behind."""
    if grid.settings is None or not snapshot.queue_ok:
        return []
    submittal = plan_submittal(grid, _to_submit(grid, pen.records, snapshot), pen.records, snapshot, site)
    if not submittal.runs:
        throttles, move = _to_widen(grid, pen.records, snapshot)
        return _take_back(pen, site, move, snapshot) if move else _widen(pen, site, throttles)
    told = _decided(pen, submittal, snapshot)
    submit(pen, grid, submittal, site, snapshot, reason=WATCH)
    return told


def _to_submit(grid: OpenGrid, records: Records, snapshot: Snapshot) -> list[Manifest]:
    """Return the runs to submit: interrupted ones that policy takes up, and planned ones of the newest grid file."""
    chosen = []
    for run_id, manifest in grid.manifests.items():
        record = records.get(run_id)
        waits = record.state is State.PLANNED and run_id not in records.orphans and not (record.attempt and may_go_on(record, snapshot))
        if waits or decide(record, snapshot) is not None:
            chosen.append(manifest)
    return chosen


def _decided(pen: Pen, submittal: Submittal, snapshot: Snapshot) -> list[str]:
    """Record each requeue before it is carried out; returns a sentence for each."""
    rows = [row for array in submittal.arrays for row in array.rows]
    decided = [(row, decision) for row in rows if (decision := decide(pen.records.get(row.run), snapshot)) is not None]
    pen.write(*(Decided(at=pen.clock(), decision=one.id, run=one.run, action=one.action, reason=one.reason) for _, one in decided))
    return [f"run {row.run[:8]}…: requeued as attempt {row.attempt} ({decision.reason})" for row, decision in decided]


def _to_widen(grid: OpenGrid, records: Records, snapshot: Snapshot) -> tuple[list[Throttle], Move | None]:
    """Return how free slots are used: arrays with a higher throttle, or runs moved out of one whose throttle is fixed."""
    slots = free_slots(records, count_live(snapshot), grid.spec.max_parallel)
    throttles = raise_throttles(records.submissions.values(), snapshot, slots)
    return throttles, None if throttles else plan_move(records.submissions.values(), snapshot, slots)


def _widen(pen: Pen, site: Site, throttles: Sequence[Throttle]) -> list[str]:
    """Let arrays run more tasks at once. It is recorded first: a kill in between leaves slots unused, never used twice."""
    told = []
    for throttle in throttles:
        before = pen.records.submissions[throttle.token].max_parallel
        pen.write(Throttled(at=pen.clock(), token=throttle.token, max_parallel=throttle.max_parallel))
        pen.check()
        try:
            site.scheduler.set_throttle(throttle.job_id, throttle.tasks)
        except ClusterError as error:
            pen.write(Throttled(at=pen.clock(), token=throttle.token, max_parallel=before, refused=True))
            told.append(f"{throttle.token}: {error}")
        else:
            told.append(f"{throttle.token}: {throttle.tasks} tasks at once from now on, for others have drained")
    return told


def _take_back(pen: Pen, site: Site, move: Move, snapshot: Snapshot) -> list[str]:
    """Take waiting runs out of an array; the next round submits them where slots are free.

    The wish comes first: a task that starts meanwhile finds it, and leaves its run alone.
    """
    submission = pen.records.submissions[move.token]
    rows = [row for row in move.rows if _is_untouched(pen.records, submission, row)]
    runs = [submission.runs[row] for row in rows]
    for run_id, attempt in runs:
        write_wish(pen.paths, run_id, Wish(wish="requeue", by=WATCH, at=pen.clock(), through=attempt))
    reason = "taken out of an array that lags behind"
    pen.write(*(Changed(at=pen.clock(), run=run_id, state=State.PLANNED, reason=reason) for run_id, _ in runs))
    pen.check()
    site.scheduler.cancel([snapshot.tasks[move.token][row] for row in rows])
    return [f"{move.token}: {len(runs)} of its waiting runs move to free slots"]


def _is_untouched(records: Records, submission: SubmissionRecord, row: int) -> bool:
    """Say whether the run of a row still waits for just this task."""
    run_id, attempt = submission.runs[row]
    record = records.get(run_id)
    return record.state is State.QUEUED and (record.token, record.attempt) == (submission.token, attempt)
