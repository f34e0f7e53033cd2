"""How figures look: colours that colour-blind readers tell apart, markers that grey prints tell apart, sizes of a journal's column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from orchestrator.plots.figure import Line, Role
from orchestrator.store.errors import InputError

MM_PER_INCH = 25.4
COLUMN_MM = 85.0
"""One column of most journals."""
POINTS_PER_INCH = 72.0
FONT_PT = 8.0
SMALL_PT = 7.0
NOTE_PT = 5.5
DPI = 300

COLOURS = ("#0072B2", "#DDAA33", "#882255", "#44AA99", "#56B4E9")
"""Of the palettes of Okabe and Ito, and of Tol: the five that stay farthest apart, for dichromats too; vermilion is kept for the best."""
BASELINE_COLOUR = "#4D4D4D"
BEST_COLOUR = "#D55E00"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
DASHES = ("solid", (0, (4, 1.5)))
MOST_LINES = len(COLOURS) * len(DASHES)
INK = "#262626"
GRID_COLOUR = "#E3E3E3"

SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # it comes with matplotlib: the same bytes everywhere
    "font.size": FONT_PT,
    "axes.labelsize": FONT_PT,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.formatter.useoffset": False,
    "grid.color": GRID_COLOUR,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": SMALL_PT,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": SMALL_PT,
    "legend.title_fontsize": SMALL_PT,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.0,
    "svg.hashsalt": "mrsweep",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # what journals ask for
    "savefig.dpi": DPI,
}


class Look(NamedTuple):
    """How one line is drawn."""

    colour: str
    marker: str
    dash: Any
    width: float
    layer: float
    alpha: float = 1.0


def height_mm(width_mm: float) -> float:
    """Return the height of axes and their labels: what is wider than a column grows more slowly."""
    return 0.7 * min(width_mm, COLUMN_MM) + 0.3 * max(width_mm - COLUMN_MM, 0.0)


def looks_of(lines: Sequence[Line]) -> list[Look]:
    """Return how each line is drawn; raise InputError for more lines than eyes can tell apart."""
    series = [line for line in lines if line.role is Role.SERIES]
    if len(series) > MOST_LINES:
        raise InputError(
            f"--hue: makes {len(series)} lines, and a figure can show {MOST_LINES}. Choose with --where, or average with --over."
        )
    places = iter(range(len(series)))
    return [_look(line, next(places) if line.role is Role.SERIES else 0) for line in lines]


def _look(line: Line, place: int) -> Look:
    if line.role is Role.BASELINE:
        return Look(BASELINE_COLOUR, "", (0, (2.5, 1.5)), 1.2, 3)
    if line.role is Role.BEST:
        return Look(BEST_COLOUR, "", "solid", 5.0, 2.5, 0.4)  # a broad stroke beneath: what it marks stays readable
    return Look(COLOURS[place % len(COLOURS)], MARKERS[place], DASHES[place // len(COLOURS)], 1.2, 4)


def plain(text: str, most: int = 0) -> str:
    """Return text as it is to be drawn: on one line, nothing in it read as a formula, cut where `most` characters are passed."""
    flat = "".join(char if char.isprintable() else "�" for char in " ".join(text.split()))
    cut = flat if not most or len(flat) <= most else flat[: most - 1] + "…"
    return cut.replace("$", r"\$")
