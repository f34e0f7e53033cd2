"""The table of groups: mean and interval over seeds, and the difference to a baseline (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from orchestrator.results.abbreviations import last_words
from orchestrator.tables.figures import interval
from orchestrator.tables.groups import Cell, Gap, Group, Groups, told_gaps
from orchestrator.tables.keys import key_columns
from orchestrator.tables.metric_names import metric_columns, notes_on_values
from orchestrator.tables.notes import count_runs, notes_on_groups, notes_on_results, notes_on_selection, read_values
from orchestrator.tables.sample import Sample
from orchestrator.tables.table import Table, Tables

STATISTICS = ("n", "of", "mean", "std", "ci95_low", "ci95_high", "median", "min", "max")
DIFFERENCE = ("pairs", "difference", "difference_low", "difference_high")


def make_grouped(groups: Groups, sample: Sample, *, compared: bool) -> Tables:
    """Return a row for each group and metric with all statistics, and for people a row a group. `compared`: to a baseline."""
    notes = (*notes_on_sample(groups, sample), *notes_on_groups(groups))
    counts = count_runs(sample, groups.metrics, read_values(sample.runs, groups.metrics))
    after = ("metric", *STATISTICS, *(DIFFERENCE if compared else ()), "missing")
    by = key_columns(groups.by, (*after, *groups.metrics))
    short, needed = last_words(by), groups.metrics[0] if groups.metrics else ""
    columns = (*by, *after)
    rows = [_data(group, cell, compared) for group in groups.groups for cell in group.cells]
    numeric = [column for column in after if column not in ("metric", "missing")]
    data = Table(kind="group", columns=columns, rows=rows, notes=notes, counts=counts, short=short, numeric=numeric)
    pages = [tuple(_page(group, compared)) for group in groups.groups]
    page = Table(
        kind="group", columns=(*by, *_headings(groups, compared)), rows=pages, notes=notes, counts=counts, short=short, needed=needed
    )
    return Tables(data, lambda: page)


def notes_on_sample(groups: Groups, sample: Sample, mean: str = "mean") -> tuple[str, ...]:
    """Return what holds for all groups: what a cell holds and is taken over, and what is wrong with values and names."""
    done = sample.completed
    values = read_values(done, groups.metrics)
    over = f"{mean} ± half of the 95 % interval (Student's t), over {', '.join(groups.spanned) or 'one run each'}"
    return (over, *groups.notes, *notes_on_selection(sample), *notes_on_results(sample), *notes_on_values(groups.metrics, done, values))


def all_gaps(group: Group, cell: Cell) -> tuple[Gap, ...]:
    """Return why a cell has fewer values than it should."""
    return (*group.gaps, *cell.gaps)


def _data(group: Group, cell: Cell, compared: bool) -> tuple[Any, ...]:
    found = cell.statistics
    known = (found.n, group.expected, found.mean, found.std, found.low, found.high, found.median, found.min, found.max)
    difference = _difference(cell) if compared else ()
    return (*group.values, cell.metric, *known, *difference, told_gaps(all_gaps(group, cell)) or None)


def _difference(cell: Cell) -> tuple[Any, ...]:
    found = cell.difference
    return (None,) * len(DIFFERENCE) if found is None else (found.n, found.mean, found.low, found.high)


def _headings(groups: Groups, compared: bool) -> Iterator[str]:
    yield "n"
    for metric in metric_columns(groups.metrics, ("n", "difference")):
        yield metric
        if compared:
            yield "difference" if len(groups.metrics) == 1 else f"Δ {metric}"


def _page(group: Group, compared: bool) -> Iterator[Any]:
    yield from group.values
    n = usual_n([group])
    yield f"{n} of {group.expected}" if n < group.expected else n
    for cell in group.cells:
        yield with_n(cell, n)
        if compared:
            yield _compared(cell)


def usual_n(groups: Iterable[Group]) -> int:
    """Return how many values most cells have: the largest number of all."""
    return max((cell.statistics.n for group in groups for cell in group.cells), default=0)


def with_n(cell: Cell, usual: int) -> str:
    """Return mean and interval; where there are fewer values than usual, in parentheses how many."""
    n = cell.statistics.n
    return f"{interval(cell.statistics)}{f' ({n})' if 0 < n < usual else ''}"


def _compared(cell: Cell) -> str:
    found = cell.difference
    if found is None:
        return "baseline"
    return f"{interval(found, sign=True)}{f' ({found.n})' if 0 < found.n < cell.statistics.n else ''}"
