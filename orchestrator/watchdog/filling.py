"""Use free slots: first for runs that wait or are taken up again, then for arrays that lag behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from orchestrator.cluster.scheduler import Snapshot
from orchestrator.grid.manifest import Manifest
from orchestrator.launch.commit import PREPARE
from orchestrator.launch.launch import count_live
from orchestrator.launch.opened import OpenGrid
from orchestrator.launch.plan import free_slots, last_resources
from orchestrator.store.errors import ChangeRefused, ClusterError
from orchestrator.store.events import Decided, Recalled, Throttled
from orchestrator.store.ledger import Pen
from orchestrator.store.records import WATCH, Records, SubmissionRecord
from orchestrator.store.states import State
from orchestrator.watchdog.act import Submittal, plan_submittal, submit, write_wish
from orchestrator.watchdog.look import Site
from orchestrator.watchdog.policy import Decision
from orchestrator.watchdog.refusals import refused_lately
from orchestrator.watchdog.throttle import Move, Throttle, plan_move, raise_throttles
from orchestrator.worker.claim import Wish

Filling = Submittal | Move | list[Throttle] | None
"""Runs to submit, else runs to move, else arrays to widen; None: nothing, or not now."""


def plan_filling(grid: OpenGrid, site: Site, records: Records, snapshot: Snapshot, again: Mapping[str, Decision]) -> Filling:
    """Decide how free slots are used. `again`: requeues that are due. A paused grid starts nothing."""
    if grid.settings is None or not snapshot.queue_ok or records.paused is not None:
        return None
    refused = refused_lately(records.submissions.values(), snapshot.taken_at)
    wanted = [manifest for manifest in _to_submit(grid, records, again) if not _asks_like(manifest, records, again, refused)]
    if wanted:
        submittal = plan_submittal(grid, wanted, records, snapshot, site, decisions=again)
        if submittal.runs:
            return submittal
    throttles, move = _to_widen(grid, records, snapshot)
    return throttles or (None if refused else move) or None


def fill(pen: Pen, grid: OpenGrid, site: Site, snapshot: Snapshot, again: Mapping[str, Decision]) -> list[str]:
    """Use free slots; returns a sentence for each thing that was done."""
    filling = plan_filling(grid, site, pen.records, snapshot, again)
    if isinstance(filling, Submittal):
        told = _decided(pen, filling, again)
        submit(pen, grid, filling, site, snapshot, reason=WATCH)
        return told
    if isinstance(filling, Move):
        return _take_back(pen, site, filling, snapshot)
    return _widen(pen, site, filling or [])


def _to_submit(grid: OpenGrid, records: Records, again: Iterable[str]) -> list[Manifest]:
    """Return the runs to submit: those that are taken up again, and planned ones of the newest grid file."""
    launched = grid.launched().items()
    return [
        manifest
        for run_id, manifest in launched
        if run_id not in records.orphans and (run_id in again or records.get(run_id).state is State.PLANNED)
    ]


def _asks_like(manifest: Manifest, records: Records, again: Mapping[str, Decision], submissions: Sequence[SubmissionRecord]) -> bool:
    """Say whether submitting a run would ask the scheduler for what one of these submissions asked for."""
    if not submissions:
        return False
    decision = again.get(manifest.id)
    resources = msgspec.to_builtins(decision.resources if decision else last_resources(manifest, records))
    return any(one.resources == resources if one.runs else one.reason == PREPARE + manifest.prepare for one in submissions)


def _decided(pen: Pen, submittal: Submittal, again: Mapping[str, Decision]) -> list[str]:
    """Record each requeue before it is carried out; returns a sentence for each."""
    rows = [(row, again[row.run]) for array in submittal.arrays for row in array.rows if row.run in again]
    at = pen.clock()
    pen.write(*(Decided(at=at, decision=one.id, run=one.run, action=one.action.value, reason=one.reason) for _, one in rows))
    return [f"run {row.run[:8]}…: requeued as attempt {row.attempt} ({decision.reason})" for row, decision in rows]


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
        except ChangeRefused as error:
            pen.write(Throttled(at=pen.clock(), token=throttle.token, max_parallel=before, refused=True))
            told.append(f"{throttle.token}: {error}")
        except ClusterError as error:  # it may be as wide as we asked: that is how it counts
            told.append(f"{throttle.token}: {error}")
        else:
            told.append(f"{throttle.token}: {throttle.tasks} tasks at once from now on, for others have drained")
    return told


def _take_back(pen: Pen, site: Site, move: Move, snapshot: Snapshot) -> list[str]:
    """Take waiting runs out of an array; the next round submits them where slots are free.

    The wish comes first: a task that starts meanwhile finds it, and leaves its run alone.
    """
    submission = pen.records.submissions[move.token]
    rows = tuple(row for row in move.rows if pen.records.waiting_in(submission, row))
    for run_id, attempt in (submission.runs[row] for row in rows):
        write_wish(pen.paths, run_id, Wish(wish="requeue", by=WATCH, at=pen.clock(), through=attempt))
    pen.write(Recalled(at=pen.clock(), token=move.token, rows=rows))
    pen.check()
    site.scheduler.cancel([snapshot.tasks[move.token][row] for row in rows])  # one that is cut off here, the next round repeats
    return [f"{move.token}: moved to free slots: {len(rows)} of its waiting runs"] if rows else []
