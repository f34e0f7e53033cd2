"""The screen of failures: runs that ended alike, and what one of each group said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from orchestrator.live.listing import RowList
from orchestrator.live.panes import Keys, Lines, TextPane
from orchestrator.live.rows import FAILURE_COLUMNS, failure_cells
from orchestrator.live.words import Words
from orchestrator.results.failures import Failure, told_doubts
from orchestrator.results.overview import Overview
from orchestrator.worker.logs import readable


class Choice(NamedTuple):
    """What is wanted of a group: list, requeue, cancel or prune."""

    action: str
    failure: Failure


class FailuresScreen(Screen[Choice | None]):
    """Lists the groups; leaves with what is wanted of one of them."""

    DEFAULT_CSS = """
    FailuresScreen #excerpt { height: 40%; min-height: 6; border-top: solid $accent; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose('list')", "its runs", key_display="⏎"),
        Binding("r", "choose('requeue')", "requeue them"),
        Binding("c", "choose('cancel')", "cancel them"),
        Binding("p", "choose('prune')", "prune them"),
        Binding("escape,f,q", "back", "back", key_display="Esc"),
    ]

    def __init__(self, words: Words) -> None:
        super().__init__()
        self._words = words
        self._failures: Sequence[Failure] = ()
        self._title = ""

    def compose(self) -> ComposeResult:
        yield Lines(id="title")
        yield RowList(id="failures")
        yield TextPane(id="excerpt")
        yield Keys(self.BINDINGS)

    def on_mount(self) -> None:
        self.query_one(RowList).focus()
        self._refresh()

    def take(self, overview: Overview) -> None:
        """Show the failures of a newer look; the cursor stays with its group."""
        chosen = self._chosen
        self._failures = overview.failures
        total = sum(len(failure.runs) for failure in self._failures)
        self._title = f"{overview.grid}: runs that stand still, by what ended them; {total:,} in all"
        if self.is_mounted:
            ids = [failure.id for failure in self._failures]
            self._refresh(ids.index(chosen.id) if chosen is not None and chosen.id in ids else None)

    @property
    def _chosen(self) -> Failure | None:
        place = self.query_one(RowList).cursor if self.is_mounted else 0
        return self._failures[place] if place < len(self._failures) else None

    def _refresh(self, cursor: int | None = None) -> None:
        rows = self.query_one(RowList)
        self.query_one("#title", Lines).show(filter(None, [self._title, told_doubts(self._failures)]))
        place = rows.cursor if cursor is None else cursor
        shown = self._failures
        rows.show(
            FAILURE_COLUMNS, len(shown), lambda row: failure_cells(shown[row], self._words), cursor=place, empty="no run stands still"
        )
        self._tell()

    def on_row_list_moved(self) -> None:
        """Show what the group under the cursor said."""
        self._tell()

    def _tell(self) -> None:
        failure = self._chosen
        told = failure.excerpt or "\n".join((failure.message, *failure.evidence)) if failure is not None else ""
        self.query_one(TextPane).show(readable(told), follow=False, afresh=False)

    def action_choose(self, action: str) -> None:
        """Leave with the group under the cursor."""
        if self._chosen is not None:
            self.dismiss(Choice(action, self._chosen))

    def action_back(self) -> None:
        self.dismiss(None)
