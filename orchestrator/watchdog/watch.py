"""One round of watching: look, record, settle what was cut off, take up interrupted runs, fill free slots."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.grid.manifest import Manifest, content
from orchestrator.launch.apply import Draft, make_draft, write_draft
from orchestrator.launch.commit import PREPARE, open_intents, take_up
from orchestrator.launch.launch import count_live
from orchestrator.launch.opened import OpenGrid
from orchestrator.launch.plan import free_slots, tell_waiting
from orchestrator.store.errors import ChangeRefused, ClusterError, InputError
from orchestrator.store.events import Decided, Looked, Recalled, Throttled
from orchestrator.store.ledger import Pen, take_pen
from orchestrator.store.records import WATCH, Records, SubmissionRecord
from orchestrator.store.states import State
from orchestrator.watchdog.act import Submittal, last_resources, plan_submittal, submit, write_wish
from orchestrator.watchdog.look import Look, Site, ask, live_tokens, look, save_absences
from orchestrator.watchdog.policy import decide, refused_lately
from orchestrator.watchdog.throttle import Move, Throttle, plan_move, raise_throttles
from orchestrator.worker.claim import Wish

LOG = logging.getLogger(__name__)

Sleep = Callable[[float], None]

FRESH_S = 10.0
"""What the scheduler said is believed so long, when the pen was taken meanwhile."""


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
        return record_under(pen, grid, site, before=seen)


def record_under(pen: Pen, grid: OpenGrid, site: Site, *, before: Look | None = None) -> Look:
    """Look and record, with the pen in hand. `before`: a look without it; what the scheduler said then may still hold."""
    snapshot = before.snapshot if before and _still_holds(before, pen) else None
    seen = look(grid, site, records=pen.records, now=pen.clock(), snapshot=snapshot)
    if seen.events:
        pen.write(*seen.events, Looked(at=pen.clock(), sources=_sources(seen.snapshot)))
    save_absences(grid.paths, seen.absences)
    return seen


def _still_holds(seen: Look, pen: Pen) -> bool:
    """Say whether the scheduler's answer is fresh, and about all that must be asked about."""
    return pen.clock() - seen.snapshot.taken_at <= FRESH_S and set(live_tokens(pen.records)) <= set(seen.asked)


def _sources(snapshot: Snapshot) -> tuple[str, ...]:
    return tuple(name for name, answered in (("queue", snapshot.queue_ok), ("accounting", snapshot.accounting_ok)) if answered)


def watch_once(grid: OpenGrid, site: Site, *, sleep: Sleep = time.sleep, wait_s: float = 60.0) -> Round:
    """Do one round. A round that finds nothing to write and nothing to do leaves the disk as it is."""
    seen = look(grid, site)
    draft = _draft_of_runs_that_waited(grid)
    waiting = tuple(tell_waiting(draft.waiting)) if draft else ()
    if not seen.events and not _has_work(grid, seen, site) and not (draft and _that_waited(draft, grid)):  # waiting alone is no work
        save_absences(grid.paths, seen.absences)
        return Round(look=seen, told=(), waiting=waiting)
    with take_pen(grid.paths, lease_s=site.profile.lease_s, wait_s=wait_s) as pen:
        seen = record_under(pen, grid, site, before=seen)
        told = [*_cancel_unwanted(pen, seen.snapshot, site), *settle_open(pen, seen.snapshot, site, sleep)]
        added = _add_runs_that_waited(pen, grid)
        grid = OpenGrid(grid.paths) if added else grid
        told += added
        told += _fill(pen, grid, site, seen.snapshot)
        records = pen.records
    return Round(look=msgspec.structs.replace(seen, records=records), told=tuple(told), waiting=waiting)


def _has_work(grid: OpenGrid, seen: Look, site: Site) -> bool:
    if grid.settings is None:
        return False
    if open_intents(seen.records.submissions.values()) or _unwanted(seen.records, seen.snapshot):
        return True
    return _plan_filling(grid, site, seen.records, seen.snapshot) is not None


