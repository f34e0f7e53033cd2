"""The best run of each group: ranked by one metric, with what it reached in the others at the same step (pure)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from orchestrator.grid.objective import Objective
from orchestrator.results.abbreviations import last_words
from orchestrator.store.events import Number
from orchestrator.tables.groups import per_group
from orchestrator.tables.keys import GRID, has_key, key_columns, told, values_at, varying
from orchestrator.tables.metric_names import check_metric, choose_metrics, is_finite, metric_columns, notes_on_values
from orchestrator.tables.notes import MOST_GROUPS, count_runs, notes_on_results, notes_on_test, read_values, told_extreme
from orchestrator.tables.sample import SHORT_ID, Run, Sample
from orchestrator.tables.table import Row, Table, Tables
from orchestrator.tables.values import value_of
from orchestrator.tables.wide import ORIGIN, head, origin, whole


class Ranking(NamedTuple):
    """The runs of one group, judged."""

    values: tuple[Any, ...]
    """Of the keys that make the group."""
    best: Run | None
    ties: int
    """Other runs with the same value."""
    ranked: int
    of: int
    unranked: Counter[str]
    """Why runs are not ranked."""


def make_best(sample: Sample, metric: Objective, per: Sequence[str], patterns: Sequence[str] = ()) -> Tables:
    """Return the best run of each group of `per`: `metric` ranks, `patterns` are the metrics that are shown beside it.

    Runs that are not completed, or have a value among these that is not finite where other runs have one, are counted and
    not ranked: a perfect score beside an infinite one is no result.
    """
    check_metric(metric.name, sample.runs, "--best")
    shown = tuple(dict.fromkeys([metric.name, *choose_metrics(patterns, sample)]))
    faults = _faults(sample, metric.name, shown)
    rankings = [rank(values, runs, metric, faults) for values, runs in per_group(sample, per)]
    keys = [key for key in varying(sample) if key not in per]
    done = sample.completed
    named_by = _named_by(sample, per)
    fixed = (*named_by, "step", "ranked", "of", *ORIGIN, "not_ranked")
    group, keyed, named = key_columns(per, (*fixed, *shown)), key_columns(keys, (*fixed, *shown)), metric_columns(shown, fixed)
    data = Table(
        kind="best",
        columns=(*group, *named_by, *keyed, *named, "step", "ranked", "of", *ORIGIN, "not_ranked"),
        rows=[_row(ranking, named_by, keys, shown) for ranking in rankings],
        notes=(
            *_selected(sample, metric),
            *notes_on_results(sample),
            *notes_on_values(shown, done, read_values(done, shown)),
            *_ranked(rankings, per),
        ),
        counts=count_runs(sample, shown, read_values(sample.runs, shown)),
        short=last_words((*group, *keyed)),
        aside=ORIGIN,
        numeric=("step", *named, "ranked", "of"),
        needed=named[0],
    )
    columns = (*group, *named_by, *keyed, *named, "ranked", "step", *ORIGIN)
    page = msgspec.structs.replace(data, columns=columns, rows=[_page(data, row, columns) for row in data.rows])
    return Tables(data, lambda: page)


def _named_by(sample: Sample, per: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that name the best run: its grid stands there already where that makes the group."""
    is_told = GRID in per and not any(has_key(run, GRID) for run in sample.runs)
    return ("id",) if is_told else head(sample)


def _page(data: Table, row: Row, columns: Sequence[str]) -> Row:
    """Return a row for people: a short id, and in one cell how many runs of how many were ranked."""
    cells = dict(zip(data.columns, row, strict=True))
    cells["id"] = cells["id"] and cells["id"][:SHORT_ID]
    if cells["ranked"] != cells["of"]:
        cells["ranked"] = f"{cells['ranked']} of {cells['of']}"
    return tuple(cells[column] for column in columns)


