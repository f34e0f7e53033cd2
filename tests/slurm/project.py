"""A user's project in a folder of its own, driven through the real command line."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from orchestrator.store.events import LedgerEvent
from orchestrator.store.layout import GridPaths, parse_attempt_name
from orchestrator.store.ledger import read_events, read_records
from orchestrator.store.records import Records
from orchestrator.store.states import State
from orchestrator.watchdog.look import JANITORS, janitor_name
from orchestrator.worker.outcome import sha256
from tests.slurm.cluster import Cluster

HERE = Path(__file__).parent
MRSWEEP = Path(sys.executable).with_name("mrsweep")
KILLED = HERE / "killed.py"

Counts = dict[str, int]


class Project:
    """One grid, its entry, and the verbs that work on it. The grid's name is drawn, so that tests share the cluster.

    `per_task`: runs that one task computes; of more than one, two side by side.
    """

    def __init__(self, folder: Path, cluster: Cluster, *, profile: str = "slurm-test", per_task: int = 1) -> None:
        self.folder = folder
        self.cluster = cluster
        self.profile = profile
        self.per_task = per_task
        self.pack = {"per_task": per_task, "per_gpu": 2} if per_task > 1 else {}
        self.environment = dict(os.environ)
        self.name = f"e2e_{uuid.uuid4().hex[:8]}"
        self.told: list[str] = []
        """All that `watch` said so far."""
        self.write("study.py", (HERE / "study.py").read_text())

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def grid(self, text: str) -> None:
        """Write the grid file; the name is added, and how many runs share a task."""
        pack = f"pack: {json.dumps(self.pack)}\n" if self.pack else ""
        self.write("grid.yaml", f"name: {self.name}\npreload: []\n{pack}{text}")

    def open_gate(self) -> None:
        """Let the runs end that wait for it (`gate: go` in their config)."""
        self.write("go", "")

    # --- verbs

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run mrsweep, check its exit code, and return what it printed on both streams."""
        done = subprocess.run([MRSWEEP, *arguments], **self._how(stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        assert done.returncode == code, (arguments, done.returncode, done.stdout)
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout

    def document(self, *arguments: str) -> dict[str, Any]:
        """Run a verb with --json and return the document."""
        done = subprocess.run([MRSWEEP, *arguments, "--json"], **self._how(stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        assert done.returncode == 0, (arguments, done.returncode, done.stderr)
        return json.loads(done.stdout)

    def launch(self, *arguments: str) -> dict[str, Any]:
        """Launch the grid and return the document."""
        return self.document("launch", "grid.yaml", "--profile", self.profile, "--yes", *arguments)

    def killed(self, moment: str, *arguments: str) -> bool:
        """Run a verb that dies by SIGKILL at `moment` (see killed.py); say whether it came that far."""
        done = subprocess.run([sys.executable, KILLED, moment, *arguments], **self._how(stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        assert done.returncode in (0, -9), (arguments, done.returncode, done.stdout)
        return done.returncode == -9

    def run_counting(self, *arguments: str) -> str:
        """Run a verb, and return how many operations changed the disk."""
        done = subprocess.run([sys.executable, KILLED, "count", *arguments], **self._how(stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        assert done.returncode == 0, (arguments, done.returncode, done.stderr)
        return done.stderr.splitlines()[-1]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a verb in the background."""
        return subprocess.Popen([MRSWEEP, *arguments], **self._how(stdout=subprocess.PIPE, stderr=subprocess.STDOUT))

    def _how(self, **streams: int) -> dict[str, Any]:
        return {"cwd": self.folder, "env": self.environment, "text": True, **streams}

    def watch(self, truth: Callable[[Counts], bool], *, within_s: float = 180.0) -> Counts:
        """Watch round by round until `truth` holds of the number of runs by state."""
        deadline = time.monotonic() + within_s
        while not truth(counts := self.look_after()):
            assert time.monotonic() < deadline, (counts, self.document("status", self.name)["lines"][:5])
            time.sleep(0.5)
        return counts

    def look_after(self, *, rounds: int = 1) -> Counts:
        """Watch for some rounds, keep what is told, and return the number of runs by state."""
        for _ in range(rounds):
            document = self.document("watch", self.name, "--once")
            self.told += document["told"]
        return document["counts"]

    def watch_to_the_end(self, runs: int, *, within_s: float = 180.0) -> None:
        """Watch until all runs completed."""
        self.watch(lambda counts: counts == {"completed": runs}, within_s=within_s)

    def status(self) -> dict[str, Any]:
        return self.document("status", self.name)

    def reasons(self) -> list[str]:
        """Return why runs wait: the scheduler's word, and the sentence that status makes of it."""
        return [f"{wait['reason']}: {wait['sentence']}" for wait in self.status()["waits"]]

    def lines(self) -> dict[str, dict[str, Any]]:
        """Return run id → line of the status."""
        return {line["id"]: line for line in self.status()["lines"]}

    def computing(self, least: int = 3) -> list[str]:
        """Return the runs that compute now and have reported so many steps."""
        return [run for run, line in self.lines().items() if line["state"] == "running" and (line["step"] or 0) >= least]

    def await_computing(self, runs: int) -> list[str]:
        """Look until so many runs compute; return them."""
        self.await_status(lambda _: len(self.computing()) == runs)
        return self.computing()

    def await_status(self, truth: Callable[[Counts], bool], *, within_s: float = 180.0) -> Counts:
        """Look, without recording anything, until `truth` holds of the number of runs by state."""
        deadline = time.monotonic() + within_s
        while not truth(counts := self.status()["counts"]):
            assert time.monotonic() < deadline, counts
            time.sleep(0.3)
        return counts

    def await_rest(self, *, within_s: float, show: Callable[[dict[str, int]], object] = lambda counts: None) -> None:
        """Look, and touch nothing, until no run is open any more and the janitor has left."""
        deadline = time.monotonic() + within_s
        final = {state.value for state in (State.COMPLETED, State.FAILED, State.CANCELLED)}
        while True:
            counts = self.status()["counts"]
            show(counts)
            if set(counts) <= final and not self.janitors():
                return
            assert time.monotonic() < deadline, (counts, self.queue())
            time.sleep(2.0)

    def janitors(self) -> list[str]:
        """Return the states of the jobs in the queue that watch this grid."""
        names = ",".join(janitor_name(self.paths, number) for number in JANITORS)
        return self.cluster.command("squeue", "-h", "-r", "-o", "%T", "-n", names).split()

    # --- what is on disk, and in the queue

    @property
    def paths(self) -> GridPaths:
        return GridPaths(self.folder / "runs" / self.name)

    def attempts(self) -> dict[str, list[str]]:
        """Return run id → names of its attempt folders, for all runs that have a folder."""
        folders = [path for path in self.paths.dir.glob("??/*") if re.fullmatch("[0-9a-f]{16}", path.name)]
        return {folder.name: sorted(path.name for path in folder.glob("attempt-*")) for folder in folders}

    def assert_each_run_was_computed_once(self, runs: int) -> None:
        """Every run has a folder, and one claimed attempt in it, with a result."""
        found = self.attempts()
        assert len(found) == runs
        assert {run: names for run, names in found.items() if len(names) != 1} == {}
        assert len(list(self.paths.dir.glob("??/*/attempt-*/result.json"))) == runs

    def records(self) -> Records:
        """Return what the ledger knows."""
        return read_records(self.paths)

    def ends(self) -> dict[str, list[str]]:
        """Return label → how each attempt ended: its cause, or its state where there is none."""
        labels = {line["id"]: line["label"] for line in self.status()["lines"]}
        records = self.records()
        return {label: [(attempt.cause or attempt.state).value for attempt in records.get(run).attempts] for run, label in labels.items()}

    def assert_each_run_has_one_result(self, runs: int) -> None:
        """Every run is completed, by the result.json of the attempt that speaks for it, and stands in one row of the summary."""
        records = self.records().runs.values()
        assert [record.state for record in records] == [State.COMPLETED] * runs
        for record in records:
            proven = record.decisive
            assert sha256(Path(self.paths.result(record.id, proven.number, proven.restart)).read_bytes()) == record.sha256
        assert len(self.document("summary", self.name)["rows"]) == runs

    def read(self, run: str, name: str, attempt: str = "attempt-1") -> Any:
        """Return the content of a JSON file of an attempt."""
        return json.loads((self.paths.dir / run[:2] / run / attempt / name).read_text())

    def newest(self, run: str) -> str:
        """Return the name of a run's newest attempt; empty before any."""
        return max((path.name for path in self.paths.run(run).dir.glob("attempt-*")), key=parse_attempt_name, default="")

    def start_of(self, run: str) -> dict[str, object] | None:
        """Return start.json of the newest attempt of a run; None before any."""
        name = self.newest(run)
        return self.read(run, "start.json", name) if name else None

    def has_ended(self, run: str) -> bool:
        return (self.paths.run(run).dir / self.newest(run) / "end.json").exists()

    def doubled(self) -> list[str]:
        """Return the runs with more than one attempt that left a result."""
        proofs = [path.parent.parent.name for path in self.paths.dir.glob("??/*/attempt-*/result.json")]
        return sorted({run for run in proofs if proofs.count(run) > 1})

    def events(self, kind: type[LedgerEvent]) -> list[Any]:
        """Return the ledger's events of one kind."""
        return [event for event in read_events(self.paths) if isinstance(event, kind)]

    def queue(self) -> list[tuple[str, str, str]]:
        """Return (array job id, index, state) of this grid's tasks in squeue, waiting ones one by one."""
        rows = self.cluster.command("squeue", "-h", "-r", "-o", "%j|%F|%K|%T").splitlines()
        found = [row.split("|") for row in rows]
        return [(job, index, state) for name, job, index, state in found if name.startswith(f"{self.name.replace('@', '.')}-")]

    def clear(self) -> None:
        """Cancel what is left in the queue, and end what a lost node left running."""
        ids = {job for job, _, _ in self.queue()}
        if ids:
            self.cluster.command("scancel", *ids)
        for process in psutil.process_iter(["cmdline"]):
            if str(self.folder) in " ".join(process.info["cmdline"] or ()):
                with contextlib.suppress(psutil.Error):
                    process.kill()


@contextlib.contextmanager
def watching(project: Project) -> Iterator[None]:
    """Let `mrsweep watch` run beside."""
    watcher = project.start("watch", project.name)
    try:
        yield
    finally:
        watcher.kill()
        watcher.communicate()
