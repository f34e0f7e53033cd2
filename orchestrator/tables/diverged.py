"""Runs whose selection metric ended NaN or infinite after its best step: they count, and it has to be said (pure)."""

from __future__ import annotations

from orchestrator.tables.sample import Run, Sample
from orchestrator.tables.values import ended_infinite


def diverged_later(sample: Sample) -> list[Run]:
    """Return the completed runs that have a selected step, and whose selection metric was NaN or infinite at its end."""
    selection = sample.selection
    if selection is None:
        return []
    return [run for run in sample.completed if run.step is not None and ended_infinite(run.reported, selection)]
