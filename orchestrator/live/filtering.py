"""The line in which a filter is typed: what stands in it narrows the runs at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.widgets import Input

from orchestrator.live.filters import parse_filter, with_limit
from orchestrator.live.listing import RowList
from orchestrator.live.view import Wish

if TYPE_CHECKING:
    from textual.screen import Screen

    Base = Screen[None]
else:
    Base = object


class Filtering(Base):
    """Part of the screen of runs: changes which of them are wanted."""

    _wish: Wish
    _wake: asyncio.Event

    def say(self, text: str) -> None:
        """Show a sentence."""
        raise NotImplementedError

    @property
    def filter_field(self) -> Input:
        """Where the filter is typed."""
        return self.query_one("#filter", Input)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        wanted = with_limit(parse_filter(event.value), self._wish.filter.selection.limit)
        self._wish = self._wish._replace(filter=wanted)
        self.say("")
        self._wake.set()

    def on_input_submitted(self) -> None:
        """Go back to the runs; the filter stays."""
        self.filter_field.display = bool(self.filter_field.value.strip())
        self.set_focus(self.query_one(RowList))

    def type_filter(self, text: str) -> None:
        """Show only the runs that this filter wants."""
        self.filter_field.value = text
        self.filter_field.display = bool(text)

    def action_filter(self) -> None:
        """Let a filter be typed."""
        self.filter_field.display = True
        self.set_focus(self.filter_field)  # at once: the next key may be here already
