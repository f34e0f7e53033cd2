"""Runs that an expression names on the command line, as a baseline or the best."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.grid.where import parse_where
from orchestrator.results.select import flat, selects_none
from orchestrator.store.errors import SelectionError
from orchestrator.tables.keys import GRID
from orchestrator.tables.sample import Run, Sample


def select_runs(sample: Sample, expression: str, option: str) -> tuple[Run, ...]:
    """Return the runs that an expression selects; raise SelectionError, with the option's name, where it selects none."""
    with _named(option):
        values = [{GRID: run.grid, **flat(run.manifest)} for run in sample.runs]
        where = parse_where(expression).completed(values)
        found = tuple(run for run, _ in where.select(zip(sample.runs, values, strict=True), lambda pair: pair[1]))
    if not found:
        raise selects_none(option, expression, where.keys, values)
    return found


def keys_of(expression: str, option: str) -> list[str]:
    """Return the keys that an expression names, as it writes them."""
    with _named(option):
        return sorted(parse_where(expression).keys)


@contextmanager
def _named(option: str) -> Iterator[None]:
    """Let an error name the option in which the expression stands."""
    try:
        yield
    except SelectionError as error:
        raise SelectionError(str(error).replace("--where", option, 1)) from error
