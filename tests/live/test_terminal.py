"""The real command in a real terminal of 80 columns and 24 lines: what stands there, how it is left, what happens without a terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.cli.conftest import MRSWEEP, Project, poll
from tests.live.terminal import Screen

pytestmark = pytest.mark.journey

Open = Callable[..., Screen]
EIGHT = "config: {x: 1, optim: {lr: 0.1}}\ngrid: {optim.lr: [0.1, 0.01], x: [1, 2, 3, 4]}"
SAVED, RESTORED, SHOW_CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"


def listed(text: str, word: str) -> int:
    """Return how many rows are in a state."""
    return sum(word in line and "x=" in line for line in text.splitlines())


def test_the_live_view_fits_80_columns_and_leaves_the_terminal_as_it_was(project: Project, open_screen: Open) -> None:
    project.launch(project.grid("patient", EIGHT))
    poll(lambda: project.counts().get("running") == 2)
    screen = open_screen("status", "g", "--watch")
    text = screen.until(lambda text: listed(text, "running") == 2 and listed(text, "queued") == 6)
    lines = text.splitlines()
    assert "g: 8 runs: 6 queued, 2 running" in lines[0]
    assert lines[-2].startswith("q quit  / filter") and "g grids" in lines[-1]
    assert any(line.split()[:2] == ["id", "state"] or line.split()[:1] == ["state"] for line in lines)
    (project.folder / "go").touch()
    text = screen.until(lambda text: "8 runs: 8 completed" in text and "every run has ended" in text)
    assert listed(text, "completed") == 8
    screen.type("q")
    assert screen.end() == 0
    assert screen.settings == screen.shell
    assert SAVED in screen.sent and screen.sent.index(RESTORED) > screen.sent.index(SAVED) and SHOW_CURSOR in screen.sent
    assert b"Traceback" not in screen.sent


def test_keys_work_in_a_terminal(project: Project, open_screen: Open) -> None:
    project.compute("fussy", "config: {x: 1}\ngrid: {x: [1, 2, 3]}")
    (project.folder / "mended").touch()
    screen = open_screen("status", "g", "--watch")
    screen.until(lambda text: listed(text, "completed") == 2)
    screen.type("/", "failed")
    screen.until(lambda text: listed(text, "completed") == 0 and listed(text, "failed") == 1)
    assert "failed" not in screen.bold
    screen.type("enter")
    screen.until(lambda _: "failed" in screen.bold)
    screen.type("enter")
    screen.until(lambda text: "ValueError: x must not be 2" in text)
    screen.type("r")
    screen.until(lambda text: "Submit 1 run again" in text and "y  yes" in text)
    screen.type("n")
    screen.until(lambda text: "Submit 1 run again" not in text)
    screen.type("r")
    screen.until(lambda text: "Submit 1 run again" in text)
    screen.type("y")
    screen.until(lambda text: "3 runs: 3 completed" in text)
    screen.type("escape", "escape")
    screen.until(lambda text: listed(text, "completed") == 3)
    screen.type("q")
    assert screen.end() == 0


def test_a_window_that_changes_its_size_is_filled_anew(project: Project, open_screen: Open) -> None:
    project.compute("quick", EIGHT)
    screen = open_screen("status", "g", "--watch")
    screen.until(lambda text: listed(text, "completed") == 8)
    screen.resize(120, 40)
    text = screen.until(lambda text: "trend" in text and "q quit" in "".join(text.splitlines()[-2:]) and listed(text, "completed") == 8)
    assert len(text.splitlines()) == 40 and any(len(line) > 80 for line in text.splitlines())
    screen.resize(50, 12)
    text = screen.until(lambda text: len(text.splitlines()) == 12 and "p prune" in text and listed(text, "completed") >= 2)
    assert max(map(len, text.splitlines())) <= 50


def test_ctrl_c_leaves_the_terminal_as_it_was_and_writes_nothing(project: Project, open_screen: Open) -> None:
    project.launch(project.grid("patient", "config: {x: 1}"))
    poll(lambda: project.counts() == {"running": 1})
    ledger = sorted((project.folder / "runs" / "g" / "ledger").iterdir())
    screen = open_screen("status", "g", "--watch")
    screen.until(lambda text: "1 running" in text)
    screen.type("\x03")
    assert screen.end() == 130
    assert screen.settings == screen.shell and RESTORED in screen.sent and b"Traceback" not in screen.sent
    assert sorted((project.folder / "runs" / "g" / "ledger").iterdir()) == ledger


def test_the_end_of_the_connection_ends_the_view(project: Project, open_screen: Open) -> None:
    project.compute("quick", "config: {x: 1}")
    screen = open_screen("status", "g", "--watch")
    screen.until(lambda text: "1 completed" in text)
    screen.close()
    poll(lambda: screen.process.poll() is not None)


def test_without_a_grid_all_grids_are_listed(project: Project, open_screen: Open) -> None:
    for name in ("one", "two"):
        project.compute("quick", "config: {x: 1}", name=name)
    screen = open_screen("status", "--watch")
    screen.until(lambda text: "one" in text and "two" in text and "1 completed" in text)
    screen.type("down", "enter")
    screen.until(lambda text: "two: 1 run: 1 completed" in text)
    screen.type("q")
    assert screen.end() == 0


def test_a_name_that_could_fool_a_terminal_is_shown_as_text(project: Project, open_screen: Open) -> None:
    grid = project.grid("quick", 'config: {x: 1, name: a}\ngrid: {name: ["\\e]0;owned\\a[bold]b[/bold]", "plain"]}')
    project.launch(grid)
    project.watch()
    screen = open_screen("status", "g", "--watch")
    screen.until(lambda text: listed(text, "completed") or "name=" in text)
    screen.type("enter")
    screen.until(lambda text: "[bold]b[/bold]" in text)
    assert b"\x1b]0;" not in screen.sent


@pytest.mark.parametrize("how", ["dumb", "pipe"])
def test_without_a_screen_a_table_is_shown_until_every_run_has_ended(project: Project, open_screen: Open, how: str) -> None:
    project.launch(project.grid("patient", "config: {x: 1}\ngrid: {x: [1, 2]}"))
    poll(lambda: project.counts() == {"running": 2})
    (project.folder / "go").touch()
    if how == "dumb":
        screen = open_screen("status", "g", "--watch", TERM="dumb")
        assert screen.end() == 0
        sent = screen.sent
        assert max(map(len, sent.decode().splitlines())) <= 80
    else:
        command = [MRSWEEP, "status", "g", "--watch"]
        done = subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True, timeout=60)
        assert done.returncode == 0
        sent = done.stdout
    assert b"2 completed" in sent and SAVED not in sent
