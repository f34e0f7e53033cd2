"""The table of runs: one row a run, with what varies, what it reached, what it cost and where it comes from (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from orchestrator.results.abbreviations import last_words
from orchestrator.store.events import Number
from orchestrator.store.layout import attempt_name
from orchestrator.store.records import Attempt, Record
from orchestrator.store.states import State
from orchestrator.tables.keys import GRID, all_keys, key_columns, values_at, varying
from orchestrator.tables.metric_names import choose_metrics, metric_columns
from orchestrator.tables.notes import count_runs, notes_on_runs, read_values
from orchestrator.tables.sample import Run, Sample
from orchestrator.tables.table import Table, Tables

COST = ("attempts", "runtime_s", "spent_s", "peak_mem_gb", "peak_gpu_gb")
DECIMALS = {"runtime_s": 1, "spent_s": 1, "peak_mem_gb": 2, "peak_gpu_gb": 2}
ORIGIN = ("attempt", "job_id", "node", "commit", "adopted_from")
"""Which attempt speaks for the run, and where it was computed."""


def make_wide(sample: Sample, patterns: Sequence[str] = (), *, complete: bool = False) -> Tables:
    """Return one row a run. `patterns`: the metrics; `complete`: every key of the config, not only those that vary."""
    keys = all_keys(sample) if complete else varying(sample)
    metrics = choose_metrics(patterns, sample)
    values = read_values(sample.runs, metrics)
    fixed = (*head(sample), "state", "cause", "step", "standing", *COST, *ORIGIN)
    keyed, named = key_columns(keys, (*fixed, *metrics)), metric_columns(metrics, fixed)
    data = Table(
        kind="run",
        columns=(*head(sample), *keyed, "state", "cause", "step", *named, *COST, *ORIGIN),
        rows=[_row(run, sample, keys, found) for run, found in zip(sample.runs, values, strict=True)],
        notes=tuple(notes_on_runs(sample, metrics, values)),
        counts=count_runs(sample, metrics, values),
        short=last_words(keyed),
        aside=(*COST, *ORIGIN),
        decimals=DECIMALS,
        numeric=("step", *named, *COST),
        needed=named[0] if named else "",
    )
    return Tables(data, partial(_page, data, sample, keyed, named))


def _page(data: Table, sample: Sample, keys: Sequence[str], metrics: Sequence[str]) -> Table:
    """Return the table for people: the metrics beside the keys, and the state there only where it differs."""
    named = len(head(sample))
    rows = [(*row[: named - 1], run.id, run.standing, *row[named:]) for row, run in zip(data.rows, sample.runs, strict=True)]
    columns = (*head(sample), "standing", *data.columns[named:])
    early = ("standing",) if any(not run.is_completed for run in sample.runs) else ()
    late = () if early else ("standing",)
    chosen = (*head(sample), *keys, *early, *metrics, "step", *late, *COST, *ORIGIN)
    places = [columns.index(column) for column in chosen]
    shown = tuple("state" if column == "standing" else column for column in chosen)
    return msgspec.structs.replace(data, columns=shown, rows=[tuple(row[place] for place in places) for row in rows])


def head(sample: Sample) -> tuple[str, ...]:
    """Return the columns that name a run: of several grids also which."""
    return (GRID, "id") if len(sample.grids) > 1 else ("id",)


def name(run: Run, sample: Sample) -> tuple[str, ...]:
    """Return the cells of those columns."""
    return (run.grid, run.manifest.id) if len(sample.grids) > 1 else (run.manifest.id,)


def _row(run: Run, sample: Sample, keys: Sequence[str], values: Sequence[Number]) -> tuple[Any, ...]:
    record = run.record
    reached = (record.state.value, record.cause.value if record.cause else None, whole(run.step))
    return (*name(run, sample), *values_at(run, keys), *reached, *values, *_cost(record, run.last), *origin(run))


def whole(step: float | None) -> float | int | None:
    """Return a step as the whole number that it nearly always is."""
    return int(step) if step is not None and step.is_integer() else step


def _cost(record: Record, last: Attempt | None) -> tuple[float | int | None, ...]:
    """Return the cells of the columns COST; an attempt that still computes is not measured yet."""
    count = len(record.attempts)
    if last is None:
        return (0, None, None, None, None)
    runtime = None if last.state is State.RUNNING else round(last.runtime_s, 1)
    if count == 1 and runtime is not None:
        return (1, runtime, runtime, round(last.peak_mem_gb, 3), round(last.peak_gpu_gb, 3))
    ended = [attempt for attempt in record.attempts if attempt.state is not State.RUNNING]
    if not ended:
        return (count, None, None, None, None)
    memory = round(max([attempt.peak_mem_gb for attempt in ended]), 3)
    gpu = round(max([attempt.peak_gpu_gb for attempt in ended]), 3)
    return (count, runtime, round(record.spent_s, 1), memory, gpu)


def origin(run: Run) -> tuple[str | None, ...]:
    """Return the cells of the columns ORIGIN."""
    last, adopted = run.last, run.record.adopted_from or None
    if last is None:
        return (run.record.adopted_attempt or None, None, None, None, adopted)
    return (_attempt(last), last.job_id or None, last.host or None, run.commit or None, adopted)


def _attempt(attempt: Attempt) -> str:
    return attempt_name(attempt.number, attempt.restart)
