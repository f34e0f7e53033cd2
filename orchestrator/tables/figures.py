"""Numbers as people read them: a mean with no more digits than its interval leaves meaning to, a column with equal decimals (pure)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from orchestrator.tables.delimited import as_text
from orchestrator.tables.statistics import Statistics
from orchestrator.tables.table import Table

NONE = "–"

_DIGITS = 4
_MOST_DECIMALS = 6
_NOISE = 1e-9
"""What rounding leaves of equal differences, relative to them."""


def interval(statistics: Statistics, *, sign: bool = False) -> str:
    """Return "0.812 ± 0.004", the mean and half the width of its 95 % interval; without spread the mean alone."""
    mean, half = statistics.mean, statistics.half_width
    if mean is None:
        return NONE
    plus = "+" if sign else ""
    if half is None:
        return f"{mean:{plus}.{_DIGITS}g}"
    if half <= _NOISE * abs(mean):
        return f"{mean:{plus}.{_DIGITS}g} ± 0"
    if max(abs(mean), half) >= 10**_MOST_DECIMALS or (decimals := _decimals(half)) > _MOST_DECIMALS:
        return f"{mean:{plus}.{_DIGITS - 1}g} ± {half:.2g}"
    return f"{mean:{plus}z.{decimals}f} ± {half:.{decimals}f}"


def _decimals(half: float) -> int:
    """Return how many decimals an uncertainty leaves meaning to, by the rule of the Particle Data Group.

    Of the first three digits: up to 354 two digits are kept, up to 949 one, and above it is rounded to 1000, with two.
    """
    exponent = math.floor(math.log10(half))
    leading = round(half / 10.0 ** (exponent - 2))
    return max(0, -exponent + (1 if leading <= 354 else 0))


def as_words(table: Table) -> list[list[str]]:
    """Return the cells of a table as texts: keys as they were written, other numbers with as many decimals as their column needs."""
    if not table.rows:
        return []
    columns = [
        [as_text(cell) for cell in cells] if name in table.short else _column(cells, table.decimals.get(name, _MOST_DECIMALS))
        for name, cells in zip(table.columns, zip(*table.rows, strict=True), strict=True)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _column(cells: Sequence[Any], measured: int) -> list[str]:
    """Return the cells with equal decimals, where these suit all of them. `measured`: so many at most."""
    numbers = [abs(cell) for cell in cells if isinstance(cell, float) and math.isfinite(cell) and cell]
    if not numbers:
        return [as_text(cell) for cell in cells]
    decimals = min(measured, max(0, _DIGITS - 1 - math.floor(math.log10(max(numbers)))))
    alike = decimals <= _MOST_DECIMALS and max(numbers) < 10**_MOST_DECIMALS and min(numbers) >= 10.0**-decimals
    form = f".{decimals}f" if alike else f".{_DIGITS}g"
    return [format(cell, form) if isinstance(cell, float) and math.isfinite(cell) else as_text(cell) for cell in cells]
