"""The runs that a table is made from, of one grid or several: each with its selected step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from orchestrator.grid.manifest import Manifest
from orchestrator.grid.objective import Objective
from orchestrator.metrics.history import RunHistory
from orchestrator.store.records import Attempt, Record
from orchestrator.store.states import State
from orchestrator.tables.known import count_metrics, unknown_metric
from orchestrator.tables.study import Study
from orchestrator.tables.values import bare_name, common_objective, parse_selection, select_step

SHORT_ID = 8
"""Digits of a run's id that are enough for people."""


class Run(NamedTuple):
    """One run of one of the grids."""

    grid: str
    manifest: Manifest
    record: Record
    reported: RunHistory
    step: float | None
    """The selected step; None: it has none."""
    place: int
    """Where that step stands among those of the selection metric."""
    last: Attempt | None
    """The attempt that speaks for the run."""
    commit: str

    @property
    def id(self) -> str:
        return self.manifest.id[:SHORT_ID]

    @property
    def is_completed(self) -> bool:
        return self.record.state is State.COMPLETED

    @property
    def standing(self) -> str:
        """How a run without a result stands: "failed (host_oom)"."""
        cause = self.record.cause
        return f"{self.record.state.value} ({cause.value})" if cause and cause.value != self.record.state.value else self.record.state.value


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What a table is made from."""

    runs: tuple[Run, ...]
    """Grid after grid, each in the order of its manifest."""
    grids: tuple[str, ...]
    objective: Objective | None
    """The grids' own; None also where `selection` replaces objectives that differ."""
    selection: Objective | None
    """By which each run's step was selected."""

    @property
    def completed(self) -> list[Run]:
        return [run for run in self.runs if run.is_completed]


def take_sample(studies: Sequence[Study], select: str = "", best: str = "") -> Sample:
    """Return the runs of all studies with their selected steps.

    The metric that selects them is that of `select`, else that of `best`, else the grids' objective. Raises InputError for
    a metric that no run reported, for one whose direction is not known, and for objectives that differ while neither is given.
    """
    for text, told in ((select, "--select"), (best, "--best")):
        _check_reported(text, studies, told)
    objective = _objective(studies, select or best)
    named, option = (select, "--select") if select else (best, "--best")
    selection = parse_selection(named, objective, option) if named else objective
    runs = [run for study in studies for run in _runs(study, selection)]
    return Sample(runs=tuple(runs), grids=tuple(study.grid for study in studies), objective=objective, selection=selection)


def _check_reported(text: str, studies: Sequence[Study], option: str) -> None:
    """Refuse a metric that no run reported, before its direction matters; where there is no run at all, nothing is known."""
    records = [record for study in studies for _, record in study.pairs]
    if not text or not records:
        return
    known = count_metrics(study.reported(manifest.id) for study in studies for manifest, _ in study.pairs)
    if bare_name(text) not in known and text not in known:
        raise unknown_metric(bare_name(text), option, known, records)


def _objective(studies: Sequence[Study], named: str) -> Objective | None:
    """Return what the grids have in common; where the direction is written out, they need have nothing in common."""
    written = named.startswith(("max:", "min:"))
    differ = len({study.objective for study in studies if study.objective is not None}) > 1
    return None if written and differ else common_objective(studies)


def _runs(study: Study, selection: Objective | None) -> list[Run]:
    found = []
    for manifest, record in study.pairs:
        reported = study.reported(manifest.id)
        last = record.decisive
        commit = study.commits.get(last.token, "") if last is not None else ""
        selected = select_step(reported, selection)
        step, place = (None, 0) if selected is None else selected
        found.append(Run(study.grid, manifest, record, reported, step, place, last, commit))
    return found
