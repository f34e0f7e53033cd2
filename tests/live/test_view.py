"""The live view driven by keys, on real grids of this machine."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from orchestrator.live.app import LiveView
from orchestrator.live.filters import Filter
from orchestrator.live.listing import RowList
from orchestrator.live.reading import GridReader
from orchestrator.live.runs_screen import RunsScreen
from orchestrator.results.select import Selection
from orchestrator.store.errors import ClusterError
from orchestrator.store.layout import GridPaths
from orchestrator.store.states import State
from tests.cli.conftest import Project, poll
from tests.live.conftest import WORDS

pytestmark = pytest.mark.journey

THREE = "config: {x: 1}\ngrid: {x: [1, 2, 3]}"
Script = Callable[[Pilot[int]], Awaitable[None]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    """Look often, from the folder of the project; workers that a key starts get the environment of the test."""
    monkeypatch.setattr("orchestrator.live.runs_screen.REFRESH_S", 0.2)
    monkeypatch.setattr("orchestrator.live.runs_screen.SHARE", 0)
    monkeypatch.setattr("orchestrator.live.run_panel.FOLLOW_S", 0.1)
    monkeypatch.chdir(project.folder)


def play(project: Project, script: Script, *, grid: str | None = "g", wanted: Filter | None = None) -> None:
    """Open the view and let a script press its keys."""
    runs = project.folder / "runs"

    async def run() -> None:
        view = LiveView(runs, WORDS, reader=GridReader(GridPaths(runs / grid)) if grid else None, wanted=wanted)
        async with view.run_test(size=(80, 24)) as pilot:
            await script(pilot)

    asyncio.run(run())


def shown(pilot: Pilot[int]) -> str:
    """Return what stands on the screen."""
    return "\n".join(strip.text.rstrip() for strip in pilot.app.screen._compositor.render_strips())


async def until(pilot: Pilot[int], truth: Callable[[str], object], within_s: float = 30.0) -> str:
    """Return the screen once it is as wanted."""
    deadline = time.monotonic() + within_s
    while not truth(text := shown(pilot)):
        assert time.monotonic() < deadline, f"\n{text}"
        await pilot.pause(0.05)
    return text


async def type_(pilot: Pilot[int], text: str) -> None:
    await pilot.press(
        *(" " if key == " " else {"=": "equals_sign", ">": "greater_than_sign", "_": "underscore"}.get(key, key) for key in text)
    )


def rows(text: str) -> list[str]:
    """Return the lines that show runs of x."""
    return [line for line in text.splitlines() if "x=" in line and ("completed" in line or "failed" in line or "running" in line)]


def test_runs_are_filtered_while_it_is_typed(project: Project) -> None:
    project.compute("fussy", THREE)

    async def script(pilot: Pilot[int]) -> None:
        text = await until(pilot, lambda text: len(rows(text)) == 3 and "every run has ended" in text)
        assert "g: 3 runs" in text and "x=2" in rows(text)[0]
        await pilot.press("slash")
        await type_(pilot, "failed")
        assert "x=2" in rows(await until(pilot, lambda text: len(rows(text)) == 1))[0]
        await pilot.press("escape")
        await until(pilot, lambda text: len(rows(text)) == 3)
        await pilot.press("slash")
        await type_(pilot, "x>1")
        await pilot.press("enter")
        assert "2 of 3 runs" in await until(pilot, lambda text: len(rows(text)) == 2)
        await pilot.press("slash")
        await type_(pilot, " and y=1")
        text = await until(pilot, lambda text: "'y' is unknown" in text)
        assert len(rows(text)) == 2

    play(project, script)


def test_a_selection_of_the_command_line_stands_in_the_filter(project: Project) -> None:
    project.compute("fussy", THREE)

    async def script(pilot: Pilot[int]) -> None:
        text = await until(pilot, lambda text: len(rows(text)) == 1 and "1 of 3 runs" in text)
        assert " failed" in text.splitlines()

    play(project, script, wanted=Filter(Selection(states=(State.FAILED,))))


def test_the_log_of_the_chosen_run_is_followed(project: Project) -> None:
    project.compute("fussy", THREE)
    (run,) = (line["id"] for line in project.lines().values() if line["state"] == "failed")

    async def script(pilot: Pilot[int]) -> None:
        await until(pilot, lambda text: len(rows(text)) == 3)
        await pilot.press("enter")
        await until(pilot, lambda text: "Traceback (most recent call last)" in text or text.count("ValueError: x must not be 2") == 2)
        with (project.attempt(run) / "log.txt").open("a") as stream:
            stream.write("\x1b[31mone [bold]more[/bold] line\x1b[0m\n")
        await until(pilot, lambda text: "\none [bold]more[/bold] line\n" in text)
        await pilot.press("down")
        await until(pilot, lambda text: "one [bold]more" not in text and "completed · attempt 1" in text)
        await pilot.press("enter")
        await until(pilot, lambda text: "attempt 1" not in text)

    play(project, script)


def test_requeue_with_a_yes_computes_the_run_again(project: Project) -> None:
    project.compute("fussy", THREE)
    (project.folder / "mended").touch()

    async def script(pilot: Pilot[int]) -> None:
        await until(pilot, lambda text: len(rows(text)) == 3)
        await pilot.press("r")
        assert "at most" in await until(pilot, lambda text: "Submit 1 run again" in text)
        await pilot.press("y")
        await until(pilot, lambda text: "submitted 1 run as g-" in text)
        await until(pilot, lambda text: "g: 3 runs: 3 completed" in text)

    play(project, script)
    assert project.watch().code == 0
    assert project.counts() == {"completed": 3}


@pytest.mark.parametrize(("key", "stays"), [("n", False), ("escape", False), ("enter", True), ("x", True)])
def test_nothing_but_y_is_a_yes(project: Project, key: str, stays: bool) -> None:
    project.launch(project.grid("patient", "config: {x: 1}\ngrid: {x: [1, 2]}"))
    poll(lambda: project.counts() == {"running": 2})

    async def script(pilot: Pilot[int]) -> None:
        await until(pilot, lambda text: len(rows(text)) == 2)
        await pilot.press("c")
        await until(pilot, lambda text: "Cancel 1 run" in text)
        await pilot.press(key)
        assert ("Cancel 1 run" in shown(pilot)) is stays
        await pilot.press(*(["n"] if stays else []))
        runs = pilot.app.screen
        assert isinstance(runs, RunsScreen)
        text = await until(pilot, lambda text: "Cancel 1 run" not in text and not runs._acting)
        assert "cancelled" not in text and "told to stop" not in text

    play(project, script)
    assert project.counts() == {"running": 2}


def test_marked_runs_are_cancelled_with_a_yes(project: Project) -> None:
    project.launch(project.grid("patient", "config: {x: 1}\ngrid: {x: [1, 2]}"))
    poll(lambda: project.counts() == {"running": 2})

    async def script(pilot: Pilot[int]) -> None:
        await until(pilot, lambda text: len(rows(text)) == 2)
        await pilot.press("space", "space")
        assert (await until(pilot, lambda text: "2 marked" in text)).count("●") == 2
        await pilot.press("c")
        await until(pilot, lambda text: "Cancel 2 runs, 2 of them queued or running" in text)
        await pilot.press("y")
        await until(pilot, lambda text: "2 running told to stop" in text and "2 cancelled" in text)

    play(project, script)
    assert project.counts() == {"cancelled": 2}


def test_what_cannot_be_done_is_said_and_asks_nothing(project: Project) -> None:
    project.compute("quick", "config: {x: 1}")
    before = project.tree()

    async def script(pilot: Pilot[int]) -> None:
        await until(pilot, lambda text: "completed" in text)
        for key, told in (("r", "cannot be submitted again"), ("c", "cannot be cancelled")):
            await pilot.press(key)
            await until(pilot, lambda text, told=told: told in text and "y  yes" not in text)
            await pilot.press("y")
            await pilot.press("enter")

    play(project, script)
    assert project.tree() == before


def test_prune_with_a_yes_moves_the_run_to_the_trash(project: Project) -> None:
    project.compute("fussy", THREE)

    async def script(pilot: Pilot[int]) -> None:
        await until(pilot, lambda text: len(rows(text)) == 3)
        await pilot.press("p")
        await until(pilot, lambda text: "Move 1 run to the trash?" in text)
        await pilot.press("y")
        await until(pilot, lambda text: "moved 1 run to the trash" in text and "1 pruned" in text)

    play(project, script)
    assert len(list((project.folder / "runs" / "g" / "trash").glob("*/attempt-1"))) == 1
    project.ok("restore", "g", "--yes")
    assert project.counts() == {"completed": 2, "failed": 1}


def test_failures_are_grouped_and_their_runs_listed(project: Project) -> None:
    project.compute("fussy", "config: {x: 1}\ngrid: {x: [1, 2], seed: [1, 2]}")

    async def script(pilot: Pilot[int]) -> None:
        await until(pilot, lambda text: "2 failed" in text)
        await pilot.press("f")
        text = await until(pilot, lambda text: "2 error" in text)
        assert "ValueError: x must not be 2" in text and "by what ended them; 2 in all" in text
        await pilot.press("enter")
        await until(pilot, lambda text: "2 of 4 runs" in text and "signature=" in text)
        await pilot.press("f", "c")
        await until(pilot, lambda text: "2 runs cannot be cancelled" in text)

    play(project, script)


def test_the_view_shows_why_runs_wait_other_orders_and_metrics(project: Project) -> None:
    project.compute("quick", "config: {x: 1}\ngrid: {x: [2, 1, 3]}")

    async def script(pilot: Pilot[int]) -> None:
        text = await until(pilot, lambda text: len(rows(text)) == 3)
        assert [line.split("x=")[1][0] for line in rows(text)] == ["2", "1", "3"]
        await pilot.press("o")
        text = await until(pilot, lambda text: "by objective" in text)
        assert [line.split("x=")[1][0] for line in rows(text)] == ["1", "2", "3"]
        await pilot.press("w")
        await until(pilot, lambda text: "no run waits, and none stands still" in text)

    play(project, script)


def test_a_grid_that_is_gone_stays_on_the_screen_and_comes_back(project: Project) -> None:
    project.compute("fussy", THREE)
    folder, aside = project.folder / "runs" / "g", project.folder / "aside"

    async def script(pilot: Pilot[int]) -> None:
        await until(pilot, lambda text: len(rows(text)) == 3)
        folder.rename(aside)
        text = await until(pilot, lambda text: "not there any more" in text.replace("\n", " "))
        assert len(rows(text)) == 3 and "Shown is how it was" in text.replace("\n", " ")
        await pilot.press("enter", "down", "r")
        await until(pilot, lambda text: "not there any more" in text.replace("\n", " "))
        aside.rename(folder)
        await until(pilot, lambda text: "not there any more" not in text.replace("\n", " "))

    play(project, script)


def test_a_damaged_ledger_is_told_and_the_view_stays(project: Project) -> None:
    project.compute("fussy", THREE)
    segment = sorted((project.folder / "runs" / "g" / "ledger").glob("*.jsonl"))[-1]
    good = segment.read_bytes()

    async def script(pilot: Pilot[int]) -> None:
        await until(pilot, lambda text: len(rows(text)) == 3)
        segment.write_bytes(b'{"t": 3}\n' + good)
        text = await until(pilot, lambda text: "this line is damaged" in text.replace("\n", " "))
        assert len(rows(text)) == 3
        segment.write_bytes(good)
        await until(pilot, lambda text: "is damaged" not in text)

    play(project, script)


def test_a_scheduler_that_is_down_is_told_and_asked_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.compute("quick", THREE)

    def down(*_: object, **__: object) -> None:
        raise ClusterError("squeue: the controller does not answer. Try again.")

    async def script(pilot: Pilot[int]) -> None:
        await until(pilot, lambda text: len(rows(text)) == 3)
        with monkeypatch.context() as patch:
            patch.setattr("orchestrator.live.reading.look", down)
            text = await until(pilot, lambda text: "the controller does not answer" in text)
            assert len(rows(text)) == 3
        await until(pilot, lambda text: "does not answer" not in text)

    play(project, script)


def test_the_list_of_grids_opens_one_and_shows_damaged_ones(project: Project) -> None:
    for name in ("one", "two"):
        project.compute("quick", "config: {x: 1}", name=name)
    (project.folder / "runs" / "two" / "manifest.jsonl").write_text('{"id": 3}\n{"id": 4}\n{"id": 5}\n')
    shutil.copytree(project.folder / "runs" / "one", project.folder / "runs" / "three")

    async def script(pilot: Pilot[int]) -> None:
        text = await until(pilot, lambda text: "two" in text)
        assert "1 completed" in text and "manifest.jsonl" in text and "⏎ open" in text
        await pilot.press("enter")
        await until(pilot, lambda text: "one: 1 run: 1 completed" in text)
        await pilot.press("g")
        await until(pilot, lambda text: "grids in" in text)
        await pilot.press("down", "enter")
        await until(pilot, lambda text: "three: 1 run" in text)

    play(project, script, grid=None)


def test_looking_writes_nothing(project: Project) -> None:
    project.compute("fussy", THREE)
    before = project.tree()

    async def script(pilot: Pilot[int]) -> None:
        await until(pilot, lambda text: len(rows(text)) == 3)
        await pilot.press("enter", "down", "w", "o", "m", "a", "f", "escape", "r")
        await until(pilot, lambda text: "Submit 1 run again" in text)
        await pilot.press("n")
        await until(pilot, lambda text: "Submit 1 run again" not in text)

    play(project, script)
    assert project.tree() == before


def test_an_empty_runs_folder_is_told(project: Project, tmp_path: Path) -> None:
    async def script(pilot: Pilot[int]) -> None:
        await until(pilot, lambda text: "There are no grids in" in text)
        await pilot.press("enter")

    play(project, script, grid=None)


def test_rows_stay_visible_around_the_cursor(project: Project) -> None:
    project.ok("expand", project.grid("quick", "config: {x: 1}\ngrid: {x: {range: [0, 500]}}"))

    async def script(pilot: Pilot[int]) -> None:
        await until(pilot, lambda text: "x=0" in text)
        await pilot.press("end")
        await until(pilot, lambda text: "x=499" in text)
        listing = pilot.app.screen.query_one(RowList)
        assert listing.cursor == 499
        page = listing.size.height - 2
        await pilot.press("pageup", "up")
        assert listing.cursor == 499 - page - 1 and listing.cursor in listing.visible_rows
        await pilot.resize_terminal(120, 12)
        await until(pilot, lambda text: f"x={listing.cursor}" in text)
        await pilot.press("home")
        await until(pilot, lambda text: "x=0" in text)

    play(project, script)
