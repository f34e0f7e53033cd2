"""A matrix of groups: the values of one key become columns, as of test sites beside train sites (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from orchestrator.grid.canonical import canonical
from orchestrator.results.abbreviations import last_words
from orchestrator.tables.figures import NONE
from orchestrator.tables.grouped import notes_on_sample, usual_n, with_n
from orchestrator.tables.groups import Cell, Group, Groups, Place
from orchestrator.tables.keys import as_word, key_columns, told
from orchestrator.tables.notes import count_runs, notes_on_groups, read_values
from orchestrator.tables.sample import Sample
from orchestrator.tables.table import Table, Tables

EACH = ("", " ci95_low", " ci95_high", " n")
"""What follows a column's name: the mean, its interval, how many values."""

Spread = Mapping[Place, Group]
"""The groups of one row, by the value of the key that is spread."""


def make_matrix(groups: Groups, sample: Sample, across: Sequence[str]) -> Tables:
    """Return a row for each group and metric, with a column for each value of the last keys of `by`, which are `across`."""
    width = len(groups.by) - len(across)
    rows: dict[Place, dict[Place, Group]] = {}
    for group in groups.groups:
        rows.setdefault(group.place[:width], {})[group.place[width:]] = group
    values = {group.place[width:]: group.values[width:] for group in groups.groups}
    names = _names(list(values.values()), across)
    brief = _headings(groups, list(values.values()), across)
    counts = count_runs(sample, groups.metrics, read_values(sample.runs, groups.metrics))
    usual = usual_n(groups.groups)
    by, many = key_columns(groups.by[:width], ("metric", *names)), len(groups.metrics) > 1
    mean = "mean" if many else f"mean of {''.join(groups.metrics)}"
    numeric = [f"{name}{each}" for name in names for each in EACH]
    data = Table(
        kind="matrix",
        columns=(*by, "metric", *numeric),
        rows=[(*head, metric, *_data(found, place, values)) for metric, place, head, found in _rows(groups, rows, width)],
        notes=(*notes_on_sample(groups, sample, mean), *_n(groups, usual), *notes_on_groups(groups)),
        counts=counts,
        numeric=numeric,
    )
    page = msgspec.structs.replace(
        data,
        columns=(*by, *(["metric"] if many else []), *names),
        rows=[
            (*head, *([metric] if many else []), *_page(found, place, values, usual))
            for metric, place, head, found in _rows(groups, rows, width)
        ],
        short={**last_words(by), **dict(zip(names, brief, strict=True))},
    )
    return Tables(data, lambda: page)


def _names(values: Sequence[tuple[Any, ...]], across: Sequence[str]) -> list[str]:
    """Return the columns of values; where a text and a number would be called alike, as JSON writes them."""
    names = [told(across, found, {key: key for key in across}) for found in values]
    if len(set(names)) == len(names):
        return names
    return [" ".join(f"{key}={canonical(value)}" for key, value in zip(across, found, strict=True)) for found in values]


def _headings(groups: Groups, values: Sequence[tuple[Any, ...]], across: Sequence[str]) -> list[str]:
    """Return short headings: of one key its name before the first value only."""
    if len(across) > 1:
        return [told(across, found, last_words(groups.by)) for found in values]
    words = last_words(groups.by)
    return [f"{words[across[0]] if place == 0 else ''}={as_word(value)}" for place, (value,) in enumerate(values)]


def _rows(groups: Groups, rows: Mapping[Place, Spread], width: int) -> Iterator[tuple[str, int, tuple[Any, ...], Spread]]:
    """Yield (metric, its place, the values of the row's keys, its groups): all rows of a metric, then those of the next."""
    for place, metric in enumerate(groups.metrics):
        for found in rows.values():
            yield metric, place, next(iter(found.values())).values[:width], found


def _data(found: Spread, place: int, values: Mapping[Place, Any]) -> Iterator[Any]:
    for at in values:
        cell = _cell(found, at, place)
        known = cell.statistics if cell is not None else None
        yield from (known.mean, known.low, known.high, known.n) if known is not None else (None, None, None, 0)


def _page(found: Spread, place: int, values: Mapping[Place, Any], usual: int) -> Iterator[str | None]:
    """Yield a cell for each column: empty where the grid holds no run, a dash where none has a value."""
    for at in values:
        cell = _cell(found, at, place)
        yield None if cell is None else with_n(cell, usual) if cell.statistics.n else NONE


def _cell(found: Spread, at: Place, place: int) -> Cell | None:
    return found[at].cells[place] if at in found else None


def _n(groups: Groups, usual: int) -> Iterator[str]:
    """Yield how many values a cell has, and what an empty one means."""
    counts = {cell.statistics.n for group in groups.groups for cell in group.cells}
    yield f"n = {usual} in each cell" if counts == {usual} else f"n = {usual}, or as it stands in parentheses; {NONE}: no value"
