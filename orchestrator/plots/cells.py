"""Which runs make a point: grouped by the keys of the figure, and refused where something would be averaged without anybody knowing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from orchestrator.store.errors import InputError
from orchestrator.tables.groups import Group, make_groups
from orchestrator.tables.keys import as_word, find_keys, identity, value_at, values_at, varying
from orchestrator.tables.sample import Run, Sample

SEED = "seed"
"""A key of this last word is averaged over without being asked."""
GRID = "grid"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for, as typed."""

    x: str
    y: str
    hue: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    baseline: str = ""
    best: str | None = None
    """None: no such line; empty: the best of the groups at each x."""

    @property
    def is_curve(self) -> bool:
        return self.x == "step"


class Keys(NamedTuple):
    """The keys of a figure."""

    x: str
    """Empty where x is the step."""
    hue: tuple[str, ...]
    over: tuple[str, ...]

    @property
    def by(self) -> tuple[str, ...]:
        """The keys that tell the points apart."""
        return (self.x, *self.hue) if self.x else self.hue


def find_figure_keys(ask: Ask, sample: Sample) -> Keys:
    """Return the keys that the words mean. Without --over it is the seeds that are averaged over."""
    x = "" if ask.is_curve else find_keys((ask.x,), sample, "--x")[0]
    hue = find_keys(ask.hue, sample, "--hue")
    if x in hue:
        raise InputError(f"--hue {x}: is drawn as --x already. Leave it out.")
    named = {x, *hue}
    seeds = tuple(key for key in varying(sample) if key.rpartition(".")[2] == SEED and key not in named)
    over = find_keys(ask.over, sample, "--over") if ask.over else seeds
    both = next((key for key in over if key in named), None)
    if both is not None:
        raise InputError(f"--over {both}: is drawn, as --x or --hue, and cannot be averaged over as well. Leave one out.")
    return Keys(x, hue, over)


def make_cells(sample: Sample, keys: Keys, metrics: Sequence[str]) -> tuple[Group, ...]:
    """Return a group of runs for each point; raise InputError where runs of one differ in a key that nobody named."""
    check_averaged(sample, keys)
    return make_groups(sample, keys.by, keys.over, metrics).groups


def check_averaged(sample: Sample, keys: Keys) -> None:
    """Refuse a figure whose points would be means over keys that nobody named."""
    named = {*keys.by, *keys.over}
    grids = [GRID] if len(sample.grids) > 1 else []
    rest = [key for key in (*varying(sample), *grids) if key not in named]
    mixed = [key for key in rest if _differs_within(sample.runs, key, keys.by)]
    if mixed:
        first, listed = mixed[0], ",".join(mixed)
        values = list(dict.fromkeys(str(value_at(run, first)) for run in sample.runs))[:4]
        raise InputError(
            f"a point would be the mean over {', '.join(mixed)}, which nobody named ({first} is {', '.join(values)}). Tell the lines apart "
            f"with --hue {listed}, choose with --where, or average knowingly with --over {','.join((*keys.over, *mixed))}"
        )


def _differs_within(runs: Iterable[Run], key: str, by: Sequence[str]) -> bool:
    """Say whether two runs of one point differ in a key; a run that is in several grids is one run."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for run in {run.manifest.id: run for run in runs}.values():
        place, value = identity(value_at(run, name) for name in by), identity((value_at(run, key),))
        if found.setdefault(place, value) != value:
            return True
    return False


def only(sample: Sample, runs: Iterable[Run]) -> Sample:
    """Return the sample with these runs only."""
    return msgspec.structs.replace(sample, runs=tuple(runs))


def without_baseline(sample: Sample, base: Iterable[Run], keys: Keys) -> Sample:
    """Return the sample without the runs of the baseline; a line that goes on beyond them keeps the points that would be lost."""
    taken = {run.manifest.id for run in base}
    rest = [run for run in sample.runs if run.manifest.id not in taken]
    points, lines = ({identity(values_at(run, by)) for run in rest} for by in (keys.by, keys.hue))

    def stays(run: Run) -> bool:
        if run.manifest.id not in taken:
            return True
        return identity(values_at(run, keys.by)) not in points and identity(values_at(run, keys.hue)) in lines

    return only(sample, filter(stays, sample.runs))


def are_numbers(values: Iterable[Any]) -> bool:
    """Say whether all values are numbers that an axis can hold."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf") for value in values)


def by_hue(groups: Iterable[Group], keys: Keys) -> Mapping[tuple[str, ...], list[Group]]:
    """Return the groups by the values of the hue, in the order in which these appear."""
    found: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        found.setdefault(group.place[bool(keys.x) :], []).append(group)
    return found


def hue_label(group: Group, keys: Keys) -> str:
    """Return what a line of the group is called: the values of the hue."""
    return " ".join(map(as_word, group.values[bool(keys.x) :]))
