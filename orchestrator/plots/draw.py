"""Draw a figure with matplotlib: no window, no state that outlives the call, and the same bytes for the same figure."""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from orchestrator.plots.figure import Figure, Line, Point, Role
from orchestrator.plots.style import COLUMN_MM, MM_PER_INCH, NOTE_PT, POINTS_PER_INCH, SETTINGS, SMALL_PT, Look, height_mm, looks_of, plain
from orchestrator.store.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.legend import Legend

FORMATS = (".svg", ".png", ".pdf")
LABEL_CHARACTERS = 42
MARKS_ON_A_CURVE = 6
DODGE = 0.7
"""Share of a category's width over which its points stand side by side."""
NO_DATES: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None, "Creator": "mrsweep"},
    ".pdf": {"CreationDate": None, "ModDate": None, "Creator": "mrsweep", "Producer": "matplotlib"},
    ".png": {"Software": None},
}


def render(figure: Figure, suffix: str, *, width_mm: float = COLUMN_MM) -> bytes:
    """Return the figure as a file of this suffix: .svg, .png or .pdf. Raises InputError without matplotlib."""
    with _settings(), io.BytesIO() as stream:
        canvas = draw(figure, width_mm=width_mm)
        canvas.savefig(stream, format=suffix.lstrip("."), metadata=NO_DATES[suffix])
        return stream.getvalue()


@contextmanager
def _settings() -> Iterator[None]:
    """Draw as this module says, whatever matplotlibrc lies about; the caller's settings come back."""
    try:
        import matplotlib
    except ImportError as error:
        raise InputError(f"matplotlib cannot be imported ({error}). Install it with: pip install 'mrsweep[report]'") from error
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the font lacks is drawn as a box
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