def _cancel_unwanted(pen: Pen, snapshot: Snapshot, site: Site) -> list[str]:
    """Cancel waiting tasks that would find nothing to do; returns a sentence for each submission that was taken twice."""
    unwanted = _unwanted(pen.records, snapshot)
    if not unwanted:
        return []
    pen.check()
    site.scheduler.cancel(unwanted)
    twins = {row.token for row in unwanted} & {row.token for row in snapshot.twins}
    return [f"{token}: a second job of it was cancelled" for token in sorted(twins)]


def _unwanted(records: Records, snapshot: Snapshot) -> list[TaskRow]:
    """Return the second jobs of submissions that were taken twice, and tasks that were taken out of their array and not cancelled."""
    recalled = (snapshot.task(token, row) for token, submission in records.submissions.items() for row in submission.recalled)
    return [row for row in (*snapshot.twins, *recalled) if row is not None and row.state is TaskState.WAITING]


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
    try:
        return make_draft(grid.spec, grid.paths.dir.parent, project=Path(grid.settings.cwd), accept_defaults=True)
    except InputError as error:  # runs that were made already are kept alive all the same
        LOG.warning("%s: which runs can be added is not known: %s", grid.paths.name, error)
        return None


def _add_runs_that_waited(pen: Pen, grid: OpenGrid) -> list[str]:
    """Make the runs whose `needs:` have been met since the launch. Runs are added only: to leave some out is a person's launch."""
    draft = _draft_of_runs_that_waited(grid)
    if draft is None or grid.settings is None:
        return []
    version = grid.settings.version
    new = tuple(msgspec.structs.replace(manifest, version=version) for manifest in _that_waited(draft, grid))
    if not new:
        return []
    runs = msgspec.structs.replace(draft.runs, new=new, orphans=(), revived=())
    write_draft(pen, msgspec.structs.replace(draft, version=version, is_new_version=False, runs=runs))
    return [f"{len(new)} run{'s have' if len(new) > 1 else ' has'} now what was waited for"]


def _that_waited(draft: Draft, grid: OpenGrid) -> list[Manifest]:
    """Return the new runs of points that had none: what is made already is not made anew because another result is now the best."""
    made = {content(manifest) for manifest in grid.launched().values()}
    return [manifest for manifest in draft.runs.new if content(manifest) not in made]


def _fill(pen: Pen, grid: OpenGrid, site: Site, snapshot: Snapshot) -> list[str]:
    """Use free slots: first for runs that wait, then for arrays that lag behind."""
    filling = _plan_filling(grid, site, pen.records, snapshot)
    if isinstance(filling, Submittal):
        told = _decided(pen, filling, snapshot)
        submit(pen, grid, filling, site, snapshot, reason=WATCH)
        return told
    if isinstance(filling, Move):
        return _take_back(pen, site, filling, snapshot)
    return _widen(pen, site, filling or [])


def _plan_filling(grid: OpenGrid, site: Site, records: Records, snapshot: Snapshot) -> Submittal | Move | list[Throttle] | None:
    """Decide how free slots are used: runs to submit, else runs to move, else arrays to widen; None: not at all, or not now."""
    if grid.settings is None or not snapshot.queue_ok:
        return None
    refused = refused_lately(records.submissions.values(), snapshot.taken_at)
    wanted = [manifest for manifest in _to_submit(grid, records, snapshot) if not _asks_like(manifest, records, refused)]
    if wanted:
        submittal = plan_submittal(grid, wanted, records, snapshot, site)
        if submittal.runs:
            return submittal
    throttles, move = _to_widen(grid, records, snapshot)
    return throttles or (None if refused else move) or None


def _asks_like(manifest: Manifest, records: Records, submissions: Sequence[SubmissionRecord]) -> bool:
    """Say whether submitting a run would ask the scheduler for what one of these submissions asked for."""
    resources = msgspec.to_builtins(last_resources(manifest, records))
    return any(one.resources == resources if one.runs else one.reason == PREPARE + manifest.prepare for one in submissions)


def _to_submit(grid: OpenGrid, records: Records, snapshot: Snapshot) -> list[Manifest]:
    """Return the runs to submit: interrupted ones that policy takes up, and planned ones of the newest grid file."""
    chosen = []
    for run_id, manifest in grid.launched().items():
        record = records.get(run_id)
        if run_id in records.orphans:
            continue
        if record.state is State.PLANNED or decide(record, snapshot) is not None:
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
