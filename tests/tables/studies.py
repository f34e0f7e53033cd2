"""Studies made by hand: runs with a config, a state, and what they reported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from orchestrator.grid.dotted import nest
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.objective import Objective
from orchestrator.metrics.history import Curve, RunHistory
from orchestrator.store.events import Number
from orchestrator.store.records import Attempt, Record
from orchestrator.store.states import Cause, State
from orchestrator.tables.question import Question, answer
from orchestrator.tables.sample import Sample, take_sample
from orchestrator.tables.study import Study
from orchestrator.tables.table import Table

SSIM = Objective(name="val/ssim", mode="max")
Case = tuple[Manifest, Record, RunHistory]


def curve(*values: float, steps: Sequence[float] | None = None) -> Curve:
    """A metric reported at steps 1, 2, 3 …"""
    return Curve(np.array(steps or range(1, len(values) + 1), dtype=float), np.array(values, dtype=float))


def history(final: Mapping[str, Number] | None = None, texts: Mapping[str, str] | None = None, **curves: Any) -> RunHistory:
    """What a run reported; in names, __ stands for a slash."""
    named = {name.replace("__", "/"): each if isinstance(each, Curve) else curve(*each) for name, each in curves.items()}
    return RunHistory(curves=named, final=final or {}, texts=texts or {})


def case(
    config: Mapping[str, Any],
    reported: RunHistory | float | None = None,
    *,
    state: State = State.COMPLETED,
    cause: Cause | None = None,
    number: int | None = None,
    constant: Mapping[str, Any] | None = None,
) -> Case:
    """A run with the dotted keys `config`, which vary; a number is its val/ssim, reported once."""
    run_id = hashlib.sha256(repr(sorted(config.items())).encode()).hexdigest()[:16] if number is None else f"{number:016x}"
    done = state is State.COMPLETED
    attempt = Attempt(number=1, token="t", host="n1", job_id="7_1", state=state, runtime_s=12.34, peak_mem_gb=0.5)
    record = Record(id=run_id, state=state, cause=cause, attempts=(attempt,), sha256="ab" if done else "")
    manifest = Manifest(id=run_id, version=1, entry="m:f", config=nest({**config, **(constant or {})}), varying=dict(config))
    if not isinstance(reported, RunHistory):
        reported = history() if reported is None else history(val__ssim=(float(reported),))
    return manifest, record, reported


def study(*cases: Case, grid: str = "g", objective: Objective | None = SSIM, commits: Mapping[str, str] | None = None) -> Study:
    """A grid of these runs."""
    reports = {manifest.id: reported for manifest, _, reported in cases}
    pairs = [(manifest, record) for manifest, record, _ in cases]
    return Study(grid=grid, objective=objective, pairs=pairs, history=reports, commits=commits or {})


def sample(*cases: Case, objective: Objective | None = SSIM, select: str = "") -> Sample:
    """The runs of one grid."""
    return take_sample([study(*cases, objective=objective)], select)


def ask(*cases: Case, objective: Objective | None = SSIM, **question: Any) -> Table:
    """The table that a question gives, to compute with."""
    return answer([study(*cases, objective=objective)], Question(**question)).data


def column(table: Table, name: str) -> list[Any]:
    """The cells of a column."""
    place = table.columns.index(name)
    return [row[place] for row in table.rows]


def notes(table: Table) -> str:
    """All notes of a table."""
    return "\n".join(table.notes)
