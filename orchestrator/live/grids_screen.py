"""The screen of all grids below a runs folder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from orchestrator.live.listing import RowList
from orchestrator.live.panes import Keys, Lines
from orchestrator.live.reading import GridsReader
from orchestrator.live.rows import GRID_COLUMNS, grid_cells
from orchestrator.live.threads import beside, while_open
from orchestrator.live.words import Words
from orchestrator.watchdog.recorded import Recorded

REFRESH_S = 5.0


class GridsScreen(Screen[None]):
    """Lists the grids as their ledgers have them; asks no scheduler."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "app.leave", "quit"), Binding("enter", "open", "open", key_display="⏎")]

    def __init__(self, runs: Path, words: Words, open_grid: Callable[[str], None]) -> None:
        super().__init__()
        self._runs, self._words, self._open_grid = runs, words, open_grid
        self._reader = GridsReader(runs)
        self._grids: list[Recorded] = []

    def compose(self) -> ComposeResult:
        yield Lines(id="title")
        yield RowList(id="grids")
        yield Keys(self.BINDINGS)

    def on_mount(self) -> None:
        self.query_one(RowList).focus()
        self.query_one("#title", Lines).show([f"grids in {self._words.cell(str(self._runs))}, as recorded last"])
        self.run_worker(while_open(self._keep_up()))

    async def _keep_up(self) -> None:
        """Look again and again."""
        while True:
            try:
                self._take(await beside(self._reader.look))
            except OSError as error:
                self.query_one("#title", Lines).show([self._words.cell(f"{self._runs}: {error.strerror or error}")])
            await asyncio.sleep(REFRESH_S)

    def _take(self, grids: list[Recorded]) -> None:
        rows = self.query_one(RowList)
        names = [grid.grid for grid in grids]
        chosen = self._grids[rows.cursor].grid if rows.cursor < len(self._grids) else ""
        self._grids, now = grids, time.time()
        cursor = names.index(chosen) if chosen in names else rows.cursor
        empty = f"There are no grids in {self._words.cell(str(self._runs))}."
        rows.show(GRID_COLUMNS, len(grids), lambda row: grid_cells(grids[row], self._words, now), cursor=cursor, empty=empty)

    def action_open(self) -> None:
        """Open the grid under the cursor."""
        place = self.query_one(RowList).cursor
        if place < len(self._grids):
            self._open_grid(self._grids[place].grid)
