"""Pieces of the screen: a pane of text that follows its end, the line of keys, a notice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.segment import Segment
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Static


class TextPane(ScrollView, can_focus=True):
    """Lines of text, folded at the edge; at its end it stays at the end when lines are added."""

    DEFAULT_CSS = "TextPane { height: 1fr; scrollbar-gutter: stable; scrollbar-size: 1 1; overflow-x: hidden; overflow-y: auto; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", show=False),
        Binding("down,j", "scroll_down", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: Sequence[str] = ()
        self._folded: list[str] = []
        self._follows = False

    def show(self, lines: Sequence[str], *, follow: bool, afresh: bool) -> None:
        """Show these lines. `follow`: where the end was visible, it stays so; `afresh`: they are of another text than before."""
        at_end = afresh or self.scroll_offset.y >= self.max_scroll_y
        self._lines, self._follows = lines, follow and at_end
        self._fold()
        if afresh and not follow:
            self.scroll_home(animate=False, immediate=True)
        self._keep_up()

    def _keep_up(self) -> None:
        """Stay at the end, and never beyond it."""
        if self._follows or self.scroll_offset.y > self.max_scroll_y:
            self.call_after_refresh(self.scroll_end, animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        """Make one line of the screen."""
        row, width = y + int(self.scroll_offset.y), self.scrollable_content_region.width
        text = self._folded[row] if row < len(self._folded) else ""
        return Strip([Segment(text, self.rich_style)]).adjust_cell_length(width, self.rich_style)

    def on_resize(self) -> None:
        """Fold the lines at the new edge."""
        self._fold()
        self._keep_up()

    def _fold(self) -> None:
        width = max(self.scrollable_content_region.width, 10)
        self._folded = [part for line in self._lines for part in (chop_cells(line, width) if cell_len(line) > width else [line])]
        self.virtual_size = Size(0, len(self._folded))
        self.refresh()


def cut(text: str, width: int) -> str:
    """Return text that takes at most `width` cells; what was cut off shows as an ellipsis."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


class Lines(Static):
    """Some lines of text, shown as they are; nothing where there are none."""

    DEFAULT_CSS = "Lines { height: auto; width: 100%; }"

    def show(self, lines: Iterable[str]) -> None:
        """Show other lines."""
        text = "\n".join(lines)
        self.display = bool(text)
        self.update(Text(text))


class Keys(Static):
    """What the keys do, always visible; on as many lines as it takes."""

    DEFAULT_CSS = "Keys { dock: bottom; height: auto; width: 100%; background: $panel; }"

    def __init__(self, bindings: Iterable[BindingType]) -> None:
        super().__init__()
        shown = (binding for binding in bindings if isinstance(binding, Binding) and binding.show)
        self._keys = [(binding.key_display or binding.key, binding.description) for binding in shown]

    def on_resize(self) -> None:
        """Fold the line between two keys."""
        self.update(self._folded(self.size.width))

    def _folded(self, width: int) -> Text:
        text, column = Text(), 0
        for key, told in self._keys:
            taken = cell_len(key) + cell_len(told) + 1
            if column and column + 2 + taken > width:
                text.append("\n")
                column = 0
            text.append_text(Text.assemble("  " if column else "", (key, "bold"), f" {told}"))
            column += taken + 2 * bool(column)
        return text
