"""Studies made by hand: runs with scores, curves, attempts and pictures, as a report gets them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from orchestrator.cluster.resources import Resources
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.objective import Objective
from orchestrator.metrics.history import Curve, RunHistory
from orchestrator.report.content import Content
from orchestrator.results.cost import Cost
from orchestrator.results.overview import Overview
from orchestrator.results.spending import Spending
from orchestrator.store.records import Attempt, Record
from orchestrator.store.states import Cause, State
from orchestrator.tables.study import Study

NOTHING = Cost(gpu_hours=0, core_hours=0)


def run_id(number: int) -> str:
    """Return an id that tells runs apart by its first digits."""
    return f"{number:08x}" * 2


def points(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination, the last key the quickest."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def manifests(axes: Mapping[str, Sequence[Any]]) -> list[Manifest]:
    resources = Resources(mem_gb=4, time_min=10)
    return [
        Manifest(id=run_id(number), version=1, config={}, varying=point, resources=resources) for number, point in enumerate(points(axes))
    ]


def attempt(number: int = 1, **given: Any) -> Attempt:
    """Return an attempt that completed in a minute on node1."""
    usual = {"number": number, "token": "t", "node": "node1", "started_at": 1000.0, "ended_at": 1060.0, "runtime_s": 60.0}
    return Attempt(**{**usual, "state": State.COMPLETED, "peak_mem_gb": 1.0, **given})


def record(number: int, **given: Any) -> Record:
    usual: dict[str, Any] = {"state": State.COMPLETED, "attempt": 1, "attempts": (attempt(),)}
    return Record(id=run_id(number), **{**usual, **given})


def curve(values: Sequence[float], steps: Sequence[float] | None = None) -> Curve:
    return Curve(np.array(range(1, len(values) + 1) if steps is None else steps, dtype=float), np.array(values, dtype=float))


def study(
    axes: Mapping[str, Sequence[Any]], scores: Sequence[float | None], *, metric: str = "val/ssim", mode: str | None = "max"
) -> Study:
    """Return a study of completed runs with these scores in the order of the points; None: the run failed."""
    pairs, history = [], {}
    for (number, manifest), score in zip(enumerate(manifests(axes)), scores, strict=True):
        if score is None:
            failed = attempt(state=State.FAILED, cause=Cause.ERROR)
            pairs.append((manifest, record(number, state=State.FAILED, cause=Cause.ERROR, attempts=(failed,))))
            continue
        pairs.append((manifest, record(number, metrics={metric: score})))
        history[manifest.id] = RunHistory(curves={metric: curve([score + (1 if mode == "min" else -1), score])}, final={metric: score})
    objective = Objective(name=metric, mode=mode) if mode else None
    return Study(grid="g", objective=objective, pairs=pairs, history=history)


def overview(counts: Mapping[str, int], **given: Any) -> Overview:
    usual = {"spent": Spending(useful=NOTHING, wasted={}, running=NOTHING), "eta_min": None, "waits": (), "failures": (), "notes": ()}
    return Overview(**{"grid": "g", "counts": dict(counts), "orphans": 0, "looked_at": 0.0, "lines": (), **usual, **given})


def content(one: Study, **given: Any) -> Content:
    counts: dict[str, int] = {}
    for _, each in one.pairs:
        counts[each.state.value] = counts.get(each.state.value, 0) + 1
    made = Content(study=one, overview=overview(counts), question="What is best?", target="m:f", made_at="2026-01-02 03:04")
    return msgspec.structs.replace(made, **given)
