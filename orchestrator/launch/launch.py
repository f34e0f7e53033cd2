"""Launch a grid: the plan of a draft, and under the pen the commit of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from orchestrator.cluster.profile import Profile
from orchestrator.cluster.resources import Pack
from orchestrator.cluster.scheduler import Scheduler, Snapshot, TaskState
from orchestrator.grid.entry import find_entry
from orchestrator.grid.spec import Spec
from orchestrator.launch.adopt import find_adoptable
from orchestrator.launch.apply import Draft, write_draft
from orchestrator.launch.arrays import ArrayPlan, Room, cut_arrays
from orchestrator.launch.commit import PREPARE, Common, submit_arrays, submit_prepare
from orchestrator.launch.opened import OpenGrid, Settings
from orchestrator.launch.plan import Plan, Wanted, free_slots, make_jobs, tell_waiting, typical_runtime_min, want_again
from orchestrator.launch.snapshot import take_snapshot
from orchestrator.results.cost import cost, limit_of
from orchestrator.store.errors import ClusterError
from orchestrator.store.events import Changed
from orchestrator.store.files import read_json, write_atomic
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import Pen
from orchestrator.store.records import Records
from orchestrator.store.states import State
from orchestrator.worker.outcome import has_checkpoint
from orchestrator.worker.prepared import PrepareTask, is_done
from orchestrator.worker.submission import Submission, Timing

BESIDE = 8
"""Three janitors, their successors, which are submitted while they live, and prepare jobs: without them nobody feeds the queue."""


def plan_launch(draft: Draft, profile: Profile, scheduler: Scheduler, live: Mapping[str, int], *, now: float, adopt: bool = True) -> Plan:
    """Decide what launching the draft would do now. `live`: token → tasks that the scheduler has not ended."""
    open_ids = {manifest.id for manifest in draft.runs.to_submit}
    adopted = find_adoptable(draft.paths, open_ids, now) if adopt else []
    taken = {adoption.run for adoption in adopted}
    manifests = [manifest for manifest in draft.runs.to_submit if manifest.id not in taken]
    again = {
        manifest.id
        for manifest in draft.runs.to_submit
        if draft.records.get(manifest.id).state is State.INTERRUPTED or draft.records.get(manifest.id).attempts
    }
    wanted = [
        want_again(manifest, draft.records)
        if manifest.id in again or draft.records.get(manifest.id).asked
        else Wanted(manifest=manifest, resources=manifest.resources)
        for manifest in manifests
    ]
    jobs = make_jobs(wanted, draft.records, find_resume(draft.paths, draft.records, again))
    arrays, later = cut_arrays(
        jobs, pack_of(draft.spec, profile), find_room(draft.spec, draft.records, scheduler, live), listed=profile.scheduler == "local"
    )
    resources = [one.resources for one in wanted]
    runtime = typical_runtime_min(draft.records.runs.values())
    return Plan(
        runs=draft.runs,
        collapsed=draft.collapsed,
        waiting=tuple(tell_waiting(draft.waiting)),
        adopted=tuple(adopted),
        arrays=tuple(arrays),
        later=tuple(later),
        prepare=tuple(shlex.join(draft.prepares[digest].argv) for digest in sorted({manifest.prepare for manifest in manifests} - {""})),
        limit=limit_of(resources),
        estimate=None if runtime is None else cost((one, runtime) for one in resources),
    )


def is_listed(spec: Spec, profile: Profile) -> bool:
    """Say whether workers take runs from a list: always on this machine, on Slurm when a task packs several."""
    return profile.scheduler == "local" or spec.pack.per_task > 1


def pack_of(spec: Spec, profile: Profile) -> Pack:
    """Return how runs share a task; local workers compute one at a time until the list is empty."""
    return Pack() if profile.scheduler == "local" else spec.pack


def find_room(spec: Spec, records: Records, scheduler: Scheduler, live: Mapping[str, int]) -> Room:
    """Return what may be submitted beside what is in the queue already."""
    limits = scheduler.limits()
    most = spec.max_parallel if limits.at_once is None else min(spec.max_parallel, limits.at_once)
    slots = free_slots(records, live, most)
    tasks = float("inf")
    if limits.max_submit is not None and slots:  # without a slot the queue need not be asked
        tasks = max(0, limits.max_submit - _beside(limits.max_submit) - scheduler.count_queued())
    return Room(slots=slots, max_array=limits.max_array_size, tasks=tasks)


def _beside(most: int) -> int:
    """Return how many of `most` jobs are kept free for those that hold no runs; of a small limit a quarter at most."""
    return min(BESIDE, most // 4)


def count_live(snapshot: Snapshot) -> dict[str, int]:
    """Return token → tasks that the scheduler has not ended."""
    return {token: sum(row.state is not TaskState.ENDED for row in rows.values()) for token, rows in snapshot.tasks.items()}


def find_resume(paths: GridPaths, records: Records, run_ids: Iterable[str]) -> dict[str, str]:
    """Return run id → folder name of its newest attempt that left a checkpoint."""
    found = {}
    for run_id in run_ids:
        run = paths.run(run_id)
        for attempt in reversed(records.get(run_id).attempts):
            folder = run.attempt(attempt.number, attempt.restart)
            if has_checkpoint(folder):
                found[run_id] = folder.dir.name
                break
    return found


class Commitment(msgspec.Struct, frozen=True, kw_only=True):
    """How a plan is carried out."""

    profile: Profile
    scheduler: Scheduler
    live: Mapping[str, int]
    """Token → tasks that the scheduler has not ended."""
    project: Path
    exclude: tuple[str, ...] = ()
    """Nodes to avoid."""
    canary_step: int | None = None
    """Where the canaries are through; None: at their end."""


def commit_launch(pen: Pen, draft: Draft, plan: Plan, how: Commitment) -> list[str]:
    """Carry the plan out: manifests, adoptions, code snapshot, prepare jobs, arrays. Returns the tokens."""
    computes = plan.arrays or plan.later or draft.waiting
    code = take_snapshot(how.project, draft.paths.code, enabled=draft.spec.code != "none") if computes else None  # first: it may refuse
    write_draft(pen, draft)
    pen.write(*plan.adopted)
    if code is None:
        _note_version(draft)
        return []
    before = read_json(draft.paths.settings, Settings)
    canaries, step = _canaries(draft, before, how)
    settings = Settings(
        profile=how.profile.name,
        cwd=str(how.project),
        version=draft.version,
        code=code.path,
        provenance=code.provenance,
        canaries=canaries,
        canary_step=step,
        janitor=before is not None and before.janitor,
    )
    behind = sorted(draft.runs.behind)
    pen.write(*(Changed(at=pen.clock(), run=run_id, state=State.HELD, reason="waits for the canaries") for run_id in behind))
    write_atomic(draft.paths.settings, msgspec.json.encode(settings))  # after it: from now on watch submits what is planned
    jobs = prepare_jobs(pen, settings, plan.arrays, how.scheduler, how.live)
    common = Common(template=make_template(draft.paths, draft.spec, settings, how.profile), exclude=how.exclude)
    return submit_arrays(pen, plan.arrays, how.scheduler, common, jobs)


def _canaries(draft: Draft, before: Settings | None, how: Commitment) -> tuple[tuple[str, ...], int | None]:
    """Return who goes first from now on, and how far: those of this launch, else those that runs wait for already."""
    if draft.runs.behind:
        return tuple(manifest.id for manifest in draft.runs.to_submit), how.canary_step
    waiting = any(record.state is State.HELD for record in draft.records.runs.values())
    return (before.canaries, before.canary_step) if before is not None and waiting else ((), None)


def _note_version(draft: Draft) -> None:
    """Write down which version was launched last, where nothing was to be submitted for it."""
    settings = read_json(draft.paths.settings, Settings)
    if settings is not None and settings.version != draft.version:
        write_atomic(draft.paths.settings, msgspec.json.encode(msgspec.structs.replace(settings, version=draft.version)))


def renew_code(grid: OpenGrid, project: Path) -> None:
    """Take a new snapshot of the project for the runs that are submitted from now on; raises EntryError where it lacks the entry."""
    settings = grid.settings
    if settings is None:
        return
    if grid.spec.entry:
        find_entry(grid.spec.entry, [str(project), str(project / "src")])  # else every run would fail to import it
    code = take_snapshot(project, grid.paths.code, enabled=grid.spec.code != "none")
    renewed = msgspec.structs.replace(settings, cwd=str(project), code=code.path, provenance=code.provenance)
    write_atomic(grid.paths.settings, msgspec.json.encode(renewed))


def make_template(paths: GridPaths, spec: Spec, settings: Settings, profile: Profile) -> Submission:
    """Return what all submissions of a grid have in common."""
    return Submission(
        token="",
        grid_dir=str(paths.dir.absolute()),
        cwd=settings.cwd,
        code=settings.code,
        listed=is_listed(spec, profile),
        pack=pack_of(spec, profile),
        preload=spec.preload,
        start=spec.start,
        keep_env=spec.keep_env,
        signal=spec.signal,
        objective=spec.objective,
        timing=Timing(heartbeat_s=profile.heartbeat_s, warning_s=profile.warning_s, visible_s=profile.visible_s),
        provenance=settings.provenance,
    )


def prepare_jobs(
    pen: Pen, settings: Settings, arrays: Iterable[ArrayPlan], scheduler: Scheduler, live: Mapping[str, int]
) -> dict[str, str]:
    """Make the prepare commands of these arrays ready; on Slurm submit them, and return hash → job id.

    A command that is done or in the queue already is not submitted again. Local workers run theirs before their first run.
    """
    jobs = {}
    for digest in sorted({array.prepare for array in arrays if array.prepare}):
        paths = pen.paths.prepare(digest)
        if is_done(paths):
            continue
        task = msgspec.json.decode(paths.command.read_bytes(), type=PrepareTask)
        ready = msgspec.structs.replace(task, cwd=settings.cwd, code=settings.code)
        write_atomic(paths.command, msgspec.json.encode(ready))
        paths.failed.unlink(missing_ok=True)
        if scheduler.name == "slurm":
            jobs[digest] = _queued_prepare(pen, digest, scheduler, live) or submit_prepare(pen, digest, task.resources, scheduler)
    return jobs


def _queued_prepare(pen: Pen, digest: str, scheduler: Scheduler, live: Mapping[str, int]) -> str:
    """Return the job id of a prepare command that is in the queue already; a job that `live` does not tell of is asked about.

    A look does not ask about prepare jobs while no run waits for one: after a refusal, a kill or a lost answer in between.
    """
    sent = [record for record in pen.records.submissions.values() if record.reason == PREPARE + digest and record.job_id]
    untold = [record for record in sent if record.token not in live]
    if untold:
        snapshot = scheduler.snapshot([one.token for one in untold], since=min(one.at for one in untold), now=pen.clock())
        if not snapshot.queue_ok:
            raise ClusterError(f"{pen.paths.name}: the queue does not say whether the prepare command is in it. Repeat this later.")
        live = {**live, **count_live(snapshot)}
    return next((record.job_id for record in sent if live.get(record.token)), "")
