"""mrsweep tensorboard, on runs that were really computed."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from orchestrator.cli.tensorboard import command
from orchestrator.store.errors import MrsweepError
from tests.cli.conftest import MRSWEEP, Project, poll

GRID = "config: {x: 1}\ngrid: {x: [1, 2]}"


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two completed runs."""
    project = Project(tmp_path_factory.mktemp("my 'own' boards"))
    project.compute("quick", GRID)
    return project


class Shown:
    """A `mrsweep tensorboard` that runs until it is interrupted."""

    def __init__(self, project: Project, *options: str) -> None:
        command = [MRSWEEP, "tensorboard", "g", *options]
        self.process = subprocess.Popen(
            command,
            cwd=project.folder,
            env=project.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where the tests run in the background of a shell
        )
        self.lines: list[str] = []

    def told(self, word: str) -> str:
        """Return the next line that holds a word."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if word in line:
                return line
        raise AssertionError((self.lines, self.process.communicate()))

    def ask(self, path: str) -> Any:
        """Return what the server answers."""
        url = next(word for line in self.lines for word in line.split() if word.startswith("http://"))
        with urllib.request.urlopen(url + path, timeout=30) as answer:
            return json.loads(answer.read())

    def interrupt(self, told: signal.Signals = signal.SIGINT) -> int:
        """Press Ctrl-C, or send another signal to mrsweep alone; return the exit code."""
        self.process.send_signal(told)
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture
def show(computed: Project) -> Iterator[Any]:
    """Start it, and end it with the test."""
    started: list[Shown] = []

    def start(*options: str) -> Shown:
        started.append(Shown(computed, *options))
        return started[-1]

    yield start
    for shown in started:
        if shown.process.poll() is None:
            shown.interrupt()


def test_folder_is_built_without_a_server(computed: Project) -> None:
    document = computed.ok("tensorboard", "g", "--no-start", "--json").document
    assert sorted(name.rpartition("-")[0] for name in document["runs"].values()) == ["x=1", "x=2"]
    assert document["url"] is None
    for run, name in document["runs"].items():
        assert (computed.folder / "runs" / "g" / "tensorboard" / name / "mrsweep-curves.tfevents.0").exists()
        assert name.endswith(run[:8])
    again = computed.ok("tensorboard", "g", "--no-start", "--json").document
    assert (again["made"], again["removed"]) == (0, 0)
    assert "tensorboard --logdir" in computed.ok("tensorboard", "g", "--no-start").out


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_server_shows_the_chosen_runs_until_it_is_ended(computed: Project, show, ending: signal.Signals) -> None:
    shown = show("--where", "x=2")
    assert "http://localhost:" in shown.told("shown at")
    port = shown.lines[-1].partition("localhost:")[2].partition("/")[0]
    assert f"ssh -L {port}:localhost:{port}" in shown.told("ssh")
    tags = poll(lambda: (found := shown.ask("data/plugin/scalars/tags")) and found)
    assert [(run.rpartition("-")[0], sorted(found)) for run, found in tags.items()] == [("x=2", ["final/loss", "final/twice", "loss"])]
    children = psutil.Process(shown.process.pid).children(recursive=True)
    assert children
    assert shown.interrupt(ending) == 0
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_folder_follows_pruning_and_the_way_back(computed: Project) -> None:
    project = computed
    run = project.lines()["x=1"]["id"]
    project.ok("prune", "g", "--where", "x=1", "--yes")
    try:
        assert run not in project.ok("tensorboard", "g", "--no-start", "--json").document["runs"]
    finally:
        project.ok("restore", "g", "--yes")
    assert run in project.ok("tensorboard", "g", "--no-start", "--json").document["runs"]


class Standing:
    """Stands for TensorBoard: something happens while it runs, then it ends."""

    def __init__(self, happens) -> None:
        self.happens = happens
        self.polls = 0

    def poll(self) -> int | None:
        self.polls += 1
        return None if self.polls < 3 else 1

    def wait(self, timeout: float) -> int:
        self.happens(self.polls)
        raise subprocess.TimeoutExpired("tensorboard", timeout)


def test_folder_is_kept_up_to_date_while_it_is_shown(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.compute("quick", GRID)
    run = project.lines()["x=1"]["id"]

    def happens(turn: int) -> None:
        if turn == 1:
            project.ok("prune", "g", "--where", "x=1", "--yes")
        else:
            project.ok("restore", "g", "--yes")

    seen: list[bool] = []

    @contextmanager
    def serving(folder: Path, _port: int, _title: str) -> Iterator[Standing]:
        yield Standing(lambda turn: (seen.append(any(folder.glob("x=1-*"))), happens(turn)))

    monkeypatch.chdir(project.folder)
    monkeypatch.setattr("orchestrator.cli.tensorboard.serving", serving)
    done = CliRunner().invoke(command, ["g"])
    assert isinstance(done.exception, MrsweepError) and "ended by itself" in str(done.exception)
    assert seen == [True, False]
    assert (project.folder / "runs" / "g" / "tensorboard" / f"x=1-{run[:8]}").exists()


WRONG = [
    (("--no-start", "--where", "x=1"), ["--no-start", "mrsweep tensorboard --help"]),
    (("--port", "80"), ["--port", "80"]),
    (("--state", "failed"), ["the options select none of 2 runs"]),
]


@pytest.mark.parametrize(("arguments", "named"), WRONG, ids=str)
def test_wrong_usage_is_one_line(computed: Project, arguments: tuple[str, ...], named: list[str]) -> None:
    done = computed.run("tensorboard", "g", *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
    assert [part for part in named if part not in done.err] == [], done.err
