"""A user's project, and the real command line run in it, each verb a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import psutil
import pytest

HERE = Path(__file__).parent
MRSWEEP = Path(sys.executable).with_name("mrsweep")
RECORDED = HERE.parent / "recorded" / "slurm"
QUICK = "#MRSWEEP scheduler=local workers=2 poll_s=0.2 settle_s=0.3 absent_s=1 confirm_s=0.1 heartbeat_s=0.2 visible_s=2 kill_wait_s=5\n"
"""A profile for this machine whose waiting times suit tests."""
COMMON = "resources: {gpus: 0, mem_gb: 1, time_min: 5, max_parallel: 2}\nmetrics: {objective: loss, mode: min}\n"


@dataclass(frozen=True)
class Done:
    """What a command left: exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document that --json prints."""
        return json.loads(self.out)


class Project:
    """A folder with grids, entries and a quick profile, and the verbs run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(("MRSWEEP", "COLUMNS"))}
        self.write("trial.py", (HERE / "trial.py").read_text())
        self.write("slurm_templates/quick.sh", QUICK)

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def grid(self, entry: str, rest: str, *, name: str = "g") -> str:
        """Write grids/<name>.yaml and return its path as it is typed."""
        head = f"# Question: what happens?\nname: {name}\nentry: trial:{entry}\npreload: []\n{COMMON}"
        self.write(f"grids/{name}.yaml", f"{head}{rest}\n")
        return f"grids/{name}.yaml"

    def run(self, *arguments: str, **environment: str) -> Done:
        """Run mrsweep and return what it left."""
        done = subprocess.run(
            [MRSWEEP, *arguments], cwd=self.folder, env=self.environment | environment, capture_output=True, text=True, timeout=120
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, **environment: str) -> Done:
        """Run mrsweep; it must end well."""
        done = self.run(*arguments, **environment)
        assert done.code == 0, (arguments, done)
        return done

    def launch(self, grid: str, *options: str) -> dict[str, Any]:
        """Launch on the quick profile and return the document."""
        return self.ok("launch", grid, "--profile", "quick", "--yes", "--json", *options).document

    def watch(self, grid: str = "g") -> Done:
        """Watch until every run has ended."""
        return self.ok("watch", grid)

    def compute(self, entry: str, rest: str, *options: str, name: str = "g") -> None:
        """Write a grid, launch it, and wait for its end."""
        self.launch(self.grid(entry, rest, name=name), *options)
        self.watch(name)

    def lines(self, grid: str = "g") -> dict[str, dict[str, Any]]:
        """Return label → line of the status."""
        return {line["label"]: line for line in self.ok("status", grid, "--json").document["lines"]}

    def counts(self, grid: str = "g") -> dict[str, int]:
        """Return state → number of runs."""
        return self.ok("status", grid, "--json").document["counts"]

    def attempt(self, run: str, number: int = 1, *, grid: str = "g") -> Path:
        """Return the folder of an attempt."""
        return self.folder / "runs" / grid / run[:2] / run / f"attempt-{number}"

    def tree(self) -> dict[str, bytes]:
        """Return path → content of every file of the project."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}

    def stand_in(self, command: str, text: str = "", *, error: str = "", code: int = 0) -> None:
        """Put a command on the PATH that answers with recorded text."""
        answer = self.write(f"bin/{command}.out", text)
        complaint = self.write(f"bin/{command}.err", error)
        script = self.write(f"bin/{command}", f"#!/bin/sh\ncat {quote(str(answer))}\ncat {quote(str(complaint))} >&2\nexit {code}\n")
        script.chmod(0o755)
        self.environment["PATH"] = f"{self.folder / 'bin'}:{os.environ['PATH']}"

    def stand_in_cluster(self) -> None:
        """Answer everything but sbatch as the recorded cluster did."""
        self.stand_in("scontrol", (RECORDED / "scontrol_config.txt").read_text() + (RECORDED / "scontrol_partition.txt").read_text())
        self.stand_in("sinfo", (RECORDED / "sinfo.txt").read_text())
        for silent in ("squeue", "sacct", "sacctmgr", "scancel"):
            self.stand_in(silent)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that work for this project, wherever they come from."""
        return [process for process in psutil.process_iter() if str(self.folder) in _command_line(process)]


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project in a folder whose name holds what shells stumble over; its workers end with the test."""
    project = Project(tmp_path / "my 'own' project")
    yield project
    for process in project.workers():
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGKILL)


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """A PATH with git and sh, and no Slurm."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for program in ("git", "sh", "tail", "sleep"):
        (folder / program).symlink_to(shutil.which(program) or "/bin/false")
    return str(folder)


def poll(look: Callable[[], Any], within_s: float = 30.0) -> Any:
    """Return the first true value of `look`; fail the test when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.05)
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what drives the command line in processes of its own: too slow for every commit."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("journey")