def draw(figure: Figure, *, width_mm: float = COLUMN_MM) -> Canvas:
    """Return matplotlib's figure, laid out. Raises InputError for more lines than can be told apart."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    looks = looks_of(figure.lines)
    notes = _wrapped(figure.notes, width_mm)
    width, height = width_mm / MM_PER_INCH, height_mm(width_mm) / MM_PER_INCH
    canvas = Canvas(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02))
    FigureCanvasAgg(canvas)
    axes = canvas.add_subplot()
    _set_axes(axes, figure)
    shifts = _shifts(figure)
    for place, (line, look) in enumerate(zip(figure.lines, looks, strict=True)):
        if figure.is_curve:
            _draw_curve(axes, line, look, place / len(looks))
        else:
            _draw_points(axes, figure, line, look, shifts[place])
    _mark_missing(axes, figure, looks, shifts)
    _set_limits(axes, figure)
    rows = _add_legend(canvas, axes, figure)
    if notes:
        canvas.supxlabel(notes, fontsize=NOTE_PT, x=0.01, ha="left", linespacing=1.3)
    canvas.set_figheight(height + (rows * SMALL_PT * 1.5 + (notes.count("\n") + 1) * NOTE_PT * 1.4) / POINTS_PER_INCH)
    _turn_long_categories(canvas, axes, figure)
    return canvas


def _wrapped(notes: Sequence[str], width_mm: float) -> str:
    characters = int(width_mm / MM_PER_INCH * POINTS_PER_INCH / (NOTE_PT * 0.53))
    return "\n".join(plain(line) for line in textwrap.wrap("; ".join(notes), characters))


def _set_axes(axes: Axes, figure: Figure) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(plain(figure.x.label, LABEL_CHARACTERS))
    axes.set_ylabel(plain(figure.y.label, LABEL_CHARACTERS))
    if figure.y.is_log:
        axes.set_yscale("log")
    if figure.x.is_log:
        axes.set_xscale("log")
    if figure.x.categories:
        axes.set_xticks(range(len(figure.x.categories)), [plain(each, LABEL_CHARACTERS) for each in figure.x.categories])
        axes.grid(visible=False, axis="x")
    elif figure.is_curve:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    else:
        _set_few_ticks(axes, figure)


def _set_few_ticks(axes: Axes, figure: Figure) -> None:
    """Put the ticks at the values themselves, where they are few."""
    values = sorted({point.x for line in figure.lines if not line.is_level for point in line.points})
    gap = min((right - left for left, right in pairwise(values)), default=1.0)
    if len(values) <= 7 and not figure.x.is_log and gap > 0.08 * (values[-1] - values[0]):
        axes.set_xticks(values, [f"{value:g}" for value in values])


def _shifts(figure: Figure) -> list[float]:
    """Return how far the points of each line stand beside the middle of their category."""
    beside = [line for line in figure.lines if not line.is_level]
    if not figure.x.categories or len(beside) < 2:
        return [0.0] * len(figure.lines)
    steps = iter(range(len(beside)))
    return [0.0 if line.is_level else DODGE * ((next(steps) + 0.5) / len(beside) - 0.5) for line in figure.lines]


def _draw_points(axes: Axes, figure: Figure, line: Line, look: Look, shift: float) -> None:
    """Draw means with their intervals: a band where neighbours have one, bars where there is no neighbour or no order."""
    if line.is_level:
        _draw_level(axes, line, look)
        return
    joined = not figure.x.categories
    style: dict[str, Any] = (
        {"marker": look.marker, "linestyle": look.dash} if joined else {"marker": look.marker or "_", "linestyle": "none"}
    )
    x, y = [point.x + shift for point in line.points], [_bound(point.mean) for point in line.points]
    axes.plot(x, y, **style, **_common(line, look))
    _hollow_thin(axes, line, look, shift)
    for stretch in _stretches(line.points) if line.role is not Role.BEST else ():
        if joined and len(stretch) > 1:
            _band(axes, stretch, look)
        else:
            _bars(axes, stretch, look, shift)


def _common(line: Line, look: Look) -> dict[str, Any]:
    label = plain(line.label, LABEL_CHARACTERS)
    return {"color": look.colour, "linewidth": look.width, "alpha": look.alpha, "label": label, "zorder": look.layer}


def _draw_level(axes: Axes, line: Line, look: Look) -> None:
    (point,) = line.points
    if point.mean is None:
        return
    axes.axhline(point.mean, linestyle=look.dash, **_common(line, look))
    if point.low is not None and point.high is not None:
        axes.axhspan(point.low, point.high, color=look.colour, alpha=0.12, linewidth=0, zorder=1)


def _hollow_thin(axes: Axes, line: Line, look: Look, shift: float) -> None:
    """Hollow out the marks of points that are means of fewer runs than the others."""
    thin = [point for point in line.points if point.mean is not None and point.n < line.usual]
    if thin and look.marker:
        axes.plot(
            [point.x + shift for point in thin],
            [_bound(point.mean) for point in thin],
            linestyle="none",
            marker=look.marker,
            markerfacecolor="white",
            markeredgecolor=look.colour,
            zorder=look.layer + 0.5,
        )


def _stretches(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Yield the points with an interval, neighbours together."""
    for has_interval, run in groupby(points, key=lambda point: point.low is not None):
        if has_interval:
            yield list(run)


def _band(axes: Axes, points: Sequence[Point], look: Look) -> None:
    lows, highs = [_bound(point.low) for point in points], [_bound(point.high) for point in points]
    x = [point.x for point in points]
    axes.fill_between(x, lows, highs, color=look.colour, alpha=0.13, linewidth=0, zorder=2)
    for edge in (lows, highs):
        axes.plot(x, edge, color=look.colour, alpha=0.5, linewidth=0.5, zorder=2)


def _bars(axes: Axes, points: Sequence[Point], look: Look, shift: float) -> None:
    lows, highs = [_bound(point.low) for point in points], [_bound(point.high) for point in points]
    axes.vlines([point.x + shift for point in points], lows, highs, color=look.colour, linewidth=look.width, zorder=look.layer - 0.5)


def _bound(value: float | None) -> float:
    return math.nan if value is None else value


