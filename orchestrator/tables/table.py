"""A table: columns, rows, and what has to be said about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

Row = tuple[Any, ...]
"""One cell a column: a number, a text, a truth, None, or a list or mapping of a config."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows under stable columns."""

    kind: str
    """What a row is: run, step, group, best or matrix."""
    columns: tuple[str, ...]
    rows: Collection[Row]
    notes: tuple[str, ...] = ()
    """Sentences: what is missing, not finite, mixed, renamed."""
    counts: Mapping[str, int] = {}
    """runs, missing, unreported, not_finite."""
    short: Mapping[str, str] = {}
    """Column → its heading where there is little room."""
    aside: tuple[str, ...] = ()
    """Columns that a file to read has only where they are asked for: what a run cost, and where it comes from."""
    decimals: Mapping[str, int] = {}
    """Column → as many decimals as were measured."""
    numeric: Sequence[str] = ()
    """Columns of numbers, and of nothing else but what is missing and the texts of metrics."""
    needed: str = ""
    """The column that is shown where there is room for hardly any: the first metric."""


@dataclass(frozen=True)
class Tables:
    """One answer, twice."""

    data: Table
    """Every figure in full, a value a cell: for csv, tsv, parquet, json and Python."""
    to_page: Callable[[], Table]

    @cached_property
    def page(self) -> Table:
        """The same rounded and compact, as people read it: for the terminal, md, tex and html."""
        return self.to_page()
