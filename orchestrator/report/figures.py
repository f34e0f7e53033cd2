"""Bokeh figures of one look: transparent, as wide as the page lets them, coloured by the page's own script in light and dark."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.report.markup import text
from orchestrator.store.errors import InputError

TOOLS = "pan,box_zoom,wheel_zoom,reset,save"
LEGEND_LETTERS = 48
"""So many letters stand side by side in a legend on a telephone."""

_FORMULA = re.compile(r"\$(?=\$)|\\(?=[\[(]|begin)")

LEGEND_ROW = 21
"""Pixels of a line of the legend."""


def check_libraries() -> None:
    """Raise InputError where the libraries of reports are not installed."""
    try:
        import bokeh  # noqa: F401 - whether it is there is the question
        import PIL  # noqa: F401
    except ImportError as error:
        raise InputError(f"a report needs bokeh and pillow ({error}). Install them with: pip install 'mrsweep[report]'") from error


def blank(height: int, **options: Any) -> Any:
    """Return an empty figure; wheel and touch scroll the page until the reader chooses otherwise."""
    from bokeh.plotting import figure

    drawn = figure(height=height, sizing_mode="stretch_width", tools=TOOLS, active_drag="box_zoom", toolbar_location="above", **options)
    drawn.background_fill_color = drawn.border_fill_color = drawn.outline_line_color = None
    drawn.toolbar.logo = None
    drawn.toolbar.autohide = False
    drawn.min_border_left = 50
    for axis in (*drawn.xaxis, *drawn.yaxis):
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color = None
    return drawn


def hover(drawn: Any, tooltips: list[tuple[str, str]], **options: Any) -> None:
    """Show what lies under the pointer; `tooltips` are (name, @column) of ours, whose values Bokeh escapes."""
    from bokeh.models import HoverTool

    drawn.add_tools(HoverTool(tooltips=tooltips, **options))


def mark(drawn: Any, value: float) -> None:
    """Draw a dashed line at a value of both axes."""
    from bokeh.models.annotations import Span

    for dimension in ("width", "height"):
        drawn.add_layout(Span(location=value, dimension=dimension, line_dash="dashed", line_width=1, line_color="#808080"))


def legend_below(drawn: Any, entries: list[tuple[str, list[Any]]]) -> None:
    """Put a legend under a figure: a click hides and shows what an entry stands for."""
    from bokeh.models.annotations import Legend, LegendItem

    columns = max(1, LEGEND_LETTERS // (4 + max(len(name) for name, _ in entries)))
    items = [LegendItem(label={"value": inert(name)}, renderers=renderers) for name, renderers in entries]
    legend: Any = Legend(items=items, click_policy="hide", ncols=columns, location="left", border_line_color=None, background_fill_alpha=0)
    legend.spacing, legend.padding, legend.margin = 5, 2, 2
    legend.glyph_height = legend.label_height = 14
    legend.label_text_font_size = "12px"
    drawn.add_layout(legend, "below")
    drawn.height += LEGEND_ROW * -(-len(entries) // columns)


def inert(words: str) -> str:
    """Return text in which Bokeh finds no formula to set."""
    return _FORMULA.sub(r"\g<0> ", words)


def source(columns: dict[str, Any]) -> Any:
    """Return equally long columns as what a figure draws from."""
    from bokeh.models import ColumnDataSource

    return ColumnDataSource(columns)


def to_json(drawn: Any, target: str) -> Any:
    """Return the figure as JSON that the page's script draws into the element `target`."""
    from bokeh.core.types import ID
    from bokeh.embed import json_item

    return json_item(drawn, ID(target))


def holder(target: str) -> str:
    """Return the element that a figure is drawn into."""
    return f'<div class="figure" id="{text(target)}"></div>'
