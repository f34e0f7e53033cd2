"""What the reports of a run come to: best and last objective, from metrics.jsonl or from the event files of a foreign trainer."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping

import msgspec

from orchestrator.grid.objective import Objective
from orchestrator.metrics.lines import as_float, as_number
from orchestrator.metrics.merging import merge_reports
from orchestrator.metrics.reports import Reports, flattened, read_reports, step_of
from orchestrator.metrics.sources import event_series, list_sources
from orchestrator.store.events import Number
from orchestrator.store.layout import AttemptPaths


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What the reports of a run come to."""

    reports: int = 0
    """Lines of metrics.jsonl, and values of the objective in event files."""
    best: Number = None
    best_step: int | None = None
    last: Number = None
    finite: int = 0
    """Reports that held a finite value of the objective."""


def summarise(attempts: Iterable[AttemptPaths], objective: Objective | None) -> Summary:
    """Fold the metrics of an attempt and of those that it continues, oldest first; NaN never is the best."""
    count = 0
    told: list[Mapping[float, object]] = []
    for attempt in attempts:
        values: dict[float, object] = {}
        for reports in read_reports(attempt.metrics):
            count += len(reports.lines)
            values |= _in_reports(reports, objective)
        if objective is not None and not values:
            values = _in_event_files(attempt, objective.name)
            count += len(values)
        told.append(values)
    return _summary(count, merge_reports(told), objective)


def _in_reports(reports: Reports, objective: Objective | None) -> dict[float, object]:
    if objective is None:
        return {}
    flat = ((step_of(line), dict(flattened(line))) for line in reports.lines)
    return {step: line[objective.name] for step, line in flat if objective.name in line}


def _in_event_files(attempt: AttemptPaths, name: str) -> dict[float, object]:
    sources, _ = list_sources(os.fspath(attempt.dir))
    series = event_series(sources.events).get(name) if sources.events else None
    return {} if series is None else dict(zip(series.steps.tolist(), series.values.tolist(), strict=True))


def _summary(reports: int, values: Mapping[float, object], objective: Objective | None) -> Summary:
    if objective is None or not values:
        return Summary(reports=reports)
    numbers = {step: as_float(value) for step, value in values.items()}
    finite = {step: number for step, number in numbers.items() if number is not None and math.isfinite(number)}
    last = _stored(values[max(values)])
    if not finite:
        return Summary(reports=reports, last=last)
    pick = max if objective.mode == "max" else min
    best_step = pick(finite, key=lambda step: finite[step])
    return Summary(reports=reports, best=finite[best_step], best_step=int(best_step), last=last, finite=len(finite))


def _stored(value: object) -> Number:
    try:
        return as_number(value)
    except TypeError:  # a command reported a list
        return None
