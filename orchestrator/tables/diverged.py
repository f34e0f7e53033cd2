"""Runs whose selection metric ended NaN or infinite, or never was finite: they count all the same, and it has to be said (pure)."""

from __future__ import annotations

from orchestrator.tables.metric_names import is_finite
from orchestrator.tables.sample import Run, Sample
from orchestrator.tables.values import ended_infinite, value_of


def diverged_later(sample: Sample) -> list[Run]:
    """Return the completed runs that have a selected step, and whose selection metric was NaN or infinite at its end."""
    selection = sample.selection
    if selection is None:
        return []
    return [run for run in sample.completed if run.step is not None and ended_infinite(run.reported, selection)]


def never_finite(sample: Sample) -> list[Run]:
    """Return the completed runs without a finite value of the selection metric, reported or returned: no step is selected."""
    selection = sample.selection
    if selection is None:
        return []
    lacking = [run for run in sample.completed if run.step is None]
    return [run for run in lacking if not is_finite(value_of(run.reported, selection.name, None))]
