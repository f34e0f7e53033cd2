"""Carry out what was decided or asked: submit runs again, cancel."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.spec import Spec
from orchestrator.launch.arrays import ArrayPlan, Job, Room, cut_arrays
from orchestrator.launch.commit import Common, submit_arrays
from orchestrator.launch.launch import count_live, find_resume, find_room, make_template, pack_of, prepare_jobs
from orchestrator.launch.opened import OpenGrid, Settings
from orchestrator.launch.plan import Wanted, last_resources, make_jobs
from orchestrator.store.errors import InputError
from orchestrator.store.events import Asked, Changed
from orchestrator.store.files import make_dir, write_atomic
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import Pen
from orchestrator.store.records import Record, Records
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.answers import Action, read_answers
from orchestrator.watchdog.look import Site
from orchestrator.watchdog.policy import Decision, bad_nodes, held_runs
from orchestrator.worker.claim import Wish

NO_ROOM = Room(slots=0, max_array=1)
"""A paused grid starts nothing."""

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
    decisions: Mapping[str, Decision] | None = None,
    changed: Mapping[str, float] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Submittal:
    """Decide in which arrays these runs go, with the resources and runtime keys they had last, or those that were decided.

    `changed` resources and `overrides` (run → dotted runtime key → value) come on top. Runs whose task the scheduler still holds
    are left out. It writes nothing; it reads which attempts left a checkpoint. Raises ProfileError for `changed` ones that no
    node can give.
    """
    decisions, held = decisions or {}, held_runs(records, snapshot)
    manifests = [manifest for manifest in manifests if manifest.id not in held]
    afresh = {run_id for run_id, decision in decisions.items() if decision.action is Action.REQUEUE}
    room = NO_ROOM if records.paused else find_room(grid.spec, records, site.scheduler, count_live(snapshot))
    resume = find_resume(grid.paths, records, [one.id for one in manifests if room.slots and one.id not in afresh])
    own = overrides or {}
    wanted = [_want(one, records, decisions.get(one.id), changed or {}, own.get(one.id, {})) for one in manifests]
    listed = site.profile.scheduler == "local"
    arrays, later = cut_arrays(make_jobs(wanted, records, resume), pack_of(grid.spec, site.profile), room, listed=listed)
    for array in arrays if changed else ():
        site.scheduler.check(array.resources)
    return Submittal(arrays=tuple(arrays), later=tuple(later))


def _want(
    manifest: Manifest, records: Records, decision: Decision | None, changed: Mapping[str, float], overrides: Mapping[str, Any]
) -> Wanted:
    resources = decision.resources if decision else last_resources(manifest, records)
    before = decision.overrides if decision else records.get(manifest.id).overrides
    return Wanted(manifest=manifest, resources=msgspec.structs.replace(resources, **changed), overrides={**before, **overrides})


def submit(pen: Pen, grid: OpenGrid, submittal: Submittal, site: Site, snapshot: Snapshot, *, reason: str) -> list[str]:
    """Submit runs again; returns the tokens. Old stop wishes hold for old attempts only."""
    settings = settings_or_fail(grid)
    jobs = prepare_jobs(pen, settings, submittal.arrays, site.scheduler, count_live(snapshot))
    exclude = nodes_to_avoid(grid.spec, pen.records, site, pen.clock())
    common = Common(template=make_template(grid.paths, grid.spec, settings, site.profile), reason=reason, exclude=exclude)
    return submit_arrays(pen, submittal.arrays, site.scheduler, common, jobs)


def remember(pen: Pen, later: Sequence[Job], *, by: str) -> None:
    """Note which runs a person wants computed again that find no slot now: `watch` submits them, as they were asked for."""
    pen.write(
        *(
            Asked(at=pen.clock(), run=job.row.run, resources=msgspec.to_builtins(job.resources), overrides=job.row.config, by=by)
            for job in later
        )
    )


def nodes_to_avoid(spec: Spec, records: Records, site: Site, now: float) -> tuple[str, ...]:
    """Return the nodes on which runs were lost of late; never more than half of all."""
    most, since = (site.scheduler.limits().nodes or 0) // 2, now - 60 * site.profile.avoid_min
    return bad_nodes(records.runs.values(), read_answers(spec.policy), since=since, most=most)


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
