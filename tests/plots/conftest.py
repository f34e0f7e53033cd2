"""A study made by hand, whose numbers are known, as figures take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from orchestrator.grid.manifest import Manifest
from orchestrator.grid.objective import Objective
from orchestrator.metrics.history import Curve, RunHistory
from orchestrator.store.records import Attempt, Record
from orchestrator.store.states import Cause, State
from orchestrator.tables.sample import Sample, take_sample
from orchestrator.tables.study import Study

Rows = Sequence[tuple[dict[str, Any], float | str | None]]
"""Varying keys, and the value of the metric; None: the run failed."""


def make_sample(*grids: tuple[str, Rows], objective: Objective | None = None, metric: str = "test/ssim", select: str = "") -> Sample:
    """Return runs that returned these values."""
    return take_sample([_study(name, rows, metric, objective) for name, rows in grids], select)


def _study(name: str, rows: Rows, metric: str, objective: Objective | None) -> Study:
    pairs, history = [], {}
    for place, (varying, value) in enumerate(rows):
        run_id = f"{sum(map(ord, name)):08x}{place:08x}"
        failed = {"state": State.FAILED, "cause": Cause.HOST_OOM} if value is None else {"state": State.COMPLETED}
        config = dict(varying)
        pairs.append(
            (Manifest(id=run_id, version=1, config=config, varying=config), Record(id=run_id, attempts=(Attempt(number=1),), **failed))
        )
        history[run_id] = RunHistory(final={} if value is None else {metric: value})
    return Study(grid=name, objective=objective, pairs=pairs, history=history)


def curves_sample(rows: Sequence[tuple[dict[str, Any], Mapping[float, float]]], *, failed: Sequence[int] = ()) -> Sample:
    """Return runs that reported these values at these steps, completed but for those at the places `failed`."""
    pairs, history = [], {}
    for place, (varying, reports) in enumerate(rows):
        run_id = f"{place:016x}"
        state = State.FAILED if place in failed else State.COMPLETED
        pairs.append((Manifest(id=run_id, version=1, config=dict(varying), varying=dict(varying)), Record(id=run_id, state=state)))
        history[run_id] = RunHistory(curves={"val/ssim": Curve(np.array(list(reports), float), np.array(list(reports.values()), float))})
    objective = Objective(name="val/ssim", mode="max")
    return take_sample([Study(grid="g", objective=objective, pairs=pairs, history=history)])


@pytest.fixture
def ratio() -> Sample:
    """The study of the shipped example: blocks over how scarce the data is, three seeds, and a single-task baseline."""
    rng = np.random.default_rng(7)
    levels = {"IIV": 0.86, "IIY": 0.88, "STL": 0.85}
    rows = [
        ({"model.blocks": blocks, "data.scarcity": scarcity, "seed": seed}, level - 0.01 * scarcity + float(rng.normal(0, 0.005)))
        for blocks, level in levels.items()
        for scarcity in range(4)
        for seed in (1, 2, 3)
    ]
    return make_sample(("mtl_knee", rows), objective=Objective(name="test/ssim"))
