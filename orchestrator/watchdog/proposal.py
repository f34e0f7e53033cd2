"""A launch in two steps: propose, which writes nothing, and carry out, which looks again under the pen."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from orchestrator.cluster.scheduler import ArrayRequest, Snapshot
from orchestrator.grid.spec import Spec
from orchestrator.launch.apply import Draft, renew, write_draft
from orchestrator.launch.canary import choose_canaries
from orchestrator.launch.commit import array_request, new_token
from orchestrator.launch.launch import Commitment, commit_launch, count_live, make_template, plan_launch
from orchestrator.launch.opened import OpenGrid, Settings
from orchestrator.launch.plan import Plan
from orchestrator.store.errors import LaunchConflict
from orchestrator.store.events import Resumed
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import Pen, take_pen
from orchestrator.store.records import Records
from orchestrator.store.states import Cause
from orchestrator.watchdog.act import nodes_to_avoid
from orchestrator.watchdog.answers import read_answers
from orchestrator.watchdog.janitor import engage
from orchestrator.watchdog.look import Site, ask, look
from orchestrator.watchdog.pausing import go_on, resume, without_held
from orchestrator.watchdog.policy import NO_LARGER_GPU, held_runs
from orchestrator.watchdog.watch import record_under, settle_open


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """Whether few runs go first."""

    count: int = 0
    step: int | None = None
    """They are through at this step; None: when they have completed."""


ALL_AT_ONCE = Canary()


@dataclass(frozen=True)
class Proposal:
    """What launching would do now."""

    draft: Draft
    plan: Plan
    site: Site
    adopt: bool
    notes: tuple[str, ...]
    """Lines of the profile that the grid's resources overrule."""
    canary: Canary

    def requests(self, project: Path) -> list[ArrayRequest]:
        """Return what the scheduler would be asked, for the text that is shown."""
        paths, spec = self.draft.paths, self.draft.spec
        settings = Settings(profile=self.site.profile.name, cwd=str(project))
        template = make_template(paths, spec, settings, self.site.profile)
        limit_min = self.site.scheduler.limits().partition_limit_min
        requests = []
        for array in self.plan.arrays:
            token = new_token(paths.name, time.time())
            submission = msgspec.structs.replace(template, token=token, resources=array.resources)
            requests.append(array_request(paths.submission(token), submission, array, limit_min=limit_min))
        return requests


def propose(draft: Draft, site: Site, *, adopt: bool = True, canary: Canary = ALL_AT_ONCE, resume_by: str = "") -> Proposal:
    """Look at the scheduler once, and decide what a launch would do; writes nothing. `resume_by`: who lets a paused grid go on."""
    live: Mapping[str, int] = {}
    if draft.paths.applied_versions():
        seen = look(OpenGrid(draft.paths), site)
        records, snapshot = seen.records, seen.snapshot
        if resume_by:
            snapshot = without_held(records, snapshot)
            records = _as_resumed(records, snapshot, resume_by)
        refuse_paused(records, draft.paths.name)
        draft = renew(draft, draft.kept, records, held_runs(records, snapshot))
        live = count_live(snapshot)
    draft = _hold_back(draft, canary)
    plan = plan_launch(draft, site.profile, site.scheduler, live, now=time.time(), adopt=adopt)
    resources = {manifest.resources for manifest in draft.runs.to_submit}
    proposal = Proposal(draft=draft, plan=plan, site=site, adopt=adopt, notes=(), canary=canary)
    for request in proposal.requests(Path.cwd())[:1]:
        with draft.spec.telling(request.resources):
            site.scheduler.preview(request)  # refuses what cannot enter a script, before anything is written
    notes: set[str] = set()
    for one in sorted(resources, key=str):
        with draft.spec.telling(one):
            notes.update(site.scheduler.check(one))
    return replace(proposal, notes=(*draft.notes, *_unanswered(draft.spec, site), *sorted(notes)))


def _unanswered(spec: Spec, site: Site) -> list[str]:
    """Return what the policy asks for and this site cannot give."""
    answer = read_answers(spec.policy).answer(Cause.GPU_OOM)
    lacking = answer.larger_gpu and not site.profile.larger_gpu
    return [f"policy.gpu_oom asks for a {NO_LARGER_GPU}: profile {site.profile.name}"] if lacking else []


