"""What many runs reported, in a few long columns: a curve is a piece of them, made when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from orchestrator.metrics.history import Curve, RunHistory, Shown
from orchestrator.store.events import Number

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]


class Notes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run reported beside numbers."""

    texts: dict[str, str] = {}
    final: dict[str, Number] = {}
    """What metrics.json holds."""
    unread: int = 0
    stepless: int = 0
    errors: int = 0
    """Files and folders that could not be read: what is in them is missing."""


class Row(NamedTuple):
    """One run, before it is put into columns."""

    run: str
    key: str
    """What its files were when they were read; empty: they are to be read again."""
    curves: Mapping[str, Curve]
    notes: Notes


class CurveIndex(NamedTuple):
    """A row for each curve; of a run they lie one after the other."""

    metric: Integers
    """Place in `names`."""
    steps_at: Integers
    """Where its steps begin, counted from the first of its run: metrics that were reported together share them."""
    values_at: Integers
    length: Integers


class Columns(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The rows of many runs."""

    runs: Sequence[str]
    keys: Sequence[str]
    names: Sequence[str]
    """The metrics."""
    notes: Mapping[str, Notes]
    """Run → notes, for runs that have some."""
    series_from: Integers
    """Where a run's curves begin; one more than runs."""
    steps_from: Integers
    values_from: Integers
    series: CurveIndex
    steps: Floats
    values: Floats

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """Run → its row."""
        return {run: row for row, run in enumerate(self.runs)}

    def history(self, row: int, final: Mapping[str, Number]) -> RunHistory:
        """Return what one run reported. `final`: what its entry returned."""
        notes = self.notes.get(self.runs[row], NO_NOTES)
        return to_history(dict(self._curves(row)), notes, {**notes.final, **final})

    def _curves(self, row: int) -> Iterator[tuple[str, Curve]]:
        first, last = self.series_from[row : row + 2].tolist()
        steps_from, values_from = int(self.steps_from[row]), int(self.values_from[row])
        for metric, steps_at, values_at, length in zip(*(column[first:last].tolist() for column in self.series), strict=True):
            steps_at, values_at = steps_at + steps_from, values_at + values_from
            yield self.names[metric], Curve(self.steps[steps_at : steps_at + length], self.values[values_at : values_at + length])


NO_NOTES = Notes()


def to_history(curves: Mapping[str, Curve], notes: Notes, final: Mapping[str, Number], shown: Shown | None = None) -> RunHistory:
    """Return what one run reported. `final`: what its entry returned, and what metrics.json holds."""
    return RunHistory(
        curves=curves,
        texts=notes.texts,
        final=final,
        unread=notes.unread,
        stepless=notes.stepless,
        errors=notes.errors,
        shown=shown,
    )


def to_columns(rows: Iterable[Row]) -> Columns:
    """Put rows into columns."""
    building = _Building()
    for row in rows:
        building.add(row)
    return building.columns()


class _Building:
    """Columns that grow."""

    def __init__(self) -> None:
        self._runs: list[str] = []
        self._keys: list[str] = []
        self._names: dict[str, int] = {}
        self._notes: dict[str, Notes] = {}
        self._series: list[tuple[int, int, int, int]] = []
        self._ends = [(0, 0, 0)]
        self._steps: list[Floats] = []
        self._values: list[Floats] = []

    def add(self, row: Row) -> None:
        """Add a run."""
        self._runs.append(row.run)
        self._keys.append(row.key)
        if row.notes != NO_NOTES:
            self._notes[row.run] = row.notes
        begun: dict[int, int] = {}
        steps_at = values_at = 0
        for name, (steps, values) in row.curves.items():
            begin = begun.setdefault(id(steps), steps_at)
            if begin == steps_at and len(steps):
                self._steps.append(steps)
                steps_at += len(steps)
            self._values.append(values)
            self._series.append((self._names.setdefault(name, len(self._names)), begin, values_at, len(values)))
            values_at += len(values)
        series, steps_from, values_from = self._ends[-1]
        self._ends.append((series + len(row.curves), steps_from + steps_at, values_from + values_at))

    def columns(self) -> Columns:
        """Return what was added."""
        import numpy as np

        series_from, steps_from, values_from = np.array(self._ends, np.int64).T.copy()
        return Columns(
            runs=self._runs,
            keys=self._keys,
            names=list(self._names),
            notes=self._notes,
            series_from=series_from,
            steps_from=steps_from,
            values_from=values_from,
            series=CurveIndex(*np.array(self._series, np.int64).reshape(-1, 4).T.copy()),
            steps=_sealed([np.empty(0), *self._steps]),
            values=_sealed([np.empty(0), *self._values]),
        )


def _sealed(parts: Sequence[Floats]) -> Floats:
    """Return parts as one column that nobody changes by mistake: its pieces are handed out."""
    import numpy as np

    column = np.concatenate(parts)
    column.flags.writeable = False
    return column


def join(parts: Sequence[Columns]) -> Columns:
    """Return the rows of all parts; each run is in one of them only."""
    import numpy as np

    names = list(dict.fromkeys(name for part in parts for name in part.names))
    place = {name: number for number, name in enumerate(names)}
    metrics = [np.array([place[name] for name in part.names], np.int64)[part.series.metric] for part in parts]
    others = [part.series[1:] for part in parts]
    return Columns(
        runs=[run for part in parts for run in part.runs],
        keys=[key for part in parts for key in part.keys],
        names=names,
        notes={run: note for part in parts for run, note in part.notes.items()},
        series_from=_chained([part.series_from for part in parts]),
        steps_from=_chained([part.steps_from for part in parts]),
        values_from=_chained([part.values_from for part in parts]),
        series=CurveIndex(np.concatenate(metrics), *(np.concatenate(column) for column in zip(*others, strict=True))),
        steps=_sealed([part.steps for part in parts]),
        values=_sealed([part.values for part in parts]),
    )


def _chained(bounds: Sequence[Integers]) -> Integers:
    """Return where rows begin when parts lie one after the other."""
    import numpy as np

    lengths = np.concatenate([np.diff(each) for each in bounds])
    return np.concatenate(([0], np.cumsum(lengths)))


def pick(columns: Columns, rows: Sequence[int]) -> Columns:
    """Return some of the rows."""
    import numpy as np

    if len(rows) == len(columns.runs):
        return columns
    chosen = np.array(rows, np.int64)
    series, series_from = _picked(columns.series_from, chosen)
    steps, steps_from = _picked(columns.steps_from, chosen)
    values, values_from = _picked(columns.values_from, chosen)
    runs = [columns.runs[row] for row in rows]
    return Columns(
        runs=runs,
        keys=[columns.keys[row] for row in rows],
        names=columns.names,
        notes={run: columns.notes[run] for run in runs if run in columns.notes},
        series_from=series_from,
        steps_from=steps_from,
        values_from=values_from,
        series=CurveIndex(*(column[series] for column in columns.series)),
        steps=_sealed([columns.steps[steps]]),
        values=_sealed([columns.values[values]]),
    )


def _picked(bounds: Integers, rows: Integers) -> tuple[Integers, Integers]:
    """Return the places that chosen rows take of a column, and where each row then begins."""
    import numpy as np

    lengths = (bounds[1:] - bounds[:-1])[rows]
    starts = np.concatenate(([0], np.cumsum(lengths)))
    return np.arange(starts[-1]) + np.repeat(bounds[rows] - starts[:-1], lengths), starts
