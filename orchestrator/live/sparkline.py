"""A curve as a few characters (pure)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

BARS = "▁▂▃▄▅▆▇█"
BROKEN = "×"
"""Stands where no value of a stretch is finite."""


def sparkline(values: Sequence[float], width: int) -> str:
    """Return the curve in at most `width` characters: the lowest value is the lowest bar, of several values to a bar the mean counts."""
    means = [_mean(part) for part in _parts(values, width)]
    finite = [mean for mean in means if mean is not None]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    return "".join(BROKEN if mean is None else _bar(mean, low, high) for mean in means)


def _parts(values: Sequence[float], width: int) -> list[Sequence[float]]:
    """Return the values in at most `width` stretches, as equal as can be."""
    count = min(len(values), max(width, 0))
    edges = [len(values) * place // count for place in range(count + 1)] if count else []
    return [values[start:stop] for start, stop in pairwise(edges)]


def _mean(values: Sequence[float]) -> float | None:
    finite = [value / len(values) for value in values if math.isfinite(value)]
    return math.fsum(finite) * len(values) / len(finite) if finite else None


def _bar(value: float, low: float, high: float) -> str:
    """Return the bar of a value; where all are equal the one in the middle."""
    span = high / 2 - low / 2  # of two huge values the plain difference is no number
    if span <= 0:
        return BARS[len(BARS) // 2 - 1]
    return BARS[min(int((value / 2 - low / 2) / span * len(BARS)), len(BARS) - 1)]
