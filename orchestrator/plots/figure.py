"""What a figure shows, before anything is drawn: lines of points with intervals, axes, and what has to be said beneath."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

import msgspec

DECADES = 100.0
"""From this ratio of the largest to the smallest on, an axis is logarithmic."""


class Role(Enum):
    """What a line stands for."""

    SERIES = "series"
    BASELINE = "baseline"
    BEST = "best"


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A mean over runs, and its 95 % confidence interval."""

    x: Any
    """A number, or a value of a category."""
    n: int
    """Runs that it is the mean of; 0: the cell is missing."""
    mean: float | None = None
    low: float | None = None
    """None: a single run has no interval."""
    high: float | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one colour."""

    label: str
    points: tuple[Point, ...]
    role: Role = Role.SERIES
    is_level: bool = False
    """One value for every x: drawn across the figure."""

    @property
    def usual(self) -> int:
        """Of how many runs its points are means at most."""
        return max((point.n for point in self.points), default=0)


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """One axis."""

    label: str
    is_log: bool = False
    categories: tuple[str, ...] = ()
    """Of an axis without numbers: what stands at 0, 1, 2 …"""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is drawn."""

    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    is_curve: bool = False
    """x is the step: many points a line."""
    legend: str = ""
    """What the labels of the lines tell."""
    notes: tuple[str, ...] = ()
    """What stands beneath: the mean of what, n, what is missing."""

    @property
    def missing(self) -> int:
        """How many cells have no value."""
        return sum(not point.n for line in self.lines for point in line.points)


def spans_decades(values: Sequence[float]) -> bool:
    """Say whether positive numbers span two decades or more."""
    return len(values) > 1 and min(values) > 0 and max(values) / min(values) >= DECADES


def drawn_values(lines: Sequence[Line]) -> Iterator[float]:
    """Yield the means of all points."""
    yield from (point.mean for line in lines for point in line.points if point.mean is not None and math.isfinite(point.mean))


def counts(lines: Sequence[Line]) -> str:
    """Return how many runs a point is the mean of: "n = 3", "n = 2–3"."""
    found = {point.n for line in lines for point in line.points if point.n}
    return f"n = {min(found)}" if len(found) == 1 else f"n = {min(found)}–{max(found)}" if found else "n = 0"
