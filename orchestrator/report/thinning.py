"""Fewer points that tell the same: common steps of many curves, and even picks from long lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from orchestrator.metrics.history import Curve

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

T = TypeVar("T")

MOST_STEPS = 200
"""Points of a drawn curve."""


def evenly(values: Sequence[T], most: int) -> list[T]:
    """Return at most `most` of the values, evenly spread, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    if most < 2:
        return list(values[:most])
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


def common_steps(curves: Sequence[Curve], most: int = MOST_STEPS) -> tuple[npt.NDArray[np.float64], bool]:
    """Return the steps at which curves are drawn together, all that any of them has, and whether they were thinned, for too many."""
    import numpy as np

    steps: npt.NDArray[np.float64] = np.unique(np.concatenate([curve.steps for curve in curves]))
    if len(steps) <= most:
        return steps, False
    places = np.round(np.linspace(0, len(steps) - 1, most)).astype(int)
    return np.take(steps, places), True


def at_steps(curve: Curve, steps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what a curve holds at other steps; NaN where it has no report of just that step."""
    import numpy as np

    places = np.minimum(np.searchsorted(curve.steps, steps), len(curve.steps) - 1)
    return np.where(curve.steps[places] == steps, curve.values[places], np.nan)


def up_to_steps(curve: Curve, steps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return a curve at thinned steps, which need not be its own: its last report up to each; NaN before its first and after its last."""
    import numpy as np

    places = np.searchsorted(curve.steps, steps, side="right") - 1
    values = np.where(places >= 0, curve.values[np.maximum(places, 0)], np.nan)
    return np.where(steps <= curve.steps[-1], values, np.nan)
