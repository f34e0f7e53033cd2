"""The table of all runs, for the page's script, which shows the rows in sight and filters and sorts the others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import msgspec

from orchestrator.grid.manifest import Manifest
from orchestrator.metrics.history import EMPTY
from orchestrator.metrics.lines import as_float
from orchestrator.report.axes import UNSET, label
from orchestrator.report.markup import Section, paragraph, text
from orchestrator.report.scores import Scores
from orchestrator.results.counting import count
from orchestrator.store.events import Number
from orchestrator.store.records import Record
from orchestrator.store.states import State
from orchestrator.tables.metric_names import choose_metrics, known_metrics
from orchestrator.tables.sample import take_sample
from orchestrator.tables.study import Study
from orchestrator.tables.values import selected_step, values_of

MOST_METRICS = 8
"""Columns besides the score."""


def table_section(study: Study, keys: Sequence[str], scores: Scores) -> Section:
    """Hand every run to the script: id, what varies, state, score, other metrics as the summary has them, cost and place."""
    if not study.pairs:
        return Section("runs", "All runs", paragraph("The grid has no run, or the selection names none."), is_empty=True)
    reports = {record.id: study.reported(record.id) for _, record in study.pairs if record.state is State.COMPLETED}
    metrics = [*([scores.metric] if scores.metric else []), *shown_metrics(study, scores.metric)]
    head = ["run", *keys, "state", "cause", *metrics, "minutes", "memory [GB]", "attempts", "node"]
    rows = []
    for manifest, record in study.pairs:
        run = reports.get(record.id, EMPTY)
        values = values_of(run, metrics, selected_step(run, study.objective))
        rows.append(_row(manifest, record, keys, values))
    data = {"columns": head, "rows": rows}
    told = text(help_on_filter(study, keys, scores))
    body = (
        f'<div class="filter"><input id="runs-filter" type="search" placeholder="{told}" aria-label="Filter: {told}" autocomplete="off">'
        f'<output id="runs-count" for="runs-filter">{count(len(rows), "run")}</output></div>'
        '<div id="runs-table" class="rolling" tabindex="0"></div>'
    )
    return Section("runs", "All runs", body, data={"runs": data})


def help_on_filter(study: Study, keys: Sequence[str], scores: Scores) -> str:
    """Say what to type, in words of this grid: its first key with the first value of it, and a score about the middle."""
    examples = ["failed"]
    for key in keys[:1]:
        values = [str(cell(manifest.varying, key)) for manifest, _ in study.pairs]
        examples += [f"{key.rpartition('.')[2]}={value}" for value in values if value and " " not in value][:1]
    if scores.by_run:
        sign = "<" if scores.mode == "min" else ">"
        examples.append(f"{scores.metric.rpartition('/')[2]}{sign}{median(scores.by_run.values()):.2g}")
    return f"Words that a row must hold, or a comparison: {' · '.join(examples)}"


def shown_metrics(study: Study, score: str) -> list[str]:
    """Return the metrics besides the score that most completed runs have, at most MOST_METRICS, in the order of the summary."""
    sample = take_sample([study])
    sample = msgspec.structs.replace(sample, runs=tuple(sample.completed))
    known = known_metrics(sample.runs)
    ordered = [name for name in choose_metrics((), sample) if name != score]
    kept = sorted(ordered, key=lambda name: -known[name])[:MOST_METRICS]
    return [name for name in ordered if name in kept]


def _row(manifest: Manifest, record: Record, keys: Sequence[str], values: Iterable[Number]) -> list[Any]:
    last = record.decisive
    cells: list[Any] = [manifest.id, *(cell(manifest.varying, key) for key in keys)]
    cells += [record.state.value, record.cause.value if record.cause else ""]
    cells += map(_metric, values)
    cells.append(round(record.spent_s / 60, 2) if record.attempts else None)
    cells.append(round(max(one.peak_mem_gb for one in record.attempts), 3) if record.attempts else None)
    return [*cells, len(record.attempts), (last.node or last.host) if last else ""]


def cell(varying: Mapping[str, Any], key: str) -> Any:
    """Return a value as the script sorts it: numbers as numbers, all else as text."""
    value = varying.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    shown = label(value)
    return "" if shown == UNSET else shown


def _metric(value: Any) -> Any:
    found = as_float(value)
    return found if found is not None and math.isfinite(found) else "" if value is None else str(value)
