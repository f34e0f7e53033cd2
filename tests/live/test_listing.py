"""The list of rows makes only what is visible, however many there are; wide characters take two cells."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from orchestrator.live.listing import RowList, fit
from orchestrator.live.panes import cut
from orchestrator.live.rows import Cells, Column

COLUMNS = (Column("number", 8, right=True), Column("text", 10))

FITTED = [
    ("abc", Column("a", 5), "abc  "),
    ("abc", Column("a", 5, right=True), "  abc"),
    ("abcdef", Column("a", 5), "abcd…"),
    ("日本語", Column("a", 5), "日本…"),
    ("日本", Column("a", 5, right=True), " 日本"),
    ("", Column("a", 2), "  "),
]


@pytest.mark.parametrize(("text", "column", "fitted"), FITTED)
def test_cells_have_just_their_width(text: str, column: Column, fitted: str) -> None:
    assert fit(text, column) == fitted


def test_a_line_that_is_too_long_says_that_it_was_cut() -> None:
    assert [cut("a line", width) for width in (5, 6)] == ["a li…", "a line"]


async def until(pilot: Pilot[None], truth: Callable[[], bool]) -> None:
    """Let the screen work until it has done what is wanted."""
    deadline = time.monotonic() + 30
    while not truth():
        assert time.monotonic() < deadline, "it was not done in time"
        await pilot.pause()


def test_of_a_million_rows_only_the_visible_ones_are_made() -> None:
    made: list[int] = []

    def make(row: int) -> Cells:
        made.append(row)
        return Cells((str(row), "[bold]text[/bold]"))

    class Listing(App[None]):
        def compose(self) -> ComposeResult:
            yield RowList()

    async def run() -> None:
        async with Listing().run_test(size=(40, 12)) as pilot:
            rows = pilot.app.query_one(RowList)
            rows.show(COLUMNS, 1_000_000, make)
            await until(pilot, lambda: 10 in made)
            assert set(made) == set(range(11))
            rows.focus()
            await pilot.press("end")
            await until(pilot, lambda: 999_999 in made)
            assert rows.cursor == 999_999 and rows.visible_rows == range(999_989, 1_000_000)
            assert len(set(made)) < 40
            assert "[bold]text[/bold]" in rows.render_line(11).text and "999999" in rows.render_line(11).text
            rows.show(COLUMNS, 3, make, cursor=999_999)
            await until(pilot, lambda: not rows.scroll_offset.y)
            assert rows.cursor == 2 and "0" in rows.render_line(1).text

    asyncio.run(run())