def rank(values: tuple[Any, ...], runs: Sequence[Run], metric: Objective, faults: dict[str, str]) -> Ranking:
    """Return the best of some runs. `faults`: id → why a run cannot be ranked."""
    runs = list({run.manifest.id: run for run in reversed(runs)}.values())[::-1]  # one that is in several grids counts once
    sign = 1.0 if metric.mode == "max" else -1.0
    scored = [(sign * _number(run, metric.name), run) for run in runs if run.manifest.id not in faults]
    unranked = Counter(faults[run.manifest.id] for run in runs if run.manifest.id in faults)
    if not scored:
        return Ranking(values, None, 0, 0, len(runs), unranked)
    score, best = max(scored, key=lambda pair: pair[0])
    return Ranking(values, best, sum(other == score for other, _ in scored) - 1, len(scored), len(runs), unranked)


def _number(run: Run, metric: str) -> float:
    value = value_of(run.reported, metric, run.step)
    return float(value) if isinstance(value, int | float) else math.nan


def _faults(sample: Sample, metric: str, shown: Sequence[str]) -> dict[str, str]:
    """Return run → why it cannot be ranked."""
    done = sample.completed
    values = dict(zip((run.manifest.id for run in done), read_values(done, shown), strict=True))
    judged = {place for found in values.values() for place, value in enumerate(found) if is_finite(value)}
    faults = {run.manifest.id: run.standing for run in sample.runs if not run.is_completed}
    for run_id, found in values.items():
        wrong = next(_wrong(found, shown, metric, judged), None)
        if wrong:
            faults[run_id] = wrong
    return faults


def _wrong(found: Sequence[Number], shown: Sequence[str], metric: str, judged: set[int]) -> Iterator[str]:
    """Yield what keeps a completed run from being ranked: what its values are, the ranking metric first."""
    place = shown.index(metric)
    value = found[place]
    if not is_finite(value):
        yield f"without {metric}" if value is None else f"with {metric} a text" if isinstance(value, str) else f"with {metric} {value}"
    for other, value in enumerate(found):
        if other in judged and isinstance(value, float) and not is_finite(value):
            yield f"with {shown[other]} {value}"


def _row(ranking: Ranking, named_by: Sequence[str], keys: Sequence[str], shown: Sequence[str]) -> Row:
    run = ranking.best
    unranked = ", ".join(f"{count:,} {why}" for why, count in ranking.unranked.most_common()) or None
    counted = (ranking.ranked, ranking.of)
    if run is None:
        before, after = len(named_by) + len(keys) + len(shown) + 1, len(ORIGIN)
        return (*ranking.values, *(None,) * before, *counted, *(None,) * after, unranked)
    values = read_values([run], shown)[0]
    names = (run.grid, run.manifest.id)[-len(named_by) :]
    return (*ranking.values, *names, *values_at(run, keys), *values, whole(run.step), *counted, *origin(run), unranked)


def _selected(sample: Sample, metric: Objective) -> Iterator[str]:
    at = f"; every value is of the step where {sample.selection.name} was best" if sample.selection is not None else ""
    yield f"best: {told_extreme(metric)} {metric.name}{at}"
    yield from notes_on_test(metric, "ranks here")
    if sample.selection is not None and sample.selection not in (metric, sample.objective):
        yield from notes_on_test(sample.selection, "selects the step")


def _ranked(rankings: Sequence[Ranking], per: Sequence[str]) -> Iterator[str]:
    """Yield which groups have no best run, or several, or runs that could not be ranked."""
    lines = [line for ranking in rankings for line in _about(ranking, told(per, ranking.values) or "all runs")]
    yield from lines[:MOST_GROUPS]
    if len(lines) > MOST_GROUPS:
        yield f"… and {len(lines) - MOST_GROUPS:,} more such groups (the column not_ranked tells of them all)"


def _about(ranking: Ranking, group: str) -> Iterator[str]:
    if ranking.unranked:
        why = ", ".join(f"{count:,} {why}" for why, count in ranking.unranked.most_common())
        yield f"{'thin' if ranking.best else 'missing'}: {group}: {ranking.ranked} of {ranking.of} ranked; {why}"
    if ranking.ties:
        yield f"{group}: {ranking.ties} more run{'s' * (ranking.ties != 1)} with the same value; the first is shown"
