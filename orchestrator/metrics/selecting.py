"""Which step of a run speaks for it, and what its metrics were there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from orchestrator.grid.objective import Objective
from orchestrator.metrics.history import Curve, Shown


class Selected(NamedTuple):
    """Where the selection metric of a run was best."""

    step: float
    place: int
    """Of the step among those of that metric; most others were reported at the same steps."""


def select(curves: Mapping[str, Curve], selection: Objective | None) -> Selected | None:
    """Return the step at which the selection metric was best among its finite values, the first of equals; None where there is none."""
    curve = curves.get(selection.name) if selection is not None else None
    if selection is None or curve is None or not len(curve.values):
        return None
    values = curve.values
    place = int(values.argmax() if selection.mode == "max" else values.argmin())
    if not math.isfinite(values.item(place)):  # a NaN and an infinity win against all others
        return _select_finite(curve, selection.mode)
    return Selected(curve.steps.item(place), place)


def _select_finite(curve: Curve, mode: str) -> Selected | None:
    finite = [(value, place) for place, value in enumerate(curve.values.tolist()) if math.isfinite(value)]
    if not finite:
        return None
    pick = max if mode == "max" else min
    place = pick(finite, key=lambda pair: pair[0])[1]
    return Selected(curve.steps.item(place), place)


def value_at(curve: Curve, step: float, near: int) -> tuple[float | None, int]:
    """Return what a curve holds at a step, and where that is; None where nothing was reported. `near`: where to look first."""
    steps, reported = curve
    if not (near < len(steps) and steps.item(near) == step):  # where it stood in the curve before
        near = int(steps.searchsorted(step))
    return (reported.item(near), near) if near < len(steps) and steps.item(near) == step else (None, near)


def show(curves: Mapping[str, Curve], selection: Objective | None) -> Shown:
    """Return what a table shows of a run's curves."""
    selected = select(curves, selection)
    ends = curves[selection.name].values.item(-1) if selected is not None and selection is not None else None
    if selected is None:
        return Shown(selection, None, 0, None, {name: curve.values.item(-1) for name, curve in curves.items()})
    values, near = {}, selected.place
    for name, curve in curves.items():
        value, near = value_at(curve, selected.step, near)
        if value is not None:
            values[name] = value
    return Shown(selection, selected.step, selected.place, ends, values)
