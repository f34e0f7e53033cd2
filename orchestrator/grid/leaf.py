"""A leaf of the grid file: one product of axes, with all that it inherited. What expansion works on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.grid.axes import Axis, Distribution
from orchestrator.grid.conditions import Condition, check_keys, in_order
from orchestrator.grid.dotted import ancestors, is_below, nearest_keys
from orchestrator.grid.interpolate import has_placeholder
from orchestrator.grid.levels import Level
from orchestrator.grid.loading import Mark, Node, plain, show
from orchestrator.grid.needs import NeedTemplate, Prepare
from orchestrator.grid.resource_rules import ResourceRules
from orchestrator.store.errors import SpecError


@dataclass(frozen=True)
class Bundle:
    """Axes that move together; an axis of `grid` is a bundle of its own."""

    axes: tuple[Axis, ...]
    length: int
    seed: int

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(axis.key for axis in self.axes)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the values of all keys, row by row."""
        columns = [_column(axis, self.length, self.seed) for axis in self.axes]
        return zip(*columns, strict=True)


def _column(axis: Axis, length: int, seed: int) -> Iterable[Any]:
    if isinstance(axis.values, Distribution):
        distribution = axis.values
        return (distribution.draw(seed, axis.key, index) for index in range(length))
    return axis.values


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One product of axes over one config."""

    case: str
    config: dict[str, Any]
    """Dotted key → value, without the keys that vary."""
    bundles: tuple[Bundle, ...]
    when: tuple[tuple[str, Condition], ...]
    exclude: tuple[Condition, ...]
    case_keys: tuple[str, ...]
    resources: ResourceRules
    prepare: Prepare | None
    needs: dict[str, NeedTemplate]
    configured: tuple[str, ...]
    """Every key that the file's config sets, those that an axis replaces included; --set apart."""
    varied: tuple[str, ...]
    """Every key that an axis of the file varies; --set apart."""
    marks: dict[str, Mark]
    """Dotted key → where it was written."""

    @property
    def count(self) -> int:
        """Number of points before `exclude` and `when` take some away."""
        return math.prod(bundle.length for bundle in self.bundles)

    @property
    def axes(self) -> list[Axis]:
        """All axes, in the order of the file."""
        return [axis for bundle in self.bundles for axis in bundle.axes]

    @property
    def keys(self) -> list[str]:
        """Every key that is set or varies."""
        return list(self.marks)

    def mark(self, key: str, otherwise: Mark) -> Mark:
        """Return where a key was written, or the mapping that it lies in, or something inside it."""
        for name in [key, *reversed(list(ancestors(key)))]:
            if name in self.marks:
                return self.marks[name]
        return next((mark for name, mark in self.marks.items() if is_below(name, key)), otherwise)

    def blamed(self, key: str, told: str, otherwise: Mark) -> Mark:
        """Return where the fault lies that `told` finds with a key; inside a mapping the keys that it names come first, then --set."""
        inside = [name for name in self.marks if is_below(name, key)] if key not in self.marks else []
        if not inside:
            return self.mark(key, otherwise)
        named = [name for name in inside if re.search(rf"\b{re.escape(name.rpartition('.')[2])}\b", told)]
        return min((self.marks[name] for name in named or inside), key=lambda mark: mark.line is not None)


def make_leaf(level: Level, written: Level) -> Leaf:
    """Turn a level without cases into a leaf; axes that contradict each other or the config are refused.

    `written`: the level as the file has it, before --set.
    """
    for axis in level.axes.values():
        _check_axis(axis, level)
    config = {key: node for key, node in level.config.items() if not _is_replaced(key, node, level.axes)}
    return Leaf(
        case="/".join(level.case),
        config={key: plain(node) for key, node in config.items()},
        bundles=tuple(_bundles(level)),
        when=in_order(level.when),
        exclude=level.exclude,
        case_keys=tuple(sorted(level.case_keys)),
        resources=ResourceRules(level.resources),
        prepare=level.prepare,
        needs=level.needs,
        configured=tuple(written.config),
        varied=tuple(written.axes),
        marks={key: node.mark for key, node in config.items()} | {key: axis.mark for key, axis in level.axes.items()},
    )


def _check_axis(axis: Axis, level: Level) -> None:
    for name in ancestors(axis.key):
        if name in level.axes:
            raise SpecError(
                f"{axis.mark}: {axis.key} varies beside {name} ({level.axes[name].mark}), which contains it. Drop one with grid: {{{name}: "
                f"!remove}}."
            )
        node = level.config.get(name)
        if node is not None and node.value is not None and not node.is_mapping:
            raise SpecError(
                f"{axis.mark}: {axis.key} varies, but {name} holds {show(node)} ({node.mark}) and has no keys. Drop one with config: "
                f"{{{name}: !remove}}."
            )


def _is_replaced(key: str, node: Node, axes: Iterable[str]) -> bool:
    """An axis replaces the value of its key, all below it, and a null or {} above it."""
    return any(key == name or is_below(key, name) or is_below(name, key) for name in axes)


def _bundles(level: Level) -> Iterator[Bundle]:
    together: dict[str, list[Axis]] = {}
    for axis in level.axes.values():
        together.setdefault(axis.bundle or f"axis {axis.key}", []).append(axis)
    seed = level.seed.value if level.seed is not None else 0
    for axes in together.values():
        first = axes[0].values
        yield Bundle(tuple(axes), len(first) if isinstance(first, Sequence) else _samples(level, axes[0]), seed)


def _samples(level: Level, axis: Axis) -> int:
    if level.samples is None:
        raise SpecError(
            f"{axis.mark}: random.axes.{axis.key} is drawn, but random names no number of samples. Write random: {{samples: 50, seed: 7, "
            f"axes: …}}."
        )
    samples: int = level.samples.value
    return samples


def placeholder_keys(leaf: Leaf) -> list[str]:
    """Return the keys whose values hold placeholders, or whose axis has such a value."""
    fixed = [key for key, value in leaf.config.items() if has_placeholder(value)]
    varied = [axis.key for axis in leaf.axes if isinstance(axis.values, list) and has_placeholder(axis.values)]
    return fixed + varied


def check_conditions(leaves: Sequence[Leaf]) -> None:
    """Refuse conditions on keys that no leaf has, and conditions of `when` on values that are placeholders."""
    known = dict.fromkeys(key for leaf in leaves for key in leaf.keys)
    for leaf in leaves:
        pending = placeholder_keys(leaf) if leaf.when else []
        for condition in leaf.exclude:
            check_keys(condition, known, "exclude")
        for key, condition in leaf.when:
            _check_when(key, condition, known, pending)


def _check_when(key: str, condition: Condition, known: Iterable[str], pending: Sequence[str]) -> None:
    if not any(name == key or is_below(name, key) for name in known):
        raise SpecError(f"{condition.mark}: when.{key} keeps a key that is neither set nor varied here. {nearest_keys(key, known)}")
    check_keys(condition, known, f"when.{key}")
    unsettled = next((name for name in condition.keys if name in pending), None)
    if unsettled is not None:
        raise SpecError(
            f"{condition.mark}: when.{key} asks for {unsettled}, whose value is a placeholder. Ask for the key that the placeholder names."
        )
