"""The host's side of `doctor --probe`: sends a short job to a node and finds out what works between the two."""

from __future__ import annotations

import fcntl
import math
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from orchestrator.cluster.profile import Profile
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import ArrayRequest, Fact, Scheduler, TaskRow, TaskState, Verdict
from orchestrator.doctor.facts import MEM_GB, Seen, judge
from orchestrator.doctor.node import POLL_S, PRIZES, Moment, ProbePaths, Report, compete, wait_for
from orchestrator.launch.commit import worker_command
from orchestrator.store.errors import InputError, MrsweepError, SubmitUnknown
from orchestrator.store.files import make_dir, read_json, write_atomic
from orchestrator.store.layout import GridPaths
from orchestrator.watchdog.look import open_site
from orchestrator.worker.outcome import log_tail

MODULE = "orchestrator.doctor.node"
_SPARE_S = 10.0
_LOG_BYTES = 4096


def probe(runs: Path, profile: Profile, *, patience_s: float, tell: Callable[[str], None]) -> list[Fact]:
    """Send a job to a node and return what was found; waits at most `patience_s` for it to start, and leaves nothing behind."""
    token = f"doctor-{uuid.uuid4().hex[:8]}"
    grid = GridPaths(runs.absolute() / f".{token}")
    scheduler = open_site(grid, profile.path).scheduler
    folder = grid.submission(token)
    try:
        make_dir(folder.logs)
        job_id = scheduler.submit(_request(token, folder.dir, profile)).job_id
        tell(f"Job {job_id} was submitted; waiting for it to start, at most {patience_s / 60:g} min.")
        return list(_meet(_Probe(scheduler, profile, token, ProbePaths(folder.dir)), patience_s))
    except SubmitUnknown as error:
        return [
            Fact(name="probe job", value="no usable answer", verdict=Verdict.NOTE, advice=f"{error}. Cancel it: scancel --name={token}")
        ]
    except MrsweepError as error:
        way_out = "" if isinstance(error, InputError) else " The profile's #SBATCH lines name partition, account, qos and constraint."
        return [Fact(name="probe job", value="was not accepted", verdict=Verdict.BAD, advice=f"{error}{way_out}")]
    finally:
        _end(scheduler, token)
        _remove(grid.dir)


def _request(token: str, folder: Path, profile: Profile) -> ArrayRequest:
    """The limit leaves room before the warning, which Slurm may send a minute early."""
    resources = Resources(mem_gb=MEM_GB, time_min=math.ceil(profile.warning_s / 60) + 2)
    return ArrayRequest(token=token, tasks=1, throttle=1, resources=resources, folder=folder, command=worker_command(MODULE, folder))


class _Probe(msgspec.Struct, frozen=True):
    """One probe under way."""

    scheduler: Scheduler
    profile: Profile
    token: str
    paths: ProbePaths

    def row(self) -> TaskRow | None:
        return _row(self.scheduler, self.token)

    @property
    def visible_s(self) -> float:
        return self.profile.visible_s


def _row(scheduler: Scheduler, token: str) -> TaskRow | None:
    try:
        now = time.time()
        return scheduler.snapshot([token], since=now - 86400, now=now).task(token, 0)
    except MrsweepError:
        return None


def _meet(one: _Probe, patience_s: float) -> Iterator[Fact]:
    began = time.monotonic()
    report = _first_word(one, began + patience_s)
    if report is None:
        yield _never_came(one, patience_s)
        return
    seen = _exchange(one.paths, time.monotonic() - began, one.visible_s)
    yield from judge(report, seen, one.profile)


def _first_word(one: _Probe, deadline: float) -> Report | None:
    """Wait for the node's report; a job that has ended has had its time when the filesystem had its."""
    every_s = max(1.0, min(one.profile.poll_s, 15.0))
    next_look, ended_at = time.monotonic() + every_s, math.inf
    while time.monotonic() < deadline:
        report = read_json(one.paths.report, Report)
        if report is not None:
            return report
        if time.monotonic() > min(next_look, ended_at + one.visible_s):
            row = one.row()
            if row is not None and row.state is TaskState.ENDED:
                if time.monotonic() > ended_at + one.visible_s:
                    return None
                ended_at = min(ended_at, time.monotonic())
            next_look = time.monotonic() + every_s
        time.sleep(POLL_S)
    return None


def _never_came(one: _Probe, patience_s: float) -> Fact:
    row = one.row()
    if row is None or row.state is not TaskState.ENDED:
        state = "is not in the queue" if row is None else f"{row.word.lower()} ({row.reason or 'no reason yet'})"
        advice = f"It had not reported after {patience_s / 60:g} min, and was cancelled. Try again with a longer --wait."
        return Fact(name="probe job", value=state, verdict=Verdict.NOTE, advice=advice)
    advice = f"No run would start either. Its output ends: {_last_line(one.paths)}"
    return Fact(name="probe job", value=f"ended as {row.word} on {row.node or '?'}", verdict=Verdict.BAD, advice=advice)


def _last_line(paths: ProbePaths) -> str:
    for log in sorted(paths.dir.glob("logs/*")):
        lines = log_tail(log, _LOG_BYTES).split("\n")
        if said := [line.strip() for line in lines if line.strip()]:
            return said[-1][:300]
    return "there is none, so that the node may not see this folder. Choose a shared one with --runs DIR."


def _exchange(paths: ProbePaths, waited_s: float, visible_s: float) -> Seen:
    """Ask, wait for the answer, try the node's lock, and race for the prizes."""
    seen = Seen(waited_s=waited_s, lock_held=_is_locked(paths.lock))
    asked_at, asked = time.time(), time.monotonic()
    write_atomic(paths.question, msgspec.json.encode(Moment(at=asked_at)))
    if not wait_for(lambda: read_json(paths.answer, Moment), 2 * visible_s + _SPARE_S):
        return seen
    there_and_back_s = time.monotonic() - asked
    answer = read_json(paths.answer, Moment)
    ahead_s = answer.at - asked_at - there_and_back_s / 2 if answer else 0.0
    won = compete(paths, range(PRIZES - 1, -1, -1))
    wait_for(lambda: _done(paths), visible_s + _SPARE_S)
    return msgspec.structs.replace(seen, there_and_back_s=there_and_back_s, clock_ahead_s=ahead_s, won=won, done=_done(paths))


def _done(paths: ProbePaths) -> Report | None:
    report = read_json(paths.report, Report)
    return report if report is not None and report.done else None


def _is_locked(path: Path) -> bool:
    """Say whether somebody's lock keeps us out; a filesystem without locks keeps nobody out."""
    with open(path, "ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False


def _end(scheduler: Scheduler, token: str) -> None:
    """Cancel the job where it has not ended, and give it a moment to let go of its log."""
    for look in range(10):
        row = _row(scheduler, token)
        if row is not None and row.state is TaskState.ENDED:
            return
        if row is None and look:  # asked twice: the job is not there
            return
        if row is None:
            time.sleep(1)
            continue
        try:
            scheduler.cancel([row])
        except MrsweepError:
            return
        time.sleep(1)


def _remove(folder: Path) -> None:
    """Remove what the probe wrote. A file that a node still holds open leaves a .nfs file for a while: the folder stays then."""
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(1)
