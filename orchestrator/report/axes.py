"""The axes of a grid as figures need them: few levels, in a sensible order, with labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from orchestrator.grid.manifest import Manifest
from orchestrator.results.abbreviations import last_words, short_names, told_short
from orchestrator.results.select import varying_keys

MOST_LEVELS = 12
"""Numbers that take more values than this are cut into ranges."""

RANGES = 6
UNSET = "not set"


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """A key that varies, and which of its levels each run has."""

    key: str
    levels: tuple[str, ...]
    """As text, in order."""
    level_of: Mapping[str, int]
    """Run id → place in `levels`."""
    ends: tuple[str, str] | None = None
    """The smallest and the largest value, where its levels are ranges of numbers."""

    distinct: int
    """How many values it takes."""

    @property
    def name(self) -> str:
        """The last word of the key."""
        return self.key.rpartition(".")[2]

    @property
    def is_seed(self) -> bool:
        """Runs that differ in this alone repeat each other."""
        return self.name == "seed"


def axes_of(manifests: Sequence[Manifest]) -> list[Axis]:
    """Return every key that takes two values or more, in the order of the grid file."""
    axes = (make_axis(key, {one.id: one.varying.get(key) for one in manifests}) for key in varying_keys(manifests))
    return [axis for axis in axes if len(axis.levels) > 1]


def make_axis(key: str, values: Mapping[str, Any]) -> Axis:
    """Return the axis of one key. `values`: run id → value, None where the run has no such key."""
    labels = {run: exact(value) for run, value in values.items()}
    kinds = {labels[run]: value for run, value in values.items()}
    if len(kinds) > MOST_LEVELS and all(_is_number(value) for value in kinds.values()):
        return _in_ranges(key, values)
    levels = tuple(_ordered(kinds))
    places = {level: place for place, level in enumerate(levels)}
    return Axis(key=key, levels=levels, level_of={run: places[one] for run, one in labels.items()}, distinct=len(levels))


def label_runs(manifests: Sequence[Manifest], keys: Sequence[str], longest: int) -> tuple[dict[str, str], str]:
    """Return run id → the values of these keys, and a sentence on names of keys that are written short, which some label needs.

    `longest`: letters that a label has room for.
    """
    labels = _labelled(manifests, last_words(keys))
    if all(len(told) <= longest for told in labels.values()):
        return labels, ""
    names = short_names(keys)
    meant = told_short(names)
    return _labelled(manifests, names), f"In the legends, {meant}." if meant else ""


def _labelled(manifests: Sequence[Manifest], names: Mapping[str, str]) -> dict[str, str]:
    told = {one.id: " ".join(f"{name}={label(one.varying[key])}" for key, name in names.items() if key in one.varying) for one in manifests}
    return {one.id: told[one.id] or one.label for one in manifests}


def label(value: Any) -> str:
    """Return a value as people write it."""
    if value is None:
        return UNSET
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def exact(value: Any) -> str:
    """Return a value as people write it, with all digits where four would make it another one."""
    short = label(value)
    return repr(value) if isinstance(value, float) and float(short) != value else short


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ordered(kinds: Mapping[str, Any]) -> Iterable[str]:
    """Return the labels: numbers by size, all else as the grid has them."""
    if all(_is_number(value) for value in kinds.values()):
        return sorted(kinds, key=lambda one: kinds[one])
    return kinds


def _in_ranges(key: str, values: Mapping[str, Any]) -> Axis:
    """Cut many numbers into ranges that hold about equally many runs."""
    ordered = sorted(values, key=lambda run: values[run])
    places = {run: place * RANGES // len(ordered) for place, run in enumerate(ordered)}
    first: dict[Any, int] = {}
    for run in ordered:  # equal values belong together
        places[run] = first.setdefault(values[run], places[run])
    used = sorted(set(places.values()))
    held = {place: [values[run] for run in ordered if places[run] == place] for place in used}
    levels = tuple(f"{label(each[0])} … {label(each[-1])}" for each in held.values())
    ends = (label(values[ordered[0]]), label(values[ordered[-1]]))
    level_of = {run: used.index(place) for run, place in places.items()}
    return Axis(key=key, levels=levels, level_of=level_of, ends=ends, distinct=len(set(values.values())))
