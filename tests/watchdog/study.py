"""A grid whose runs differ in their seed, launched and watched beside a stand-in for the scheduler; its files are real."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from orchestrator.cluster.profile import Profile
from orchestrator.cluster.scheduler import TaskState
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.spec import read_spec
from orchestrator.launch.apply import Draft, make_draft
from orchestrator.launch.opened import OpenGrid
from orchestrator.store import files
from orchestrator.store.events import Ended, Started
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import Pen, read_records, take_pen
from orchestrator.store.records import Record, Records
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.look import Site
from orchestrator.watchdog.proposal import Launched, carry_out, propose
from orchestrator.watchdog.watch import Round, watch_once
from orchestrator.worker.outcome import Result, sha256
from tests.watchdog.stand_in import Job, StandIn

PROFILE = Profile(name="stand-in", path="", settle_s=10, absent_s=30, confirm_s=5)


class Clock:
    """A clock that stands still until somebody waits."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.waits.append(seconds)


class Study:
    """The grid `g` in a project of its own; `folder` is empty."""

    def __init__(self, folder: Path, clock: Clock, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.clock, self._patch = folder, clock, patch
        self.paths = GridPaths(folder / "runs" / "g")
        self.scheduler = StandIn()
        self.site = Site(profile=PROFILE, scheduler=self.scheduler)
        self.more: list[str] = []
        """Further lines of the grid file."""
        (folder / "study.py").write_text("def train(config, run): ...\n")

    def draft(self, *seeds: int) -> Draft:
        file = self.folder / "g.yaml"
        file.write_text("\n".join(["name: g", "entry: study:train", "code: none", f"grid: {{seed: {list(seeds)}}}", *self.more, ""]))
        return make_draft(read_spec(file), self.folder / "runs", project=self.folder)

    def launch(self, *seeds: int) -> Launched:
        return carry_out(propose(self.draft(*seeds), self.site), self.folder, sleep=self.clock.wait)

    def watch(self) -> Round:
        return watch_once(self.grid, self.site, sleep=self.clock.wait)

    def pen(self) -> Pen:
        return take_pen(self.paths)

    @property
    def grid(self) -> OpenGrid:
        return OpenGrid(self.paths)

    @property
    def records(self) -> Records:
        """What the ledger on disk says."""
        return read_records(self.paths)

    def manifest(self, seed: int) -> Manifest:
        return next(manifest for manifest in self.grid.manifests.values() if manifest.config["seed"] == seed)

    def record(self, seed: int) -> Record:
        return self.records.get(self.manifest(seed).id)

    def states(self, *seeds: int) -> list[State]:
        return [self.record(seed).state for seed in seeds]

    def seeds_of(self, job: Job) -> list[int]:
        """Return which runs a job holds."""
        seeds = {manifest.id: manifest.config["seed"] for manifest in self.grid.manifests.values()}
        return [seeds[run_id] for run_id, _ in self.records.submissions[job.request.token].runs]

    def submitted(self) -> list[list[int]]:
        """Return the seeds of each job that the scheduler took."""
        return [self.seeds_of(job) for job in self.scheduler.jobs]

    def job_of(self, seed: int) -> Job:
        """Return the job that holds a run, or held it last."""
        token = self.record(seed).token
        return next(job for job in self.scheduler.jobs if job.request.token == token)

    def start(self, *seeds: int) -> None:
        """Let workers begin runs: their tasks run, their journals say so, and nobody has looked yet."""
        for seed in seeds:
            record, job = self.record(seed), self.job_of(seed)
            index = record.index % len(job.rows)
            self.scheduler.move(job, index, state=TaskState.RUNNING)
            begun = Started(at=self.clock(), run=record.id, attempt=record.attempt, token=record.token, index=index, host="node1")
            self._journal(record, index, begun)

    def end(self, *seeds: int, state: State = State.COMPLETED, cause: Cause | None = None) -> None:
        """Let workers begin and end runs; the tasks live on."""
        self.start(*seeds)
        for seed in seeds:
            record = self.record(seed)
            ended = Ended(at=self.clock(), run=record.id, attempt=record.attempt, state=state, cause=cause)
            if state is State.COMPLETED:
                ended = msgspec.structs.replace(ended, sha256=self.prove(seed, attempt=record.attempt))
            self._journal(record, record.index % len(self.job_of(seed).rows), ended)

    def finish(self, *seeds: int) -> None:
        """Let workers complete runs, and their tasks end."""
        self.end(*seeds)
        for seed in seeds:
            self.scheduler.move(self.job_of(seed), self.record(seed).index, state=TaskState.ENDED, word="COMPLETED")

    def lose(self, *seeds: int) -> None:
        """Let the nodes of computing runs fail."""
        self.start(*seeds)
        for seed in seeds:
            self.scheduler.move(self.job_of(seed), self.record(seed).index, state=TaskState.ENDED, word="NODE_FAIL")

    def prove(self, seed: int, *, attempt: int) -> str:
        """Leave the result of an attempt; return its hash."""
        run = self.record(seed).id
        folder = self.paths.run(run).attempt(attempt)
        folder.dir.mkdir(parents=True)
        folder.result.write_bytes(msgspec.json.encode(Result(run=run, attempt=attempt)))
        return sha256(folder.result.read_bytes())

    def _journal(self, record: Record, index: int, line: Started | Ended) -> None:
        with self.paths.submission(record.token).journal(index).open("ab") as stream:
            stream.write(msgspec.json.encode(line) + b"\n")

    def at_next(self, operation: str, folder: Path, then: Callable[[Path], object]) -> None:
        """Call `then` once, just before the next `operation` on a file of `folder` that is no file written aside."""
        waiting = [then]

        def check_point(done: str, path: Path | str) -> None:
            place = Path(path)
            if waiting and done == operation and place.parent == folder and not place.name.startswith("."):
                waiting.pop()(place)

        self._patch.setattr(files, "check_point", check_point)

    def take_over(self) -> Pen:
        """Take the pen from whoever holds it, as another host does when its holder is silent."""
        return take_pen(self.paths, lease_s=0.0)

    def content(self) -> dict[str, tuple[int, int]]:
        """Return path → (size, time of change) of all files of the grid: what a round that writes nothing leaves alone."""
        found = ((str(path), path.stat()) for path in self.paths.dir.rglob("*"))
        return {path: (status.st_size, status.st_mtime_ns) for path, status in found}


def open_submissions(records: Records) -> list[str]:
    """Return the tokens of submissions whose answer never came."""
    return [submission.token for submission in records.submissions.values() if submission.is_open]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stands for the time of day, also for who holds the pen; the monotonic clock goes on."""
    stopped = Clock()
    monkeypatch.setattr(time, "time", stopped)
    monkeypatch.setitem(take_pen.__kwdefaults__, "clock", stopped)
    return stopped


@pytest.fixture
def study(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Study:
    folder = tmp_path / "my project's"
    folder.mkdir()
    return Study(folder, clock, monkeypatch)
