"""The question before something changes."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static


class Confirm(ModalScreen[bool]):
    """Asks, and answers True only for y."""

    DEFAULT_CSS = """
    Confirm { align: center middle; }
    Confirm > Vertical { width: 72; max-width: 90%; height: auto; padding: 1 2; border: round $accent; background: $surface; }
    Confirm Static { width: 100%; height: auto; }
    Confirm #answers { margin-top: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape,q", "answer(False)", "no"),
        Binding("enter", "leave", "back", show=False),
    ]

    def __init__(self, question: str, *, possible: bool) -> None:
        super().__init__()
        self._question = question
        self._possible = possible

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(self._question), id="question")
            yield Static(Text("y  yes      n  no" if self._possible else "Esc  back"), id="answers")

    def action_answer(self, yes: bool) -> None:
        """Leave with the answer; where nothing can be done it is always no."""
        self.dismiss(yes and self._possible)

    def action_leave(self) -> None:
        """Leave what only tells something; a question is not answered by Enter."""
        if not self._possible:
            self.dismiss(False)
