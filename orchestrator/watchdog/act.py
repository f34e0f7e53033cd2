"""Carry out what was decided or asked: submit runs again, cancel."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.grid.manifest import Manifest
from orchestrator.launch.arrays import ArrayPlan, Job, cut_arrays
from orchestrator.launch.commit import Common, submit_arrays
from orchestrator.launch.launch import count_live, find_resume, find_room, make_template, pack_of, prepare_jobs
from orchestrator.launch.opened import OpenGrid, Settings
from orchestrator.launch.plan import make_jobs
from orchestrator.store.errors import InputError
from orchestrator.store.events import Changed
from orchestrator.store.files import make_dir, write_atomic
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import Pen
from orchestrator.store.records import Record, Records
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.look import Site
from orchestrator.watchdog.policy import held_runs
from orchestrator.worker.claim import Wish

TAKEN_BACK = (State.FAILED, State.CANCELLED, State.INTERRUPTED, State.BLOCKED, State.HELD)
"""States from which `requeue` takes a run back into the queue."""


class Submittal(msgspec.Struct, frozen=True, kw_only=True):
    """What submitting runs would do."""

    arrays: tuple[ArrayPlan, ...]
    later: tuple[Job, ...]
    """Runs that wait for a slot."""

    @property
    def runs(self) -> int:
        return sum(len(array.rows) for array in self.arrays)


def plan_submittal(
    grid: OpenGrid,
    manifests: Sequence[Manifest],
    records: Records,
    snapshot: Snapshot,
    site: Site,
    *,
    changed: Mapping[str, float] | None = None,
) -> Submittal:
    """Decide in which arrays these runs go, with the resources they had last, and `changed` ones on top.

    Runs whose task the scheduler still holds are left out. It writes nothing; it reads which attempts left a checkpoint.
    Raises ProfileError for `changed` ones that no node can give.
    """
    held = held_runs(records, snapshot)
    manifests = [manifest for manifest in manifests if manifest.id not in held]
    resume = find_resume(grid.paths, records, [manifest.id for manifest in manifests])
    wanted = [
        msgspec.structs.replace(manifest, resources=msgspec.structs.replace(last_resources(manifest, records), **changed or {}))
        for manifest in manifests
    ]
    room = find_room(grid.spec, records, site.scheduler, count_live(snapshot))
    listed = site.profile.scheduler == "local"
    arrays, later = cut_arrays(make_jobs(wanted, records, resume), pack_of(grid.spec, site.profile), room, listed=listed)
    for array in arrays if changed else ():
        site.scheduler.check(array.resources)
    return Submittal(arrays=tuple(arrays), later=tuple(later))


def last_resources(manifest: Manifest, records: Records) -> Resources:
    """Return what a run asked for when it was taken last, or what its manifest says."""
    record = records.get(manifest.id)
    tokens = (record.token, record.current.token if record.current else "")
    taken = (one for token in tokens if (one := records.submissions.get(token)) and one.resources and not one.refused)
    submission = next(taken, None)
    return msgspec.convert(submission.resources, Resources) if submission else manifest.resources


def submit(pen: Pen, grid: OpenGrid, submittal: Submittal, site: Site, snapshot: Snapshot, *, reason: str) -> list[str]:
    """Submit runs again; returns the tokens. Old stop wishes hold for old attempts only."""
    settings = settings_or_fail(grid)
    jobs = prepare_jobs(pen, settings, submittal.arrays, site.scheduler, count_live(snapshot))
    common = Common(template=make_template(grid.paths, grid.spec, settings, site.profile), reason=reason)
    return submit_arrays(pen, submittal.arrays, site.scheduler, common, jobs)


def cancel(pen: Pen, chosen: Sequence[Record], snapshot: Snapshot, site: Site, *, by: str) -> tuple[int, int]:
    """Cancel runs: a wish in each run's folder, and scancel for tasks whose every run is to end.

    Returns (runs that are cancelled already, runs that end at their next heartbeat or when the scheduler ends them).
    """
    at_once = [record for record in chosen if not record.is_final and record.state not in (State.RUNNING, State.STALLED)]
    running = [record for record in chosen if record.state in (State.RUNNING, State.STALLED)]
    for record in (*at_once, *running):
        if record.attempt:
            write_wish(pen.paths, record.id, Wish(wish="cancel", by=by, at=pen.clock(), through=record.attempt))
    cause = {True: Cause.CANCELLED, False: Cause.CANCELLED_BEFORE_START}
    pen.write(
        *(
            Changed(at=pen.clock(), run=record.id, state=State.CANCELLED, cause=cause[bool(record.attempts)], reason="cancelled", by=by)
            for record in at_once
        )
    )
    pen.check()
    site.scheduler.cancel(_tasks_to_end(pen.records, {record.id for record in chosen}, snapshot))
    return len(at_once), len(running)


def write_wish(paths: GridPaths, run_id: str, wish: Wish) -> None:
    """Leave a wish in a run's folder, where workers read it before a claim and at each heartbeat."""
    run = paths.run(run_id)
    make_dir(run.dir)
    write_atomic(run.stop, msgspec.json.encode(wish), durable=False)


def _tasks_to_end(records: Records, chosen: Collection[str], snapshot: Snapshot) -> list[TaskRow]:
    """Return the living tasks all of whose unfinished runs are to end."""
    tasks = []
    for token, rows in snapshot.tasks.items():
        submission = records.submissions.get(token)
        if submission is None or not submission.runs:
            continue
        living = [row for row in rows.values() if row.state is not TaskState.ENDED]
        if submission.listed:
            still_wanted = any(_is_wanted(records.get(run_id), attempt, chosen) for run_id, attempt in submission.runs)
            tasks.extend([] if still_wanted else living)
        else:
            tasks.extend(row for row in living if submission.runs[row.index][0] in chosen)
    return tasks


def _is_wanted(record: Record, attempt: int, chosen: Collection[str]) -> bool:
    return record.is_alive and record.attempt == attempt and record.id not in chosen


def settings_or_fail(grid: OpenGrid) -> Settings:
    """Return how the grid was launched, or say that it never was."""
    if grid.settings is None:
        raise InputError(f"{grid.paths.dir}: this grid was expanded, but never launched. Launch it with: mrsweep launch {grid.paths.name}")
    return grid.settings
