"""What the value of a metric is: as reported at the run's selected step, else what the entry returned."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from orchestrator.grid.objective import Objective
from orchestrator.metrics.history import Curve, RunHistory
from orchestrator.metrics.lines import as_float
from orchestrator.store.errors import InputError
from orchestrator.store.events import Number
from orchestrator.tables.study import Study


class Selected(NamedTuple):
    """Where the selection metric of a run was best."""

    step: float
    place: int
    """Of the step among those of that metric; most others were reported at the same steps."""


def selected_step(run: RunHistory, selection: Objective | None) -> float | None:
    """Return the step at which the selection metric was best among its finite values, the first of equals; None where there is none."""
    found = select_step(run, selection)
    return None if found is None else found.step


def select_step(run: RunHistory, selection: Objective | None) -> Selected | None:
    """Return the selected step, and where it stands."""
    curve = run.curves.get(selection.name) if selection is not None else None
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


def value_of(run: RunHistory, metric: str, step: float | None) -> Number:
    """Return the value of a metric of a run.

    That is what was reported at the selected `step`; else what the entry returned; else, where there is no selected step,
    the last report; else None. A metric that held texts only has the last of them.
    """
    return values_of(run, (metric,), step)[0]


def values_of(run: RunHistory, metrics: Iterable[str], step: float | None, near: int = 0) -> list[Number]:
    """Return the values of several metrics of a run, as `value_of` does. `near`: where the step stands in one of the curves."""
    values: list[Number] = []
    curves = run.curves
    for metric in metrics:
        curve = curves.get(metric)
        if curve is not None and step is not None:
            steps, reported = curve
            if near < len(steps) and steps.item(near) == step:  # where it stood in the curve before
                values.append(reported.item(near))
                continue
            place = int(steps.searchsorted(step))
            if place < len(steps) and steps.item(place) == step:
                near = place
                values.append(reported.item(place))
                continue
        values.append(_without_step(run, metric, curve, step))
    return values


def _without_step(run: RunHistory, metric: str, curve: Curve | None, step: float | None) -> Number:
    """Return the value of a metric that was not reported at the selected step."""
    if metric in run.final:
        final = run.final[metric]
        number = as_float(final) if isinstance(final, str) else None
        return final if number is None else number
    if curve is None:
        return run.texts.get(metric)
    return curve.values.item(-1) if step is None and len(curve.values) else None


def bare_name(text: str) -> str:
    """Return the metric that `--select` or `--best` names, without the direction before it."""
    mode, _, name = text.partition(":")
    return name if name and mode in ("max", "min") else text


def parse_selection(text: str, objective: Objective | None, option: str = "--select") -> Objective:
    """Return the metric that `--select` or `--best` names, with its direction: that of the objective, or max: or min: before the name."""
    mode, _, name = text.partition(":")
    if name == bare_name(text):
        return Objective(name=name, mode=mode)
    if objective is not None and text == objective.name:
        return objective
    told = f"the objective is {objective.name} ({objective.mode})" if objective is not None else "the grid file names no objective"
    raise InputError(
        f"{option} {text}: whether more or less of it is better is not known; {told}. Write {option} max:{text} or {option} min:{text}."
    )


def common_objective(studies: Sequence[Study]) -> Objective | None:
    """Return the objective that all grids share; one that names none goes along with the others. Raises InputError where they differ."""
    named = {study.grid: study.objective for study in studies if study.objective is not None}
    if len(set(named.values())) <= 1:
        return next(iter(named.values()), None)
    told = ", ".join(f"{grid} by {objective.name} ({objective.mode})" for grid, objective in named.items())
    first = next(iter(named.values()))
    raise InputError(f"the grids select by different metrics: {told}. Say which holds for all, with --select {first.mode}:{first.name}")
