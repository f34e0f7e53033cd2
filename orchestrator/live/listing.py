"""A list of rows of which only the visible ones are ever made: 100,000 rows cost what 20 do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from orchestrator.live.rows import GAP, Cells, Column

_STYLES = {
    "good": Style(color="green"),
    "bad": Style(color="bright_red"),
    "busy": Style(color="bright_cyan"),
    "wait": Style(color="yellow"),
    "": Style(),
}
_HEADING = Style(bold=True, dim=True)
_CURSOR = Style(bgcolor="grey30", bold=True)

Make = Callable[[int], Cells]


def fit(text: str, column: Column) -> str:
    """Return text in just the column's cells, which wide characters take two of; what is too long is cut."""
    if cell_len(text) > column.width:
        return set_cell_size(text, column.width - 1) + "…"
    blank = " " * (column.width - cell_len(text))
    return blank + text if column.right else text + blank


class RowList(ScrollView, can_focus=True):
    """A heading, and rows with a cursor. The caller says how many rows there are and makes those that are asked for."""

    DEFAULT_CSS = "RowList { height: 1fr; scrollbar-gutter: stable; scrollbar-size: 1 1; overflow-x: hidden; overflow-y: auto; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("home", "move(-1000000000)", "first", show=False),
        Binding("end", "move(1000000000)", "last", show=False),
    ]

    class Moved(Message):
        """The cursor stands elsewhere, or other rows are visible."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._columns: Sequence[Column] = ()
        self._count = 0
        self._make: Make = lambda _: Cells(())
        self._empty = ""
        self.cursor = 0
        self.at_once: Mapping[str, Callable[[], None]] = {}
        """Keys that move the focus: what is typed in one breath with them is to find it there."""

    def show(self, columns: Sequence[Column], count: int, make: Make, *, cursor: int = 0, empty: str = "") -> None:
        """Show other rows; `empty` stands where there are none. Rows that are visible stay so when they can."""
        self._columns, self._count, self._make, self._empty = columns, count, make, empty
        self.virtual_size = Size(0, count + 1)
        before, self.cursor = self.cursor, self._within(cursor)
        if self.cursor != before:
            self._follow_cursor()
        self.refresh()

    @property
    def room(self) -> int:
        """Cells of a line, the scrollbar left out."""
        return self.scrollable_content_region.width

    @property
    def visible_rows(self) -> range:
        """The rows on the screen."""
        first = int(self.scroll_offset.y)
        return range(min(first, self._count), min(first + max(self.size.height - 1, 0), self._count))

    def render_line(self, y: int) -> Strip:
        """Make one line of the screen: the heading stands still, the rows go by under it."""
        width = self.room
        if y == 0:
            return self._line([column.name for column in self._columns], _HEADING, Style(), width)
        row = y - 1 + int(self.scroll_offset.y)
        if row >= self._count:
            empty = self._empty if row == 0 and not self._count else ""
            return Strip([Segment(f" {empty}", Style(dim=True))]).adjust_cell_length(width).apply_style(self.rich_style)
        made = self._make(row)
        cursor = _CURSOR if row == self.cursor and self.has_focus else Style()
        return self._line(made.cells, cursor, _STYLES[made.style], width)

    def _line(self, cells: Sequence[str], style: Style, colour: Style, width: int) -> Strip:
        taken = sum(column.width + GAP for column in self._columns[:-1])
        last = [column._replace(width=max(width - taken, 1)) for column in self._columns[-1:]]
        plain = self.rich_style + style
        segments = []
        for cell, column in zip(cells, [*self._columns[:-1], *last], strict=True):
            segments.append(Segment(fit(cell, column) + " " * GAP, plain + colour if column.coloured else plain))
        return Strip(segments).adjust_cell_length(width, plain)

    async def on_key(self, event: events.Key) -> None:
        """Answer the keys that move the focus; pass on what was under way to here when it moved."""
        focused = self.screen.focused
        if focused is self and event.key in self.at_once:
            self.at_once[event.key]()
        elif focused is not self and focused is not None:
            focused.post_message(events.Key(event.key, event.character))
        else:
            return
        event.stop()
        event.prevent_default()

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self._go_to(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by a screen."""
        self._go_to(self.cursor + by * max(self.size.height - 2, 1))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to where the mouse is."""
        if event.y > 0:
            self._go_to(event.y - 1 + int(self.scroll_offset.y))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Tell that other rows are visible."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.refresh()
            self.post_message(self.Moved())

    def on_resize(self) -> None:
        """Keep the cursor on the screen."""
        self._follow_cursor()
        self.post_message(self.Moved())

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def _go_to(self, row: int) -> None:
        row = self._within(row)
        if row != self.cursor:
            self.cursor = row
            self._follow_cursor()
            self.refresh()
            self.post_message(self.Moved())

    def _within(self, row: int) -> int:
        return max(0, min(row, self._count - 1))

    def _follow_cursor(self) -> None:
        """Scroll just so far that the cursor is visible."""
        room = max(self.size.height - 1, 1)
        top = int(self.scroll_offset.y)
        wanted = min(max(top, self.cursor - room + 1), self.cursor)
        if wanted != top:
            self.scroll_to(y=wanted, animate=False, immediate=True)
