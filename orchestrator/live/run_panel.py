"""The panel under the runs: all that is known of one run and its log, which is followed; or why runs wait."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from textual.app import ComposeResult
from textual.containers import Vertical

from orchestrator.live.details import describe
from orchestrator.live.following import Follower, find_output
from orchestrator.live.glimpse import Glimpse
from orchestrator.live.panes import Lines, TextPane
from orchestrator.live.reading import Sight
from orchestrator.live.rows import Look
from orchestrator.live.threads import beside, while_open
from orchestrator.results.overview import Line
from orchestrator.store.layout import GridPaths

FOLLOW_S = 0.5


class Subject(NamedTuple):
    """What the panel is about."""

    sight: Sight
    line: Line | None
    """The run under the cursor."""
    glimpse: Glimpse
    look: Look


class RunPanel(Vertical):
    """Shows `log` or `why`, or is closed."""

    DEFAULT_CSS = """
    RunPanel { height: 45%; border-top: solid $accent; display: none; }
    RunPanel #details { color: $text-accent; }
    """

    def __init__(self, paths: GridPaths) -> None:
        super().__init__(id="panel")
        self.mode = ""
        """log, why, or empty: closed."""
        self._paths = paths
        self._subject: Subject | None = None
        self._follower: Follower | None = None
        self._log_shown: Follower | None = None
        self._reading = asyncio.Lock()

    def compose(self) -> ComposeResult:
        yield Lines(id="details")
        yield TextPane(id="text")

    def on_mount(self) -> None:
        self.run_worker(while_open(self._keep_following()))

    def toggle(self, mode: str) -> None:
        """Open the panel with this, or close it when it shows just this."""
        self.mode = "" if self.mode == mode else mode
        self._follower = self._log_shown = None
        self.display = bool(self.mode)
        if self._subject is not None:
            self.show(self._subject)

    def show(self, subject: Subject) -> None:
        """Be about another run, or about the same one some time later."""
        before, self._subject = self._subject, subject
        if self.mode == "why":
            self._tell_why(subject)
        elif self.mode and subject.line is not None:
            manifest = subject.sight.grid.manifests[subject.line.id]
            told = describe(subject.line, manifest, subject.glimpse, subject.look, self.size.width)
            self.query_one("#details", Lines).show(told)
            is_new = before is None or before.line is None or before.line.id != subject.line.id
            if is_new or self._log_shown is None:
                self.run_worker(while_open(self._read_log()))

    def _tell_why(self, subject: Subject) -> None:
        self.query_one("#details", Lines).show([])
        why = list(subject.look.words.why(subject.sight.overview, self.size.width - 2))
        self.query_one(TextPane).show(why or ["no run waits, and none stands still"], follow=False, afresh=False)

    async def _keep_following(self) -> None:
        while True:
            await self._read_log()
            await asyncio.sleep(FOLLOW_S)

    async def _read_log(self) -> None:
        """Show what was added to the log of the run; one reads at a time."""
        async with self._reading:
            if self.mode == "log" and self._subject is not None and self._subject.line is not None:
                await self._read_more(self._subject.sight, self._subject.line.id)

    async def _read_more(self, sight: Sight, run: str) -> None:
        output = find_output(self._paths, sight.grid.manifests[run], sight.records.get(run))
        pane = self.query_one(TextPane)
        if output.file is None:
            self._follower = self._log_shown = None
            pane.show([output.told], follow=False, afresh=True)
            return
        if self._follower is None or self._follower.file != output.file:
            self._follower = Follower(output.file)
        follower = self._follower
        changed = await beside(follower.read)
        is_new = self._log_shown is not follower
        if follower is self._follower and self.mode == "log" and (changed or is_new):
            self._log_shown = follower
            pane.show(follower.shown or [output.told], follow=True, afresh=is_new)
