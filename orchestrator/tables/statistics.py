"""Statistics of a few repeated measurements: mean, spread, and the interval that Student's t gives for the mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CONFIDENCE = 0.95
_LARGEST = 1e150


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What finite values come to; None where there are too few of them."""

    n: int
    mean: float | None = None
    std: float | None = None
    """Of the sample: the sum of squares divided by n - 1 (ddof = 1)."""
    low: float | None = None
    """The 95 % confidence interval of the mean, by Student's t with n - 1 degrees of freedom."""
    high: float | None = None
    median: float | None = None
    min: float | None = None
    max: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half of the confidence interval."""
        return None if self.std is None else margin(self.std, self.n)


def describe(values: Sequence[float]) -> Statistics:
    """Return the statistics of finite values. One value has no spread, and no interval."""
    n = len(values)
    if not n:
        return Statistics(n=0)
    largest = max(map(abs, values))
    if largest > _LARGEST:  # its square, or the sum, is beyond what a float holds
        return _scaled(describe([value / largest for value in values]), largest)
    ranked = sorted(map(float, values))
    mean = min(max(math.fsum(ranked) / n, ranked[0]), ranked[-1])  # the mean of equal values is rounded, and would lie beside them
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else None
    half = None if std is None else margin(std, n)
    return Statistics(
        n=n,
        mean=mean,
        std=std,
        low=None if half is None else mean - half,
        high=None if half is None else mean + half,
        median=(ranked[(n - 1) // 2] + ranked[n // 2]) / 2,
        min=ranked[0],
        max=ranked[-1],
    )


def _scaled(statistics: Statistics, factor: float) -> Statistics:
    """Return the statistics of values that are larger by a factor; what is beyond a float is infinite."""
    figures = {name: value * factor for name, value in msgspec.structs.asdict(statistics).items() if name != "n" and value is not None}
    return msgspec.structs.replace(statistics, **figures)


class Means(NamedTuple):
    """The mean of each column of a table, over the finite values in it."""

    n: npt.NDArray[np.int64]
    """How many these are."""
    mean: npt.NDArray[np.float64]
    """0 where there is none."""
    half: npt.NDArray[np.float64]
    """Half the width of its confidence interval; 0 where fewer than two values have no spread."""


def mean_of_columns(values: npt.NDArray[np.float64]) -> Means:
    """Return the means of the columns of a table, (run, step), and their intervals; what is not finite is left out."""
    import numpy as np

    present = np.isfinite(values)
    n = present.sum(axis=0)
    mean = np.where(present, values, 0.0).sum(axis=0) / np.maximum(n, 1)
    squares = np.where(present, (values - mean) ** 2, 0.0).sum(axis=0)
    of_one = np.array([margin(1.0, each) if each > 1 else 0.0 for each in n.tolist()])
    return Means(n, mean, np.sqrt(squares / np.maximum(n - 1, 1)) * of_one)


def margin(std: float, n: int) -> float:
    """Return half the width of the confidence interval of a mean of n values."""
    return _quantile(n - 1) * std / math.sqrt(n)


@cache
def _quantile(degrees: int) -> float:
    """Return the two-sided quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))