class Launched(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch did."""

    plan: Plan
    tokens: tuple[str, ...]
    told: tuple[str, ...]
    """What was found out about submissions that an earlier launch left open."""


def carry_out(
    proposal: Proposal,
    project: Path,
    *,
    resume_by: str = "",
    janitor: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    wait_s: float = 60.0,
) -> Launched:
    """Launch: with the pen in hand look again, settle what an earlier launch left open, decide again, and act.

    `resume_by`: who lets a paused grid go on. `janitor`: a job on the cluster is to watch it from now on.
    """
    draft, site = proposal.draft, proposal.site
    with take_pen(draft.paths, lease_s=site.profile.lease_s, wait_s=wait_s) as pen:
        snapshot, told = _bring_up_to_date(pen, draft, site, sleep)
        if resume_by and snapshot is not None:
            told += _resume(pen, snapshot, site, by=resume_by)
            snapshot = without_held(pen.records, snapshot)
        refuse_paused(pen.records, draft.paths.name)
        live = count_live(snapshot) if snapshot else {}
        fresh = _hold_back(refresh(draft, pen, held_runs(pen.records, snapshot) if snapshot else ()), proposal.canary)
        plan = plan_launch(fresh, site.profile, site.scheduler, live, now=pen.clock(), adopt=proposal.adopt)
        launch = Commitment(
            profile=site.profile,
            scheduler=site.scheduler,
            live=live,
            project=project,
            exclude=nodes_to_avoid(draft.spec, pen.records, site, pen.clock()),
            canary_step=proposal.canary.step,
        )
        tokens = commit_launch(pen, fresh, plan, launch)
        told += engage(pen, OpenGrid(draft.paths), site) if janitor or (tokens and _is_watched(draft.paths)) else []
    return Launched(plan=plan, tokens=tuple(tokens), told=tuple(told))


def _is_watched(paths: GridPaths) -> bool:
    """Say whether janitors were asked for: they left when no run was open."""
    settings = OpenGrid(paths).settings
    return settings is not None and settings.janitor


def _as_resumed(records: Records, snapshot: Snapshot, by: str) -> Records:
    """Return the records as they will be when the grid goes on."""
    at = snapshot.taken_at
    return records.copy().apply([Resumed(at=at, by=by), *go_on(records, snapshot, at, by=by)])


def refuse_paused(records: Records, grid: str) -> None:
    """Raise LaunchConflict for a grid that is paused: what would be submitted now would most likely end like the others."""
    if records.paused is not None:
        raise LaunchConflict(f"{grid} is paused: {records.paused.reason}. When that is mended: mrsweep launch {grid} --resume")


def _resume(pen: Pen, snapshot: Snapshot, site: Site, *, by: str) -> list[str]:
    told = ["the pause is lifted"] if pen.records.paused else []
    count = resume(pen, snapshot, site, by=by)
    return [*told, f"{count} run{'s' * (count != 1)} no longer held"] if count else told


def _hold_back(draft: Draft, canary: Canary) -> Draft:
    """Let only the canaries go, where any are asked for."""
    if not canary.count:
        return draft
    waiting = draft.runs.to_submit
    behind = {manifest.id for manifest in waiting} - set(choose_canaries(waiting, canary.count))
    return msgspec.structs.replace(draft, runs=msgspec.structs.replace(draft.runs, behind=frozenset(behind)))


def _bring_up_to_date(pen: Pen, draft: Draft, site: Site, sleep: Callable[[float], None]) -> tuple[Snapshot | None, list[str]]:
    """Record what happened since the last look; returns what the scheduler says, and what became of open submissions."""
    if not draft.paths.applied_versions():
        return None, []
    seen = record_under(pen, OpenGrid(draft.paths), site)
    told = settle_open(pen, seen.snapshot, site, sleep)
    return ask(pen.records, site.scheduler, pen.clock()) if told else seen.snapshot, told


def refresh(draft: Draft, pen: Pen, held: Collection[str] = ()) -> Draft:
    """Return the draft held against the records and manifests as they are under the pen."""
    return renew(draft, OpenGrid(draft.paths).manifests, pen.records, held)


def expand_only(draft: Draft) -> None:
    """Write grid-<n>.yaml and the manifests, and submit nothing. What was launched goes on as it was launched."""
    with take_pen(draft.paths) as pen:
        fresh = refresh(draft, pen)
        runs = fresh.runs
        if OpenGrid(draft.paths).settings is not None:  # the launch of this version says which runs it leaves out
            runs = msgspec.structs.replace(runs, orphans=(), revived=())
        write_draft(pen, msgspec.structs.replace(fresh, runs=runs))
