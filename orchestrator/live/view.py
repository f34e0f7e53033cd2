"""What the screen of one grid shows: the runs that are wanted, in order, and how their keys are named. Made beside the screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import median
from typing import NamedTuple

from orchestrator.live.filters import Filter, narrow
from orchestrator.live.naming import RunNames, name_keys
from orchestrator.live.order import Order, arrange
from orchestrator.live.reading import GridReader, Sight
from orchestrator.live.rows import Look
from orchestrator.live.words import Words
from orchestrator.results.overview import Line
from orchestrator.store.records import Record
from orchestrator.store.states import FINAL, State


class Wish(NamedTuple):
    """What the person at the screen wants to see."""

    filter: Filter = Filter()
    order: Order = Order.STATE


class View(NamedTuple):
    """Rows to show."""

    lines: list[Line]
    places: dict[str, int]
    """Run id → its row."""
    names: RunNames
    total: int
    """Runs of the grid, shown or not."""
    typical_min: float | None
    """How long a run takes, by those that completed."""
    without: frozenset[str]
    """Columns that hold nothing."""
    all_ended: bool
    """No run computes, and none waits to be started or taken up again."""


def make_view(reader: GridReader, sight: Sight, wish: Wish, words: Words, *, before: View | None = None) -> View:
    """Return the rows that are wanted; raises SelectionError for an expression or signature that means nothing.

    `before`: what was shown until now; where it has the same runs, their keys are named alike.
    """
    matching, alike = reader.matching(sight, wish.filter), reader.alike(sight, wish.filter)
    found = arrange(sight.overview.lines, wish.order, sight.grid.spec.objective)
    lines = narrow(found, wish.filter, matching=matching, alike=alike)
    places = {line.id: place for place, line in enumerate(lines)}
    same = before is not None and before.places.keys() == places.keys()
    return View(
        lines=lines,
        places=places,
        names=before.names if before is not None and same else name_keys(lines, words),
        total=len(sight.overview.lines),
        typical_min=typical_min(sight.records.runs.values()),
        without=frozenset(empty_columns(sight)),
        all_ended=bool(sight.overview.counts) and set(sight.overview.counts) <= _ENDED and not sight.overview.waits,
    )


def left_out(view: View, wish: Wish, look: Look, marked: int) -> Iterator[str]:
    """Yield what the rows do not say: how many are left out, their order, what all of them share, what is written short."""
    if len(view.lines) < view.total:
        yield f"{len(view.lines):,} of {view.total:,} runs"
    if wish.order is not Order.STATE:
        yield f"by {wish.order.value}"
    if marked:
        yield f"{marked:,} marked"
    if view.names.shared:
        yield f"in each row: {look.words.cell(view.names.shared)}"
    if look.brief_names and view.names.legend:
        yield f"short: {look.words.cell(view.names.legend)}"
    if view.all_ended:
        yield "every run has ended"


_MEASURED = ("try", "step", "objective", "trend", "time", "left", "mem", "gpu")
"""Columns that are empty before the first run has started."""


def empty_columns(sight: Sight) -> Iterator[str]:
    """Yield the columns that hold nothing in any row of this grid."""
    if not any(record.attempts for record in sight.records.runs.values()):
        yield from _MEASURED
    if not any(manifest.resources.gpus for manifest in sight.grid.manifests.values()):
        yield "gpu"
    if not sight.overview.counts.get(State.RUNNING.value):
        yield "left"
    if all(line.attempt < 2 for line in sight.overview.lines):
        yield "try"


_ENDED = {state.value for state in FINAL}


def typical_min(records: Iterable[Record]) -> float | None:
    """Return how long a run takes, by the median of those that completed; None before the first."""
    done = [record.spent_s / 60 for record in records if record.state is State.COMPLETED and record.attempts]
    return median(done) if done else None
