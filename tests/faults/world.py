"""A grid on disk beside the model of Slurm: commands run as on the command line, each as a process; time stands still between."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import msgspec
import pytest

from orchestrator.cli.main import cli
from orchestrator.cluster.profile import Profile
from orchestrator.store import files, ledger
from orchestrator.store.errors import MrsweepError
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import read_records, take_pen
from orchestrator.store.process import Identity
from orchestrator.store.states import State
from orchestrator.watchdog import look, proposal, watch
from orchestrator.watchdog.look import Site
from tests.faults.acts import Act, Fault, Killed
from tests.faults.model import Cluster
from tests.faults.printed import Desk
from tests.faults.promises import Task, Wanted, broken, broken_at_rest, read_evidence

PROFILE = Profile(
    name="model", path="", settle_s=10, absent_s=30, confirm_s=5, lease_s=0, poll_s=5, heartbeat_s=5, visible_s=0, stall_min=1
)  # a silent holder of the pen is succeeded at once
BEGAN = 1_000_000.0
ROUNDS = (5,) * 12 + (30,) * 8 + (300,) * 6 + (3600,) * 12
"""Seconds between two rounds of watching, until all is at rest."""


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended."""

    act: Act
    said: str
    killed: bool
    error: str = ""


class World:
    """The grid `g` in a project of its own; `folder` is empty."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, *, more: Sequence[str] = ()) -> None:
        self.folder, self.more = folder, list(more)
        self.paths = GridPaths(folder / "runs" / "g")
        self.cluster = Cluster(now=BEGAN)
        self.acting: Act | None = None
        self.max_array = 1001
        self.cancelled: set[str] = set()
        self.failed: set[str] = set()
        self.hits: Counter[str] = Counter()
        """Run → how often the machine ended it."""
        self.seen: set[tuple[str, str]] = set()
        self._processes = 0
        self._identities: dict[Identity, Act] = {}
        self._saved: Path | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "study.py").write_text("def train(config, run): ...\n")
        self._install(patch)

    def write_grid(self, *seeds: int) -> None:
        text = ["name: g", "entry: study:train", "code: none", f"grid: {{seed: {list(seeds)}}}", *self.more, ""]
        (self.folder / "g.yaml").write_text("\n".join(text))

    def run(self, *argv: str, fault: Fault | None = None, host: str = "login1") -> Ran:
        """Run a command as a process of its own."""
        act = self._new_act(fault, host)
        outer, self.acting = self.acting, act
        said = io.StringIO()
        killed, error = False, ""
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                cli.main(args=list(argv), prog_name="mrsweep", standalone_mode=False)
        except Killed:
            killed = True
        except (MrsweepError, OSError, click.ClickException, click.exceptions.Exit) as problem:
            error = f"{type(problem).__name__}: {problem}"
        finally:
            act.finish()
            self.acting = outer
        return Ran(act=act, said=said.getvalue(), killed=killed, error=error)

    def launch(self, *seeds: int, fault: Fault | None = None) -> Ran:
        self.write_grid(*seeds)
        return self.run("launch", "g.yaml", "--yes", fault=fault)

    def watch(self, fault: Fault | None = None, host: str = "login1") -> Ran:
        return self.run("watch", "g", "--once", fault=fault, host=host)

    def run_in_child(self, *argv: str, fault: Fault) -> bool:
        """Run a command in a real child that SIGKILL ends; say whether it was killed. The parent learns of the cluster by a file."""
        self._saved = self.folder.with_name("cluster.pickle")
        self._save_cluster()
        pid = os.fork()
        if pid == 0:
            self.run(*argv, fault=fault)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        self.cluster = pickle.loads(self._saved.read_bytes())
        self._saved = None
        self._new_act(None, "login1").finish()  # the child's number, now dead
        return os.WIFSIGNALED(status)

    def pass_time(self, seconds: float) -> None:
        """Let the cluster go on while everybody waits."""
        with self.on_nodes():
            self.cluster.tick(seconds)
            self.witness()

    def settle(self) -> list[str]:
        """Watch until all is at rest; returns what is broken of the promises on the way and then."""
        found: list[str] = []
        for seconds in ROUNDS:
            self.pass_time(seconds)
            self.watch()
            found += self.check()
            if found or self.is_at_rest():
                break
        return found or self.check(at_rest=True)

    def is_at_rest(self) -> bool:
        records = read_records(self.paths)
        wanted = read_evidence(self.paths).manifests - records.orphans
        waits = any(records.get(run_id).state in (State.PLANNED, State.INTERRUPTED) for run_id in wanted)
        return not (waits or any(record.is_alive for record in records.runs.values()) or list(self.tasks()))

    def check(self, *, at_rest: bool = False) -> list[str]:
        """Return what is broken of the promises now."""
        self.witness()
        given_up = frozenset(run_id for run_id, count in self.hits.items() if count > 1)
        wanted = Wanted(seen=frozenset(self.seen), cancelled=frozenset(self.cancelled), failed=frozenset(self.failed), given_up=given_up)
        found = (broken_at_rest if at_rest else broken)(read_evidence(self.paths), self.tasks(), wanted)
        found += [f"two arrays of {token} ran at once" for token in self.cluster.twice]
        return found + ["a job of somebody else was cancelled"] * self.cluster.harmed

    def tasks(self) -> Iterator[Task]:
        """Yield what the scheduler believes alive."""
        for job, task in [*self.cluster.waiting(), *self.cluster.running()]:
            yield Task(job.token, str(job.id), task.index, task.restarts, task.worker is not None)

    def witness(self) -> None:
        """Remember which attempts lie on disk."""
        for pattern in ("??/*/attempt-*", "trash/*/attempt-*"):
            self.seen |= {(path.parent.name, path.name) for path in self.paths.dir.glob(pattern)}

    def keep(self) -> tuple[Path, bytes]:
        """Return all there is, to begin again from it."""
        aside = Path(tempfile.mkdtemp(dir=self.folder.parent)) / "kept"
        shutil.copytree(self.folder, aside)
        return aside, pickle.dumps((self.cluster, self.cancelled, self.failed, self.hits, self.seen, self.more, self.max_array))

    def bring_back(self, kept: tuple[Path, bytes]) -> None:
        """Begin again from what `keep` returned."""
        shutil.rmtree(self.folder)
        shutil.copytree(kept[0], self.folder)
        self.cluster, self.cancelled, self.failed, self.hits, self.seen, self.more, self.max_array = pickle.loads(kept[1])
        os.chdir(self.folder)

    def on_call(self, operation: str) -> str:
        return self.acting.on_call(operation) if self.acting else "yes"

    def after_call(self) -> None:
        self._save_cluster()
        if self.acting is not None:
            self.acting.after_call()

    @contextlib.contextmanager
    def on_nodes(self) -> Iterator[None]:
        """Let others than the command act."""
        outer, self.acting = self.acting, None
        try:
            yield
        finally:
            self.acting = outer

    def _new_act(self, fault: Fault | None, host: str) -> Act:
        self._processes += 1
        identity = Identity(host=host, boot_id=host, pid=self._processes, start_time=float(self._processes))
        self._identities[identity] = Act(identity, fault, self._be_overtaken)
        return self._identities[identity]

    def _be_overtaken(self) -> None:
        """Another watchdog, on another host, does a round while the one that acts is frozen past its lease."""
        self.pass_time(1.0)
        if self.paths.applied_versions():
            self.watch(host="login2")

    def _is_alive(self, identity: Identity) -> bool | None:
        asking = self.acting.identity.host if self.acting else "login1"
        if identity.host != asking:
            return None
        act = self._identities.get(identity)
        return act is not None and act.alive

    def _site(self, *_: object, **_options: object) -> Site:
        return Site(profile=PROFILE, scheduler=Desk(PROFILE, self.cluster, self, max_array=self.max_array))

    def _on_disk(self, operation: str, path: Path | str) -> None:
        if self.acting is not None and Path(path).is_relative_to(self.paths.dir):
            self.acting.on_disk(operation, Path(path).relative_to(self.folder))

    def _save_cluster(self) -> None:
        if self._saved is not None:
            self._saved.write_bytes(pickle.dumps(self.cluster))

    def _install(self, patch: pytest.MonkeyPatch) -> None:
        patch.chdir(self.folder)
        patch.setattr(time, "time", lambda: self.cluster.now)
        patch.setitem(take_pen.__kwdefaults__, "clock", lambda: self.cluster.now)
        for function in (watch.watch_once, proposal.carry_out):
            patch.setitem(function.__kwdefaults__, "sleep", self.pass_time)
        patch.setattr(look, "open_site", self._site)
        patch.setattr(
            ledger, "current_process", lambda: self.acting.identity if self.acting else Identity(host="", boot_id="", pid=0, start_time=0)
        )
        patch.setattr(ledger, "is_alive", self._is_alive)
        patch.setattr(ledger, "BYTES_PER_SNAPSHOT", 2_000)  # even these short histories are folded
        patch.setattr(files, "check_point", self._on_disk)
        patch.setattr(os, "fsync", lambda descriptor: None)  # no machine loses its power here
        for name in ("mkdir", "unlink", "rmdir"):
            patch.setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, operation: str, function: Callable[..., None]) -> Callable[..., None]:
        """Wrap what changes the disk without passing the seam."""

        def wrapper(path: str | os.PathLike[str], *arguments: object, **options: object) -> None:
            self._on_disk(operation, os.fspath(path))
            function(path, *arguments, **options)

        return wrapper
