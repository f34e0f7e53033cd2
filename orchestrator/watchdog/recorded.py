"""A grid as its ledger has it: how many runs are in which state, without a look at the scheduler."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from orchestrator.launch.opened import OpenGrid
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import read_records


class Recorded(NamedTuple):
    """What was written down of a grid."""

    grid: str
    counts: dict[str, int] = {}
    recorded_at: float | None = None
    """When it was written to last; None before the first launch."""
    problem: str = ""
    """Why it cannot be read, where whoever lists grids goes on with the others."""


def read_recorded(runs: Path, name: str) -> Recorded:
    """Return how a grid stands; raises StoreError for one that is damaged."""
    opened = OpenGrid(GridPaths(runs / name))
    records = read_records(opened.paths)
    opened.check(records)
    counts = Counter(records.get(run_id).state.value for run_id in opened.manifests)
    at = max((records.looked_at, *(record.since for record in records.runs.values())))
    return Recorded(name, dict(counts), at or None)
