"""The table of reports: one row a step and run (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import repeat

import msgspec

from orchestrator.metrics.history import Curve
from orchestrator.results.abbreviations import last_words
from orchestrator.tables.keys import all_keys, key_columns, values_at, varying
from orchestrator.tables.metric_names import choose_metrics, metric_columns
from orchestrator.tables.notes import notes_on_results
from orchestrator.tables.sample import SHORT_ID, Run, Sample
from orchestrator.tables.table import Row, Table, Tables
from orchestrator.tables.wide import head, name, whole


def make_long(sample: Sample, patterns: Sequence[str] = (), *, complete: bool = False) -> Tables:
    """Return one row for each step that a run reported, running and failed ones included."""
    keys = all_keys(sample) if complete else varying(sample)
    metrics = [metric for metric in choose_metrics(patterns, sample) if any(metric in run.reported.curves for run in sample.runs)]
    fixed = (*head(sample), "state", "step")
    keyed, named = key_columns(keys, (*fixed, *metrics)), metric_columns(metrics, fixed)
    table = Table(
        kind="step",
        columns=(*head(sample), *keyed, "state", "step", *named),
        rows=_Reports(sample, keys, metrics),
        notes=tuple(notes_on_results(sample)),
        counts={"runs": len(sample.runs)},
        short=last_words(keyed),
        numeric=("step", *named),
        needed=named[0] if named else "",
    )
    brief = _Reports(sample, keys, metrics, digits=SHORT_ID)
    return Tables(table, lambda: msgspec.structs.replace(table, rows=brief))


class _Reports(Collection[Row]):
    """Rows that are made while they are read: there may be millions."""

    def __init__(self, sample: Sample, keys: Sequence[str], metrics: Sequence[str], *, digits: int | None = None) -> None:
        """`digits`: of a run's id; None: all."""
        self._sample, self._keys, self._metrics, self._digits = sample, keys, metrics, digits

    def __iter__(self) -> Iterator[Row]:
        for run in self._sample.runs:
            *grid, run_id = name(run, self._sample)
            before = (*grid, run_id[: self._digits], *values_at(run, self._keys), run.record.state.value)
            yield from ((*before, *reported) for reported in _steps(run, self._metrics))

    def __len__(self) -> int:
        return sum(sum(1 for _ in _steps(run, self._metrics)) for run in self._sample.runs)

    def __contains__(self, row: object) -> bool:
        return any(row == other for other in self)


def _steps(run: Run, metrics: Sequence[str]) -> Iterator[Row]:
    """Yield (step, value of each metric or None), step by step."""
    curves = [run.reported.curves.get(metric) for metric in metrics]
    known = [curve for curve in curves if curve is not None]
    if not known:
        return
    steps = known[0].steps.tolist()
    if all(_same_steps(curve, known[0]) for curve in known):
        columns = [repeat(None) if curve is None else curve.values.tolist() for curve in curves]
        yield from zip(map(whole, steps), *columns)  # noqa: B905 (repeat has no end)
        return
    tables = [{} if curve is None else dict(zip(curve.steps.tolist(), curve.values.tolist(), strict=True)) for curve in curves]
    for step in sorted(set().union(*tables)):
        yield (whole(step), *(table.get(step) for table in tables))


def _same_steps(one: Curve, other: Curve) -> bool:
    return one.steps is other.steps or (len(one.steps) == len(other.steps) and bool((one.steps == other.steps).all()))
