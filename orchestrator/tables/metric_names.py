"""Which metrics there are, which of them a table shows, and what their names and types give away."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from orchestrator.store.events import Number
from orchestrator.tables.known import count_metrics, unknown_metric
from orchestrator.tables.sample import Run, Sample

_PATTERN = "*?["
_FEW_IDS = 3


def known_metrics(runs: Iterable[Run]) -> Counter[str]:
    """Return metric → how many of the runs reported or returned it."""
    return count_metrics(run.reported for run in runs)


def choose_metrics(patterns: Sequence[str], sample: Sample, *, numeric: bool = False) -> tuple[str, ...]:
    """Return the metrics that names and patterns such as `test/*` mean; without any, all of them.

    The selection metric stands first, then those that share its last word (test/ssim beside val/ssim), then the others by name.

    `numeric`: leave out those that never hold a number. Raises InputError for a metric that no run reported.
    """
    known = known_metrics(sample.runs)
    first = [sample.selection.name] if sample.selection is not None and sample.selection.name in known else []
    if numeric:
        numbers = {name for run in sample.runs for name in (*run.reported.curves, *_numbers(run)) if name in known}
        known = Counter({name: count for name, count in known.items() if name in numbers or name in patterns})
    if not patterns:
        word = sample.selection.name.rpartition("/")[2] if sample.selection is not None else ""
        return tuple(dict.fromkeys([*first, *sorted(known, key=lambda name: (word not in name.split("/"), name))]))
    return tuple(dict.fromkeys(name for pattern in patterns for name in _matching(pattern, known, sample)))


def metric_columns(metrics: Sequence[str], others: Collection[str]) -> tuple[str, ...]:
    """Return the columns of metrics; one whose name another column has says that it is a metric."""
    return tuple(f"{name} (metric)" if name in others else name for name in metrics)


def _numbers(run: Run) -> Iterator[str]:
    return (name for name, value in run.reported.final.items() if is_number(value) or value in ("nan", "inf", "-inf"))


def _matching(pattern: str, known: Counter[str], sample: Sample) -> list[str]:
    if pattern in known:
        return [pattern]
    found = sorted(name for name in known if fnmatchcase(name, pattern)) if any(char in pattern for char in _PATTERN) else []
    if found:
        return found
    raise unknown_metric(pattern, "--metric", known, [run.record for run in sample.runs])


def check_metric(name: str, runs: Iterable[Run], option: str) -> None:
    """Raise InputError for a metric that no run reported, with those that are known."""
    runs = list(runs)
    known = known_metrics(runs)
    if name not in known:
        raise unknown_metric(name, option, known, [run.record for run in runs])


def is_number(value: Number) -> bool:
    """Say whether a value is a number, be it NaN or infinite."""
    return isinstance(value, float | int)


def is_finite(value: Number) -> bool:
    """Say whether a value can be ranked and averaged."""
    return isinstance(value, float | int) and math.isfinite(value)


def notes_on_values(metrics: Sequence[str], runs: Sequence[Run], values: Sequence[Sequence[Number]]) -> Iterator[str]:
    """Yield which metrics of completed runs are not finite, which mix numbers with texts, and which were renamed on the way.

    `values`: for each run those of the metrics.
    """
    columns = list(zip(metrics, zip(*values, strict=True), strict=True)) if values else []
    texts = {name for run in runs for name in run.reported.texts}
    columns = [(metric, column) for metric, column in columns if metric in texts or not all_finite(column)]
    yield from _not_finite(columns, runs)
    for metric, column in columns:
        yield from _mixed(metric, runs, column)
    yield from _renamed(metrics, runs)


def all_finite(column: Sequence[Number]) -> bool:
    """Say whether there are finite numbers only: the rule, found out at once."""
    try:
        return all(map(math.isfinite, column))  # type: ignore[arg-type]
    except TypeError:
        return False


def _not_finite(columns: Sequence[tuple[str, Sequence[Number]]], runs: Sequence[Run]) -> Iterator[str]:
    """Yield which runs have NaN or an infinity, once for all metrics of which this holds for the same runs."""
    metrics: dict[tuple[int, ...], list[str]] = {}
    for metric, column in columns:
        places = tuple(place for place, value in enumerate(column) if isinstance(value, float) and not math.isfinite(value))
        metrics.setdefault(places, []).append(metric)
    for places, names in metrics.items():
        if places:
            told = ", ".join(f"'{name}'" for name in names)
            verb = "is" if len(names) == 1 else "are"
            yield f"{told} {verb} NaN or infinite in {told_runs([runs[place] for place in places], runs)}: neither ranked nor averaged"


def _mixed(metric: str, runs: Sequence[Run], column: Sequence[Number]) -> Iterator[str]:
    texts = [run for run, value in zip(runs, column, strict=True) if isinstance(value, str) or metric in run.reported.texts]
    numbers = any(is_number(value) for value in column)
    if texts and numbers:
        yield f"'{metric}' is a number in some runs, and held a text in {told_runs(texts, runs)}: texts are neither ranked nor averaged"


def _renamed(metrics: Sequence[str], runs: Sequence[Run]) -> Iterator[str]:
    """Yield for each metric that some runs lack what these report instead, under a name that no run has beside it."""
    known = known_metrics(runs)
    told: set[frozenset[str]] = set()
    for metric in metrics:
        if not 0 < known[metric] < len(runs):
            continue
        reported = [(metric in names, names) for names in (set(run.reported.names) for run in runs)]
        beside = {name for has, names in reported if has for name in names}
        instead = Counter(name for has, names in reported if not has for name in names - beside if _alike(name, metric))
        if instead and not any(frozenset((metric, name)) in told for name in instead):
            told |= {frozenset((metric, name)) for name in instead}
            others = ", ".join(f"'{name}' ({count:,})" for name, count in sorted(instead.items()))
            yield f"{known[metric]:,} of {len(runs):,} completed runs report '{metric}', and others {others}: was it renamed?"


def _alike(one: str, other: str) -> bool:
    """Say whether two names may mean the same: they end in the same word, or differ in capitals and marks only."""
    return one.rpartition("/")[2] == other.rpartition("/")[2] or _letters(one) == _letters(other)


def _letters(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def told_runs(found: Sequence[Run], runs: Sequence[Run]) -> str:
    """Return "2 of 33 completed runs (f484d79f, 355a2d82)"."""
    ids = ", ".join(run.id for run in found[:_FEW_IDS]) + (", …" if len(found) > _FEW_IDS else "")
    return f"{len(found):,} of {len(runs):,} completed runs ({ids})"
