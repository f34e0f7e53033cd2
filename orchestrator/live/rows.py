"""Runs, grids and failures as rows of a table that fits the terminal (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from orchestrator.live.glimpse import Glimpse
from orchestrator.live.naming import RunNames
from orchestrator.live.sparkline import sparkline
from orchestrator.live.words import Words
from orchestrator.results.failures import Failure, doubt
from orchestrator.results.overview import Line
from orchestrator.store.states import State
from orchestrator.watchdog.recorded import Recorded

GAP = 1
"""Blanks between columns."""
TREND = 10
BROKEN = "×"
"""Stands after the value of a run whose last report of the objective was NaN or infinite."""
_COMPUTING = frozenset({State.RUNNING.value, State.STALLED.value})

LEAST_LABEL, MOST_LABEL = 16, 34
"""Columns are left out until the varying keys have the room they need, within these bounds."""


class Column(NamedTuple):
    """A heading and its room; the last column of a table takes what is left."""

    name: str
    width: int
    right: bool = False
    coloured: bool = False
    """Shows the colour of its row."""
    is_metric: bool = False
    """Its name is a metric's, which may be that of another column."""


class Cells(NamedTuple):
    """One row, ready to be shown."""

    cells: tuple[str, ...]
    style: str = ""
    """Word for its colour: good, bad, busy, wait, or none."""


_RUN_COLUMNS = (
    Column(" ", 1, coloured=True),
    Column("id", 8),
    Column("state", 22, coloured=True),
    Column("try", 3, right=True),
    Column("step", 5, right=True),
    Column("objective", 10, right=True),
    Column("trend", TREND, coloured=True),
    Column("time", 7, right=True),
    Column("left", 7, right=True),
    Column("mem", 5, right=True),
    Column("gpu", 5, right=True),
    Column("run", LEAST_LABEL),
)
_GIVE_WAY = ("left", "try", "id", "gpu", "time", "step", "mem", "trend")
"""Columns that are left out where there is no room, the first first."""
_BRIEF_STATE = 9
"""Room of a state without its cause."""

_STYLES = {
    State.RUNNING: "busy",
    State.STALLED: "bad",
    State.FAILED: "bad",
    State.INTERRUPTED: "wait",
    State.BLOCKED: "wait",
    State.HELD: "wait",
    State.COMPLETED: "good",
}
_STYLE_OF = {state.value: style for state, style in _STYLES.items()}


def run_columns(width: int, *, metric: str, need: int, full: int = 0, without: Collection[str] = ()) -> tuple[Column, ...]:
    """Return the columns that a terminal of this width has room for.

    `metric`: heading of the objective's column; `need`, `full`: room of the varying keys with values written short and
    written out; `without`: columns that hold nothing.
    """
    least = min(max(need, LEAST_LABEL), MOST_LABEL)
    columns = [column for column in _RUN_COLUMNS if column.name not in without]
    if _room(columns, width) < max(least, full):
        columns = [column._replace(width=_BRIEF_STATE) if column.name == "state" else column for column in columns]
    for name in _GIVE_WAY:
        if _room(columns, width) >= least:
            break
        columns = [column for column in columns if column.name != name]
    return tuple(column._replace(name=metric, is_metric=True) if column.name == "objective" else column for column in columns)


def _room(columns: Sequence[Column], width: int) -> int:
    """Return what is left for the last column."""
    return width - sum(column.width + GAP for column in columns[:-1])


class Look(NamedTuple):
    """What all rows of runs have in common."""

    columns: tuple[Column, ...]
    words: Words
    names: RunNames
    marked: Collection[str] = ()
    metric: str | None = None
    """Of which the value and the curve are shown."""
    objective: str | None = None
    typical_min: float | None = None
    """How long a run takes."""
    brief_names: bool = False
    """Names of keys are written short."""
    brief_values: bool = False
    """Values of keys are written short."""


def run_cells(line: Line, glimpse: Glimpse, look: Look) -> Cells:
    """Return the row of one run."""
    told = {
        " ": "●" if line.id in look.marked else "",
        "id": line.id[:8],
        "state": _state(line, look.columns),
        "try": look.words.cell(line.attempt or ""),
        "step": look.words.cell(glimpse.step if glimpse.step is not None else line.step),
        "trend": sparkline(glimpse.curve(look.metric), TREND) if look.metric else "",
        "time": look.words.minutes(line.minutes),
        "left": look.words.minutes(left_min(line, look.typical_min)),
        "mem": gigabytes(glimpse.mem_gb),
        "gpu": gigabytes(glimpse.gpu_gb),
        "run": label(line, look),
    }
    value = look.words.cell(value_shown(line, glimpse, look.metric, look.objective))
    value += BROKEN if glimpse.is_broken(look.objective) else ""
    return Cells(tuple(value if column.is_metric else told[column.name] for column in look.columns), _STYLE_OF.get(line.state, ""))


def _state(line: Line, columns: Iterable[Column]) -> str:
    brief = any(column.name == "state" and column.width == _BRIEF_STATE for column in columns)
    return line.state if brief or not line.cause or line.state == State.COMPLETED.value else f"{line.state} ({line.cause})"


def value_shown(line: Line, glimpse: Glimpse, metric: str | None, objective: str | None) -> object:
    """Return the value of a metric at the step of the row: the newest; of a run that has ended that of its selected step."""
    known = line.objective if metric == objective else None
    if known is not None and line.state not in _COMPUTING:
        return known  # of the objective the record holds the value at the selected step
    reported = glimpse.value(metric) if metric is not None else None
    return known if reported is None else reported


def label(line: Line, look: Look) -> str:
    """Return the varying keys that tell this run from the other rows."""
    return look.words.cell(look.names.written(line, brief_names=look.brief_names, brief_values=look.brief_values) or line.label)


def fitting(look: Look, lines: Sequence[Line], width: int) -> Look:
    """Return how rows are written so that these lines fit: where one has too little room names are written short, then values too."""
    room = _room(look.columns, width)
    for brief_names, brief_values in ((False, False), (True, False), (True, True)):
        look = look._replace(brief_names=brief_names, brief_values=brief_values)
        if all(len(label(line, look)) <= room for line in lines):
            break
    return look


def left_min(line: Line, typical_min: float | None) -> float | None:
    """Return how long a computing run still takes, when it takes as long as others did."""
    if typical_min is None or line.minutes is None or line.state != State.RUNNING.value:
        return None
    return max(0.0, typical_min - line.minutes)


def gigabytes(value: float | None) -> str:
    """Return an amount of memory in few characters."""
    return "" if value is None else f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


FAILURE_COLUMNS = (Column("id", 6), Column("runs", 6, right=True), Column("cause", 22, coloured=True), Column("message", 20))
GRID_COLUMNS = (Column("grid", 24), Column("runs", 7, right=True), Column("last recorded", 13), Column("states", 20, coloured=True))


def failure_cells(failure: Failure, words: Words) -> Cells:
    """Return the row of runs that ended alike."""
    cause = f"{failure.cause}{doubt(failure)}"
    return Cells((failure.id, f"{len(failure.runs):,}", cause, words.cell(failure.message)), "bad")


def grid_cells(grid: Recorded, words: Words, now: float) -> Cells:
    """Return the row of a grid; of one that cannot be read why."""
    if grid.problem:
        return Cells((words.cell(grid.grid), "", "", words.cell(grid.problem)), "bad")
    style = next((style for state, style in _STYLE_OF.items() if state in grid.counts), "")
    total = f"{sum(grid.counts.values()):,}"
    return Cells((words.cell(grid.grid), total, words.age(grid.recorded_at, now), words.counts(grid.counts)), style)
