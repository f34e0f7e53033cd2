"""Read what the runs of a grid reported: each file once, later from the cache."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.metrics.history import History
from orchestrator.store.layout import GridPaths
from orchestrator.store.records import Record


def read_history(paths: GridPaths, records: Iterable[Record]) -> History:
    """Return what these runs of the grid reported, run id → history; an adopted run's is that of the run that stands for it."""
    raise NotImplementedError
