"""One look at a grid: records, journals and one answer of the scheduler, folded into what is true now."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from orchestrator.cluster.choose import default_profile_name, open_scheduler
from orchestrator.cluster.job_ids import read_job_id
from orchestrator.cluster.profile import Profile, load_profile
from orchestrator.cluster.scheduler import Limits, Scheduler, Snapshot
from orchestrator.launch.commit import PREPARE
from orchestrator.launch.opened import OpenGrid
from orchestrator.store.errors import ClusterError, LaunchConflict
from orchestrator.store.events import LedgerEvent
from orchestrator.store.files import read_json, write_atomic
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import read_records
from orchestrator.store.records import Records, SubmissionRecord
from orchestrator.watchdog.clues import clues_in
from orchestrator.watchdog.observe import Absences, Patience, Proof, Proven, bad_end_of, blocked_by_prepare, observe
from orchestrator.worker.journals import read_journals
from orchestrator.worker.outcome import read_result
from orchestrator.worker.prepared import failure, is_done


@dataclass(frozen=True)
class Site:
    """Where a grid runs: the profile it was launched with, and the scheduler behind it."""

    profile: Profile
    scheduler: Scheduler

    @property
    def workers(self) -> int | None:
        """Runs that this machine computes at once; None on a cluster, which is not asked for it."""
        return self.scheduler.limits().at_once if self.scheduler.name == "local" else None


def known_limits(site: Site) -> Limits | None:
    """Return what the site accepts, None when it does not answer: what depends on it alone can then not be told."""
    try:
        return site.scheduler.limits()
    except ClusterError:
        return None


def site_of(grid: OpenGrid, profile_name: str | None = None, *, reading: bool = False) -> Site:
    """Return the site a grid was launched on; `profile_name` wins over what launch.json says. `reading`: the caller only shows.

    Raises LaunchConflict when runs may be alive at a place of another kind: nobody here could tell that they are.
    """
    settings = grid.settings
    launched = settings.profile if settings else None
    project = Path(settings.cwd) if settings and not profile_name else Path()  # where the profile was named that launch.json names
    site = open_site(grid.paths, profile_name or launched, project=project, reading=reading)
    if launched and site.profile.name != launched:
        _refuse_runs_elsewhere(grid.paths, site, launched)
    return site


def _refuse_runs_elsewhere(paths: GridPaths, site: Site, launched: str) -> None:
    records = read_records(paths)
    here = site.scheduler.name == "local"
    foreign = {token for token, submission in records.submissions.items() if submission.job_id and _is_local(submission.job_id) != here}
    alive = sum(record.is_alive and record.token in foreign for record in records.runs.values())
    if alive:
        raise LaunchConflict(
            f"--profile {site.profile.name}: {alive} runs of {paths.name} may be alive where profile {launched} put them. "
            f"Leave out --profile, or first: mrsweep cancel {paths.name} --profile {launched}"
        )


def _is_local(job_id: str) -> bool:
    return read_job_id(job_id) is not None


def open_site(paths: GridPaths, profile_name: str | None, *, project: Path = Path(), reading: bool = False) -> Site:
    """Return the site that a profile describes; without a name Slurm where sbatch is found, else this machine."""
    profile = load_profile(profile_name or default_profile_name(), project)
    return Site(profile=profile, scheduler=open_scheduler(profile, submissions=paths.submissions, reading=reading))


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What one look brought."""

    records: Records
    """The ledger's records with the new events taken in; what is true now."""
    events: tuple[LedgerEvent, ...]
    """What the ledger does not have yet."""
    asked: tuple[str, ...]
    """The submissions that the scheduler was asked about."""
    snapshot: Snapshot
    absences: Absences


def look(grid: OpenGrid, site: Site, *, records: Records | None = None, now: float | None = None, snapshot: Snapshot | None = None) -> Look:
    """Look at everything once; writes nothing. `records` are those under the pen, else they are read.

    `snapshot`: what the scheduler said a moment ago; without it, it is asked.
    """
    now = time.time() if now is None else now
    paths = grid.paths
    known = read_records(paths) if records is None else records
    grid.check(known)
    asked = live_tokens(known)
    snapshot = snapshot or _ask_about(asked, known, site.scheduler, now, also=_janitors(grid))
    patience = Patience(settle_s=site.profile.settle_s, absent_s=site.profile.absent_s)
    before = read_json(paths.absent, Absences) or Absences()
    blocked = blocked_by_prepare(known, _prepare_of(grid), _prepare_failure(paths, known, snapshot, patience), now)
    view = known.copy().apply(blocked)  # first: Slurm cancels what depends on a failed job, and that is no person's wish
    events, absences, view = observe(view, read_journals(paths, view), snapshot, _prover(paths), clues_in(paths), patience, before)
    return Look(records=view, events=(*blocked, *events), asked=tuple(asked), snapshot=snapshot, absences=absences)


