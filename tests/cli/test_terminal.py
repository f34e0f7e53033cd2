"""What a person sees: tables in a terminal of 80 columns, questions, a pipe that is closed early. The live view: tests/live."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable

import pytest

from tests.cli.conftest import MRSWEEP, Project, poll

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
COLUMNS = 80
EIGHT = "config: {x: 1, optim: {lr: 0.1}}\ngrid: {optim.lr: [0.1, 0.01], x: [1, 2, 3, 4]}"


class Terminal:
    """A command in a pseudo terminal of 24 lines and 80 columns."""

    def __init__(self, project: Project, *arguments: str) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        environment = {**project.environment, "TERM": "xterm-256color"}
        environment.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            [MRSWEEP, *arguments],
            cwd=project.folder,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C and the end of the terminal reach it
        )
        os.close(theirs)
        self._ours = ours
        self._seen = b""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def text(self) -> str:
        """Return all that was shown so far, without what moves the cursor or sets colours."""
        while select.select([self._ours], [], [], 0.05)[0]:
            try:
                piece = os.read(self._ours, 65536)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            self._seen += piece
        return ESCAPES.sub("", self._seen.decode(errors="replace")).replace("\r", "\n")

    def until(self, truth: Callable[[str], bool], within_s: float = 30.0) -> str:
        """Return the text once it is as wanted."""
        deadline = time.monotonic() + within_s
        while not truth(text := self.text()):
            assert time.monotonic() < deadline, text[-3000:]
        return text

    def close(self) -> None:
        """End the terminal, as a lost ssh connection does."""
        os.close(self._ours)

    def end(self) -> int:
        """Wait for the end of the command; return its exit code."""
        self.until(lambda _: self.process.poll() is not None)
        self.text()
        return self.process.returncode


@pytest.mark.parametrize(("answer", "runs"), [("n\n", 0), ("y\n", 2)])
def test_launch_asks_and_does_what_it_is_told(project: Project, answer: str, runs: int) -> None:
    grid = project.grid("quick", "config: {x: 1}\ngrid: {x: [1, 2]}")
    terminal = Terminal(project, "launch", grid, "--profile", "quick")
    terminal.until(lambda text: "Submit 2 runs?" in text)
    terminal.type(answer)
    assert terminal.end() == (0 if runs else 130)
    assert len(list((project.folder / "runs").glob("g/??/*/manifest.json"))) == runs


def test_tables_in_a_terminal_fit_80_columns(project: Project) -> None:
    project.compute("quick", EIGHT)
    for arguments in (("status", "g"), ("status",), ("summary", "g"), ("expand", "grids/g.yaml"), ("doctor", "--profile", "quick")):
        terminal = Terminal(project, *arguments)
        assert terminal.end() == 0
        table = [line for line in terminal.text().splitlines() if line.startswith(" ")]
        assert table, arguments
        assert max(map(len, table)) <= COLUMNS, arguments


def test_workers_survive_the_end_of_the_terminal(project: Project) -> None:
    grid = project.grid("patient", "config: {x: 1}\ngrid: {x: [1, 2]}")
    terminal = Terminal(project, "launch", grid, "--profile", "quick", "--yes")
    assert terminal.end() == 0
    terminal.close()
    with pytest.raises(ProcessLookupError):
        os.killpg(terminal.process.pid, 0)  # nobody of that session is left
    poll(lambda: project.counts() == {"running": 2})
    (project.folder / "go").touch()
    poll(lambda: project.counts() == {"completed": 2})


def test_launch_through_a_pipe_returns_at_once(project: Project) -> None:
    grid = project.grid("patient", "config: {x: 1}")
    shown = subprocess.run(
        f"'{MRSWEEP}' launch {grid} --profile quick --yes | cat", shell=True, cwd=project.folder, capture_output=True, text=True, timeout=20
    )
    assert "submitted g-" in shown.stdout


@pytest.mark.parametrize("option", ["", " --json"])
def test_a_reader_that_stops_early_is_no_error(project: Project, option: str) -> None:
    project.ok("expand", project.grid("quick", "config: {x: 1}\ngrid: {x: {range: [0, 2000]}}"))
    done = subprocess.run(
        f"'{MRSWEEP}' status g --all{option} | head -n 1; exit ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", cwd=project.folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
