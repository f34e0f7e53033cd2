"""The objective of finished runs: as a number, and of how many it is missing."""

from __future__ import annotations

import math
from collections.abc import Iterable

from orchestrator.grid.objective import Objective
from orchestrator.metrics.lines import as_float
from orchestrator.store.events import Number
from orchestrator.store.records import Record
from orchestrator.store.states import State


def count_unreported(records: Iterable[Record], objective: Objective | None) -> int:
    """Return how many completed runs have no finite value of the grid's objective: it was never reported, or was no number."""
    return sum(record.state is State.COMPLETED and record.best is None for record in records) if objective is not None else 0


def number(value: Number) -> float:
    """Return a metric as a float, NaN for a text; the words nan, inf and -inf are what JSON cannot hold."""
    found = as_float(value)
    return math.nan if found is None else found
