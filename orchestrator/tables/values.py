"""What the value of a metric is: as reported at the run's selected step, else what the entry returned."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from orchestrator.grid.objective import Objective
from orchestrator.metrics.history import RunHistory
from orchestrator.metrics.lines import as_float
from orchestrator.metrics.selecting import Selected, select, value_at
from orchestrator.store.errors import InputError
from orchestrator.store.events import Number
from orchestrator.tables.study import Study


def selected_step(run: RunHistory, selection: Objective | None) -> float | None:
    """Return the step at which the selection metric was best among its finite values, the first of equals; None where there is none."""
    found = select_step(run, selection)
    return None if found is None else found.step


def select_step(run: RunHistory, selection: Objective | None) -> Selected | None:
    """Return the selected step, and where it stands."""
    shown = run.shown
    if shown is None or shown.selection != selection:
        return select(run.curves, selection)
    return None if shown.step is None else Selected(shown.step, shown.place)


def value_of(run: RunHistory, metric: str, step: float | None) -> Number:
    """Return the value of a metric of a run.

    That is what was reported at the selected `step`; else what the entry returned; else, where there is no selected step,
    the last report; else None. A metric that held texts only has the last of them.
    """
    return values_of(run, (metric,), step)[0]


def values_of(run: RunHistory, metrics: Iterable[str], step: float | None, near: int = 0) -> list[Number]:
    """Return the values of several metrics of a run, as `value_of` does. `near`: where the step stands in one of the curves."""
    if run.shown is not None and run.shown.step == step:
        known = run.shown.values
        return [known[metric] if metric in known and step is not None else _without_step(run, metric, step) for metric in metrics]
    values: list[Number] = []
    for metric in metrics:
        curve = run.curves.get(metric)
        value, near = value_at(curve, step, near) if curve is not None and step is not None else (None, near)
        values.append(_without_step(run, metric, step) if value is None else value)
    return values


def _without_step(run: RunHistory, metric: str, step: float | None) -> Number:
    """Return the value of a metric that was not reported at the selected step."""
    if metric in run.final:
        final = run.final[metric]
        number = as_float(final) if isinstance(final, str) else None
        return final if number is None else number
    if metric not in run.curves:
        return run.texts.get(metric)
    return _last(run, metric) if step is None else None


def _last(run: RunHistory, metric: str) -> float | None:
    if run.shown is not None and run.shown.step is None:
        return run.shown.values.get(metric)
    values = run.curves[metric].values
    return values.item(-1) if len(values) else None


def ended_infinite(run: RunHistory, selection: Objective) -> bool:
    """Say whether the last report of a metric, or what the entry returned under its name, is NaN or infinite."""
    end = _end(run, selection)
    returned = as_float(run.final.get(selection.name))
    return any(value is not None and not math.isfinite(value) for value in (end, returned))


def _end(run: RunHistory, selection: Objective) -> float | None:
    if run.shown is not None and run.shown.selection == selection and run.shown.end is not None:
        return run.shown.end
    curve = run.curves.get(selection.name)
    return curve.values.item(-1) if curve is not None and len(curve.values) else None


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
