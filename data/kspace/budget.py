"""How many positions a mask may sample: counted from the sizes before it is drawn, asserted afterwards."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrik

from data.errors import BadInput

ODDS = 1e-12
"""Chance with which a random number of columns lies beyond either bound."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What the formula of a kind can give at these sizes."""

    asked: float
    """Positions that can be sampled / acceleration."""
    low: int
    """Fewest sampled positions."""
    high: int
    """Most sampled positions."""

    @property
    def tolerance(self) -> float:
        """Farthest from `asked` that a mask may be, in positions."""
        return max(abs(self.low - self.asked), abs(self.high - self.asked))

    def check(self, kind: str, count: int) -> None:
        """Raise AssertionError when a mask of `kind` with `count` positions breaks its own formula: a fault of the program."""
        if not self.low <= count <= self.high:
            raise AssertionError(f"mask {kind}: sampled {count} positions, its formula gives {self.low} to {self.high}")


def spaced(lengths: list[int], spacing: float, *, missing: int = 0) -> tuple[int, int]:
    """Count what every `spacing`-th position gives: fewest and most over stretches of `lengths`.

    A stretch of length n holds ceil(n / spacing) - 1 to floor(n / spacing) + 1 of them, wherever they start and however a tie is
    rounded. `missing`: positions that may be absent because the series starts later.
    """
    low = sum(max(math.ceil(length / spacing) - 1, 0) for length in lengths)
    high = sum(min(math.floor(length / spacing) + 1, length) for length in lengths)
    return max(low - missing, 0), high


def binomial(count: int, probability: float) -> tuple[int, int]:
    """Return bounds that `count` draws with `probability` leave with a chance of ODDS to either side."""
    if not 0 < probability < 1 or count == 0:
        return (count, count) if probability >= 1 else (0, 0)
    low, high = bdtrik([ODDS, 1 - ODDS], count, probability)
    return (0 if math.isnan(low) else max(math.floor(low), 0)), min(math.ceil(high), count)


def periodic(size: tuple[int, int], period: tuple[int, int], points: int) -> tuple[int, int]:
    """Count a pattern of `points` in each `period` over a plane: fewest without the cut periods at its edges, most with whole ones.

    size, period: (y, x).
    """
    low = (size[0] // period[0]) * (size[1] // period[1])
    high = -(-size[0] // period[0]) * -(-size[1] // period[1])
    return points * low, min(points * high, size[0] * size[1])


def thin(candidates: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Keep `count` of the True places, evenly spread over them in the order of memory; all where there are no more.

    Of n places the i-th stays where floor((i + 1) * count / n) exceeds floor(i * count / n), so that what is dropped lies
    (n / dropped) places apart: the adjusted spacing of equispaced_fraction, for any pattern.
    """
    places = np.flatnonzero(candidates)
    if places.size <= count:
        return candidates
    steps = np.arange(places.size + 1) * max(count, 0) // places.size
    kept = np.zeros_like(candidates)
    kept.flat[places[np.diff(steps) > 0]] = True
    return kept


def refuse_excess(what: str, centre: int, positions: int, acceleration: float, *, key: str) -> None:
    """Raise BadInput when the acceleration exceeds the positions, or the centre alone exceeds the budget."""
    if acceleration > positions:
        raise BadInput(f"mask.acceleration is {acceleration:g}, but there are {positions} {what} only. Lower it to {positions} or less.")
    if centre > positions / acceleration:
        raise BadInput(
            f"mask: the centre of {centre} {what} ({key}) is more than "
            f"{positions} {what} / acceleration {acceleration:g} = {positions / acceleration:.1f}. "
            "Lower mask.center_fraction or mask.acceleration."
        )