def _draw_curve(axes: Axes, line: Line, look: Look, offset: float) -> None:
    """Draw a curve with its band; dotted where it is the mean of fewer runs. `offset`: share of the way to the next mark."""
    x = [point.x for point in line.points]
    whole = [_bound(point.mean) if point.n == line.usual else math.nan for point in line.points]
    every = max(len(x) // MARKS_ON_A_CURVE, 1)
    marks: dict[str, Any] = {"marker": look.marker, "markevery": (int(offset * every), every)}
    axes.plot(x, whole, linestyle=look.dash, **marks, **_common(line, look))
    if any(point.n < line.usual for point in line.points):
        axes.plot(x, _thin_parts(line), linestyle=(0, (1, 1.2)), **marks, **{**_common(line, look), "label": None})
    for stretch in _stretches(line.points) if line.role is not Role.BEST else ():
        _band(axes, stretch, look)


def _thin_parts(line: Line) -> list[float]:
    """Return the means of fewer runs, with the neighbours that they are joined to."""
    thin = [point.n < line.usual for point in line.points]
    near = [any(thin[max(place - 1, 0) : place + 2]) for place in range(len(thin))]
    return [_bound(point.mean) if shown else math.nan for point, shown in zip(line.points, near, strict=True)]


def _mark_missing(axes: Axes, figure: Figure, looks: Sequence[Look], shifts: Sequence[float]) -> None:
    """Put a cross on the axis below each missing cell; crosses of several lines at one place stand one above the other."""
    taken: Counter[float] = Counter()
    for line, look, shift in zip(figure.lines, looks, shifts, strict=True):
        for x in [point.x + shift for point in line.points if not point.n and line.role is not Role.BEST]:
            height = 0.04 * taken[x]
            axes.plot([x], [height], "x", color=look.colour, transform=axes.get_xaxis_transform(), clip_on=False, markersize=4.0, zorder=6)
            taken[x] += 1


def _set_limits(axes: Axes, figure: Figure) -> None:
    """Leave room at both ends, and below for crosses that mark what is missing."""
    if figure.x.categories:
        axes.set_xlim(-0.5, len(figure.x.categories) - 0.5)
    axes.margins(x=0.03 if figure.is_curve else 0.06)
    axes.autoscale_view()
    if figure.missing and not figure.is_curve:
        low, high = axes.get_ylim()
        axes.set_ylim(low * (low / high) ** 0.12 if figure.y.is_log else low - 0.12 * (high - low), high)


def _add_legend(canvas: Canvas, axes: Axes, figure: Figure) -> int:
    """Put the legend above the axes, in as many columns as fit; returns how many rows it takes."""
    if len(figure.lines) < 2 and not figure.legend:
        return 0
    handles, labels = axes.get_legend_handles_labels()
    for columns in range(len(labels), 0, -1):
        legend = _legend(canvas, handles, labels, columns, figure.legend)
        if columns == 1 or legend.get_window_extent().width <= canvas.bbox.width:
            break
        legend.remove()
    return math.ceil(len(labels) / columns) + bool(figure.legend)


def _turn_long_categories(canvas: Canvas, axes: Axes, figure: Figure) -> None:
    """Turn the names of categories where they would run into each other."""
    if not figure.x.categories:
        return
    canvas.draw_without_rendering()
    labels = axes.get_xticklabels()
    room = axes.get_window_extent().width / len(labels)
    if max(label.get_window_extent().width for label in labels) > 0.95 * room:
        for label in labels:
            label.set(rotation=30, ha="right", rotation_mode="anchor")


def _legend(canvas: Canvas, handles: Sequence[Any], labels: Sequence[str], columns: int, title: str) -> Legend:
    return canvas.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=columns,
        title=plain(title, LABEL_CHARACTERS) or None,
        alignment="left",
        handlelength=2.2,
        columnspacing=1.2,
        borderaxespad=0.0,
        borderpad=0.2,
        labelspacing=0.3,
    )
