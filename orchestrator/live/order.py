"""In which order runs are listed (pure)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum

from orchestrator.grid.objective import Objective
from orchestrator.metrics.lines import as_float
from orchestrator.results.overview import Line
from orchestrator.store.states import State

_FIRST = (State.RUNNING, State.STALLED, State.INTERRUPTED, State.FAILED, State.BLOCKED, State.HELD)
_RANK = {state.value: place for place, state in enumerate(_FIRST)}


class Order(Enum):
    """The value is the word shown to people."""

    STATE = "state"  # what computes, then what stands still, then the others
    OBJECTIVE = "objective"  # the best first
    FILE = "file"  # as the grid file names them

    @property
    def following(self) -> Order:
        """The order that comes next when one goes through them."""
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]


def arrange(lines: Iterable[Line], order: Order, objective: Objective | None) -> list[Line]:
    """Return the lines in this order; lines that are alike in it stay as they are."""
    if order is Order.STATE:
        return sorted(lines, key=lambda line: _RANK.get(line.state, len(_FIRST)))
    if order is Order.OBJECTIVE:
        sign = -1.0 if objective is not None and objective.mode == "max" else 1.0
        return sorted(lines, key=lambda line: _distance(line, sign))
    return list(lines)


def _distance(line: Line, sign: float) -> float:
    """Return how far from the best a run is; what has no finite value comes last."""
    value = as_float(line.objective)
    return sign * value if value is not None and math.isfinite(value) else math.inf