def ask(records: Records, scheduler: Scheduler, now: float) -> Snapshot:
    """Ask the scheduler once about all submissions that may still live; about none, do not ask."""
    return _ask_about(live_tokens(records), records, scheduler, now)


def ask_of(run_ids: Iterable[str], records: Records, scheduler: Scheduler, now: float) -> Snapshot:
    """Ask about all submissions that hold these runs, also of those that have ended for us: a task may live all the same."""
    wanted = set(run_ids)
    submissions = records.submissions.values()
    tokens = sorted(one.token for one in submissions if not one.refused and any(run_id in wanted for run_id, _ in one.runs))
    return _ask_about(tokens, records, scheduler, now)


JANITORS = (1, 2, 3)
"""The jobs on the cluster that watch a grid, and each other."""


def janitor_name(paths: GridPaths, number: int) -> str:
    """Return the name of a job that watches a grid; another folder's grid of the same name has another."""
    place = hashlib.sha256(str(paths.dir.absolute()).encode()).hexdigest()[:8]
    name = f"{paths.name[:90].replace('@', '.')}-{place}-janitor"
    return name if number == 1 else f"{name}-{number}"


def _janitors(grid: OpenGrid) -> list[str]:
    return [janitor_name(grid.paths, number) for number in JANITORS] if grid.settings and grid.settings.janitor else []


def _ask_about(tokens: list[str], records: Records, scheduler: Scheduler, now: float, *, also: Collection[str] = ()) -> Snapshot:
    """Ask once about submissions, and in the same breath about jobs that hold no runs."""
    if not tokens and not also:
        return Snapshot(taken_at=now, queue_ok=True, accounting_ok=True, tasks={})
    since = min((records.submissions[token].at for token in tokens), default=now)
    expected = {token: open_tasks(records, token) for token in tokens}
    snapshot = scheduler.snapshot([*tokens, *also], since=since, now=now, open_tasks=expected)
    unseen = [told for token in tokens if token not in snapshot.tasks and (told := _elsewhere(records.submissions[token]))]
    return msgspec.structs.replace(snapshot, queue_ok=False, notes=(*snapshot.notes, *unseen)) if unseen else snapshot


def _elsewhere(submission: SubmissionRecord) -> str:
    """Return a sentence for local workers of another host that have not written yet: nobody here can tell whether they live."""
    named = read_job_id(submission.job_id)
    if named is None or named[0] == os.uname().nodename:
        return ""
    return f"{submission.token}: its workers were started on {named[0]} and have not written yet; look from there"


def open_tasks(records: Records, token: str) -> list[int]:
    """Return the tasks of a submission whose end is not known; of a list, any may hold an unfinished run."""
    submission = records.submissions[token]
    unfinished = records.unfinished_rows(submission)
    return list(range(submission.tasks)) if submission.listed and unfinished else sorted(unfinished)


def live_tokens(records: Records) -> list[str]:
    """Return the submissions that hold unfinished runs, those without an answer, and prepare jobs that runs may wait for."""
    tokens = {submission.token for submission in records.submissions.values() if submission.is_open or records.unfinished_rows(submission)}
    if tokens:
        tokens |= {token for token, submission in records.submissions.items() if submission.reason.startswith(PREPARE)}
    return sorted(tokens)


def save_absences(paths: GridPaths, absences: Absences) -> None:
    """Remember what no source named, for the next look; a derived file."""
    if absences.since or paths.absent.exists():
        write_atomic(paths.absent, msgspec.json.encode(absences), durable=False)


def _prepare_failure(paths: GridPaths, records: Records, snapshot: Snapshot, patience: Patience) -> Callable[[str], str | None]:
    """Return what tells of a prepare command, by its hash, why it failed: its log, else the end of its newest job."""
    jobs = {job.reason.removeprefix(PREPARE): job for job in records.submissions.values() if job.reason.startswith(PREPARE) and job.job_id}

    def failed(digest: str) -> str | None:
        folder = paths.prepare(digest)
        told = failure(folder)
        if told is not None or digest not in jobs or is_done(folder):
            return told
        return bad_end_of(jobs[digest], snapshot, patience)

    return failed


def _prover(paths: GridPaths) -> Proof:
    def prove(run_id: str, attempt: int, restart: int) -> Proven | None:
        found = read_result(paths.run(run_id).attempt(attempt, restart), run_id)
        if found is None:
            return None
        result, sha256 = found
        return Proven(sha256, result.metrics, result.best, result.best_step, result.last, result.runtime_s)

    return prove


def _prepare_of(grid: OpenGrid) -> Mapping[str, str]:
    return {run_id: manifest.prepare for run_id, manifest in grid.manifests.items() if manifest.prepare}
