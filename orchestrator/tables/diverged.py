"""Runs whose selection metric ended NaN or infinite after its best step: they count, and it has to be said (pure)."""

from __future__ import annotations

import math

from orchestrator.grid.objective import Objective
from orchestrator.metrics.history import RunHistory
from orchestrator.metrics.lines import as_float
from orchestrator.tables.sample import Run, Sample


def diverged_later(sample: Sample) -> list[Run]:
    """Return the completed runs that have a selected step, and whose selection metric was NaN or infinite at its end."""
    selection = sample.selection
    if selection is None:
        return []
    return [run for run in sample.completed if run.step is not None and ended_infinite(run.reported, selection)]


def ended_infinite(reported: RunHistory, selection: Objective) -> bool:
    """Say whether the last report of a metric, or what the entry returned under its name, is NaN or infinite."""
    curve = reported.curves.get(selection.name)
    if curve is not None and len(curve.values) and not math.isfinite(curve.values.item(-1)):
        return True
    returned = as_float(reported.final.get(selection.name))
    return returned is not None and not math.isfinite(returned)
