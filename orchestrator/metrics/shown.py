"""The file that keeps what tables show of the curves, so that they need not be read: derived, like the curves' own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import msgspec

from orchestrator.grid.objective import Objective
from orchestrator.metrics.columns import Columns, Notes
from orchestrator.metrics.derived import Damaged, read_derived, write_derived
from orchestrator.metrics.history import Shown
from orchestrator.metrics.selecting import show
from orchestrator.store.layout import GridPaths

_MAGIC = b"mrsweep shown   2\n"


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """What is shown of one run."""

    shape: int
    """Place in `shapes`."""
    step: float | None
    place: int
    end: float | None
    values: list[float | None]
    """Of the metrics of its shape; None: not reported at the step."""


class AllShown(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """What is shown of the runs of a grid."""

    selection: Objective | None
    runs: list[str]
    keys: list[str]
    """What the files of each run were when they were read; empty: they are to be read again."""
    notes: dict[str, Notes]
    shapes: list[list[str]]
    """Which metrics a run has curves of; most runs have the same."""
    rows: list[_Row]

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """Run → its row."""
        return {run: row for row, run in enumerate(self.runs)}

    def names(self, row: int) -> Sequence[str]:
        """Return the metrics of which a run has curves."""
        return self.shapes[self.rows[row].shape]

    def shown(self, row: int) -> Shown:
        """Return what is shown of a run."""
        found = self.rows[row]
        values = dict(zip(self.shapes[found.shape], found.values, strict=True))
        if None in found.values:
            values = {name: value for name, value in values.items() if value is not None}
        return Shown(self.selection, found.step, found.place, found.end, values)  # type: ignore[arg-type]


def show_all(columns: Columns, selection: Objective | None) -> AllShown:
    """Return what is shown of all runs."""
    shapes: dict[tuple[str, ...], int] = {}
    rows = []
    for row in range(len(columns.runs)):
        curves = columns.history(row, {}).curves
        shown = show(curves, selection)
        shape = shapes.setdefault(tuple(curves), len(shapes))
        rows.append(_Row(shape, shown.step, shown.place, shown.end, [shown.values.get(name) for name in curves]))
    return AllShown(selection, list(columns.runs), list(columns.keys), dict(columns.notes), [list(shape) for shape in shapes], rows)


def read_shown(paths: GridPaths, selection: Objective | None) -> AllShown | None:
    """Return what was shown last; None where nothing is kept, not by this selection, or not whole."""
    try:
        length, body = read_derived(paths.shown, _MAGIC)
        found = msgspec.msgpack.decode(body[:length], type=AllShown)
    except (OSError, Damaged, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if found.selection == selection and _is_sound(found) else None


def _is_sound(found: AllShown) -> bool:
    """Say whether each run has a row, and each row a shape with as many metrics as it has values."""
    sizes = [len(shape) for shape in found.shapes]
    aligned = len(found.runs) == len(found.keys) == len(found.rows)
    return aligned and all(0 <= row.shape < len(sizes) and sizes[row.shape] == len(row.values) for row in found.rows)


def write_shown(paths: GridPaths, shown: AllShown) -> None:
    """Keep what is shown."""
    write_derived(paths.shown, _MAGIC, msgspec.msgpack.encode(shown))
