"""Runs that differ in a few keys only, such as the seed, put together: their statistics, and what is missing from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from orchestrator.store.errors import InputError
from orchestrator.store.events import Number
from orchestrator.tables.keys import GRID, has_key, identity, told, value_at, values_at, varying
from orchestrator.tables.metric_names import is_finite
from orchestrator.tables.sample import Run, Sample
from orchestrator.tables.statistics import Statistics, describe
from orchestrator.tables.values import values_of

Place = tuple[str, ...]
"""Values of keys, as texts that are equal where the values are."""


class Gap(NamedTuple):
    """A value that a group lacks."""

    which: str
    """seed=3, or the id of the run."""
    why: str
    """failed (host_oom)."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one group."""

    metric: str
    values: Mapping[Place, float]
    """By the values of the keys it is taken over; of a group that is taken over all others, by run."""
    statistics: Statistics
    gaps: tuple[Gap, ...]
    """Of completed runs: nothing reported, a text, NaN, an infinity."""
    difference: Statistics | None = None
    """To the baseline, over pairs; None where no baseline is asked for, and of the baseline itself."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that share the values of some keys."""

    place: Place
    values: tuple[Any, ...]
    """Of the keys, in their order."""
    runs: tuple[Run, ...]
    expected: int
    """Runs that it would have with none missing."""
    gaps: tuple[Gap, ...]
    """Runs without a result, with state and cause, and those that the grid does not hold."""
    cells: tuple[Cell, ...] = ()
    """In the order of the metrics."""


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    """All groups of a sample."""

    by: tuple[str, ...]
    spanned: tuple[str, ...]
    """The keys in which runs of a group differ."""
    metrics: tuple[str, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()


def make_groups(sample: Sample, by: Sequence[str], over: Sequence[str], metrics: Sequence[str]) -> Groups:
    """Group the runs by keys. A run that is in several grids counts once.

    Raises InputError where runs of a group share the values of `over`: they differ in something that would be averaged silently.
    """
    members: dict[Place, dict[str, Run]] = {}
    for run in sample.runs:
        members.setdefault(identity(values_at(run, by)), {}).setdefault(run.manifest.id, run)
    indexed = {place: _index(tuple(found.values()), over, sample) for place, found in members.items()}
    keys = {place: tuple(key for key in over if _has_key(found, key)) for place, found in indexed.items()}
    peers = {place: (place[by.index(GRID)] if GRID in by else "", keys[place]) for place in indexed}
    common = {each: _common([indexed[place] for place in indexed if peers[place] == each], each[1]) for each in set(peers.values())}
    groups = tuple(_group(_Members(place, found, keys[place], common[peers[place]]), by, metrics) for place, found in indexed.items())
    spanned = tuple(over) or tuple(key for key in varying(sample) if key not in by)
    return Groups(by=tuple(by), spanned=spanned, metrics=tuple(metrics), groups=groups)


def _index(runs: Sequence[Run], over: Sequence[str], sample: Sample) -> dict[Place, Run]:
    """Return the runs of a group by the values that they are taken over, by id where it is over all others."""
    if not over:
        return {(run.manifest.id,): run for run in runs}
    found: dict[Place, Run] = {}
    for run in runs:
        other = found.setdefault(identity(values_at(run, over)), run)
        if other is not run:
            raise InputError(_shared(run, other, over, sample))
    return found


def _shared(run: Run, other: Run, over: Sequence[str], sample: Sample) -> str:
    keys = [*varying(sample), *(["grid"] if run.grid != other.grid else [])]
    differ = [key for key in keys if identity((value_at(run, key),)) != identity((value_at(other, key),))]
    named = ", ".join(differ) or "no key"
    return (
        f"--over {','.join(over)}: runs {other.id} and {run.id} of one group share {told(over, values_at(run, over))}; "
        f"they differ in {named}. Add that to --by or --over, or choose with --where."
    )


def _has_key(found: Mapping[Place, Run], key: str) -> bool:
    return key == GRID or any(has_key(run, key) for run in found.values())


def _common(peers: Sequence[Mapping[Place, Run]], over: Sequence[str]) -> dict[Place, str]:
    """Return the values that more than half of the groups are taken over, with what a person calls them: all groups should have them.

    `peers`: groups that can be compared, for they have the same keys of `over`, and where groups are made by grid, are of one grid.
    """
    counts = Counter(place for found in peers for place in found) if over else Counter()
    names = {place: told(over, values_at(run, over)) for found in peers for place, run in found.items()} if over else {}
    return {place: names[place] for place, count in counts.items() if 2 * count > len(peers)}


class _Members(NamedTuple):
    """The runs of one group."""

    place: Place
    found: Mapping[Place, Run]
    """By the values of the keys that they are taken over."""
    over: tuple[str, ...]
    """These keys, as far as the runs have them."""
    common: Mapping[Place, str]
    """Values of these keys that all groups should have, and what a person calls them."""


def _group(members: _Members, by: Sequence[str], metrics: Sequence[str]) -> Group:
    place, found, over, common = members
    names = {at: told(over, values_at(run, over)) if over else run.id for at, run in found.items()}
    absent = [Gap(name, "not in the grid") for at, name in common.items() if at not in found]
    gaps = [Gap(names[at], run.standing) for at, run in found.items() if not run.is_completed]
    done = {at: run for at, run in found.items() if run.is_completed}
    reported = {at: values_of(run.reported, metrics, run.step) for at, run in done.items()}
    columns = [{at: values[column] for at, values in reported.items()} for column in range(len(metrics))]
    return Group(
        place=place,
        values=values_at(next(iter(found.values())), by),
        runs=tuple(found.values()),
        expected=len(found) + len(absent),
        gaps=(*gaps, *absent),
        cells=tuple(_cell(metric, column, names) for metric, column in zip(metrics, columns, strict=True)),
    )


def _cell(metric: str, values: Mapping[Place, Number], names: Mapping[Place, str]) -> Cell:
    finite = {at: float(value) for at, value in values.items() if isinstance(value, int | float) and is_finite(value)}
    gaps = tuple(Gap(names[at], _fault(value)) for at, value in values.items() if at not in finite)
    return Cell(metric=metric, values=finite, statistics=describe(list(finite.values())), gaps=gaps)


def _fault(value: Number) -> str:
    if value is None:
        return "not reported"
    return f"holds the text '{value[:20]}'" if isinstance(value, str) else f"is {value}"


def told_gaps(gaps: Sequence[Gap], most: int = 6) -> str:
    """Return "seed=2 failed (host_oom), seed=3 queued"; of many, how many there are of each kind."""
    if len(gaps) <= most:
        return ", ".join(f"{gap.which} {gap.why}" for gap in gaps)
    kinds = Counter(gap.why for gap in gaps)
    return ", ".join(f"{count:,} {why}" for why, count in kinds.most_common())


def per_group(sample: Sample, keys: Sequence[str]) -> list[tuple[tuple[Any, ...], list[Run]]]:
    """Return the runs by the values of keys, in the order in which these appear."""
    order: dict[Place, int] = {}
    placed = [(order.setdefault(identity(values_at(run, keys)), len(order)), run) for run in sample.runs]
    placed.sort(key=lambda pair: pair[0])
    groups = [[run for _, run in found] for _, found in groupby(placed, key=lambda pair: pair[0])]
    return [(values_at(runs[0], keys), runs) for runs in groups]
