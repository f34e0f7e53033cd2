"""The live view: one program for the terminal, from the list of grids to the log of a run."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from orchestrator.live.filters import Filter
from orchestrator.live.grids_screen import GridsScreen
from orchestrator.live.reading import GridReader
from orchestrator.live.runs_screen import RunsScreen
from orchestrator.live.words import Words
from orchestrator.store.layout import GridPaths

INTERRUPTED = 130
"""What the view returns when Ctrl-C ended it."""


class LiveView(App[int]):
    """Shows grids, and of one its runs. Nothing changes but by a key and a yes."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "mrsweep"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", show=False, priority=True),
        Binding("ctrl+q", "leave", show=False, priority=True),
    ]

    def __init__(
        self, runs: Path, words: Words, *, reader: GridReader | None = None, profile: str | None = None, wanted: Filter | None = None
    ) -> None:
        super().__init__()
        self._runs, self._words, self._profile = runs, words, profile
        self._reader, self._wanted = reader, wanted or Filter()

    def on_mount(self) -> None:
        for told in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(told, partial(self.exit, return_code=128 + told))
        if self._reader is None:
            self.action_show_grids()
        else:
            self.push_screen(RunsScreen(self._reader, self._words, self._wanted))

    def action_show_grids(self) -> None:
        """Go to the list of grids, on which the screen of a grid is put."""
        for screen in list(self.screen_stack)[1:]:
            if isinstance(screen, GridsScreen):
                self.pop_screen()
                return
        if len(self.screen_stack) > 1:
            self.switch_screen(self._grids())
        else:
            self.push_screen(self._grids())

    def _grids(self) -> GridsScreen:
        return GridsScreen(self._runs, self._words, self._open)

    def _open(self, name: str) -> None:
        reader = GridReader(GridPaths(self._runs.absolute() / name), profile=self._profile)
        self.push_screen(RunsScreen(reader, self._words, Filter()))

    def action_leave(self) -> None:
        """Leave; what a key has begun is finished first."""
        self.exit(0)

    def action_interrupt(self) -> None:
        """Leave as Ctrl-C leaves any program."""
        self.exit(INTERRUPTED)
