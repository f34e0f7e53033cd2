"""Points of a grid: lazily, in the order of the file, the same on every machine."""

from __future__ import annotations

import itertools
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.grid.conditions import Condition
from orchestrator.grid.dotted import flatten, is_below, nest
from orchestrator.grid.interpolate import Get, PlaceholderRefused, fill_argv, getter, resolve_config
from orchestrator.grid.leaf import Leaf, placeholder_keys
from orchestrator.grid.loading import Mark
from orchestrator.grid.needs import NeedQuery, Prepare
from orchestrator.grid.refusal import ConfigRefused
from orchestrator.grid.schema import Schema
from orchestrator.grid.spec import Spec
from orchestrator.grid.spelling import check_spelling
from orchestrator.store.errors import SpecError

MAX_POINTS = 1_000_000

Row = tuple[Any, ...]
_NONE = Resources()


class Point(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One config of the grid. Its mappings may share parts with those of other points: read them, do not change them."""

    case: str
    """Names of the cases on the way to it, "outer/inner"; empty without cases."""
    config: dict[str, Any]
    """Nested, placeholders filled, as the grid gives it: before the schema's defaults."""
    complete: dict[str, Any]
    """Nested, with every default of the schema; the same object as `config` where there is no schema."""
    varying: dict[str, Any]
    """Dotted key → value, of the keys that vary in the grid."""
    resources: Resources
    prepare: str | None
    """The command that must have run before, each argument quoted; None: none."""
    prepare_resources: Resources
    needs: dict[str, NeedQuery]
    """Results of other runs that it starts from."""


def count(spec: Spec) -> int:
    """Return an upper bound of the number of points, without making any: exclude, when and duplicates lower it."""
    return sum(leaf.count for leaf in spec.leaves)


def expand(spec: Spec, *, schema: Schema | None = None, limit: int = MAX_POINTS) -> Iterator[Point]:
    """Yield the points of a grid.

    Raises SpecError at once, before a point is made, when there may be more than `limit` or an axis is misspelt, on the
    way for a config that the schema refuses, with the line of the key at fault, and at the end when `exclude` left none.
    """
    total = count(spec)
    if total > limit:
        raise _too_many(spec, total, limit)
    if schema is None:
        check_spelling(spec)
    return _points(spec, schema)


def _points(spec: Spec, schema: Schema | None) -> Iterator[Point]:
    excluded: Counter[Condition] = Counter()
    left = 0
    for leaf in spec.leaves:
        for point in _Expansion(spec, leaf, schema, excluded).points():
            left += 1
            yield point
    if not left:
        raise _nothing_left(excluded)


def _nothing_left(excluded: Counter[Condition]) -> SpecError:
    """Say which conditions dropped how many points, the most first."""
    told = ", ".join(f"{condition.shown} in line {condition.mark.line} drops {dropped:,}" for condition, dropped in excluded.most_common(4))
    more = f", and {len(excluded) - 4} more" if len(excluded) > 4 else ""
    first = next(iter(excluded))
    return SpecError(
        f"{first.mark}: exclude drops every point ({excluded.total():,}) and leaves no run: {told}{more}. Narrow a condition, or remove it."
    )


def _too_many(spec: Spec, total: int, limit: int) -> SpecError:
    """Say how many points there would be, and which axis is the longest."""
    bundles = sorted((bundle for leaf in spec.leaves for bundle in leaf.bundles), key=lambda bundle: bundle.length)
    place, way_out = Mark(str(spec.source)), "Drop cases."
    if bundles:
        axis = bundles[-1].axes[0]
        place, way_out = axis.mark, f"Shorten an axis, such as {axis.key} ({bundles[-1].length:,} values), or draw with random."
    return SpecError(f"{place}: the grid has {_sum(spec)} = {total:,} points; at most {limit:,} are expanded. {way_out}")


def _sum(spec: Spec) -> str:
    """Spell the count out: "2 x 3 + 4"."""
    products = [" x ".join(f"{bundle.length:,}" for bundle in leaf.bundles) or "1" for leaf in spec.leaves]
    return " + ".join(products[:6]) + (" + …" if len(products) > 6 else "")


class _Expansion:
    """Makes the points of one leaf: what all of them share is computed once."""

    def __init__(self, spec: Spec, leaf: Leaf, schema: Schema | None, excluded: Counter[Condition]) -> None:
        self.leaf = leaf
        self.excluded = excluded
        self.schema = schema
        self.otherwise = Mark(str(spec.source))
        self.placeholders = tuple(placeholder_keys(leaf))
        self.build = _builder(leaf, (*self.placeholders, *(key for key, _ in leaf.when)))
        self.columns = tuple((key, tuple(key.split("."))) for key in spec.varying)

    def points(self) -> Iterator[Point]:
        """Yield the points of the leaf, the last axis changing fastest."""
        pools = [list(bundle.rows()) for bundle in self.leaf.bundles]
        first = [rows[0] for rows in pools]
        for rows in itertools.product(*pools):
            config = self.build(tuple(itertools.chain.from_iterable(rows)))
            if self.leaf.when and self.is_repeated(self.drop_inactive(config), rows, first):
                continue
            self.fill(config)
            condition = next((condition for condition in self.leaf.exclude if condition.holds(config)), None)
            if condition is None:
                yield self.point(config)
            else:
                self.excluded[condition] += 1

    def drop_inactive(self, config: dict[str, Any]) -> list[str]:
        """Take the keys out whose `when` does not hold, and return them."""
        dropped = []
        for key, condition in self.leaf.when:
            if not condition.holds(config):
                _drop(config, key.split("."))
                dropped.append(key)
        return dropped

    def is_repeated(self, dropped: list[str], rows: Sequence[Row], first: Sequence[Row]) -> bool:
        """Say whether a bundle of which nothing is left stands at another row than its first: that point was there already."""
        if not dropped:
            return False
        return any(
            row is not start and all(any(key == name or is_below(key, name) for name in dropped) for key in bundle.keys)
            for bundle, row, start in zip(self.leaf.bundles, rows, first, strict=True)
        )

    def fill(self, config: dict[str, Any]) -> None:
        """Fill the placeholders of the config."""
        if not self.placeholders:
            return
        try:
            resolve_config(config, self.placeholders)
        except PlaceholderRefused as error:
            raise SpecError(f"{self.leaf.mark(error.key, self.otherwise)}: {error.key}: {error}") from error

    def point(self, config: dict[str, Any]) -> Point:
        """Check a config against the schema and work out what its run needs."""
        complete = self.completed(config)
        get = getter(complete)
        prepare = self.leaf.prepare
        return Point(
            case=self.leaf.case,
            config=config,
            complete=complete,
            varying=self.varying(config),
            resources=self.leaf.resources.resources(get),
            prepare=_prepare_text(prepare, get) if prepare is not None else None,
            prepare_resources=prepare.resources if prepare is not None else _NONE,
            needs={name: need.query(get) for name, need in self.leaf.needs.items()},
        )

    def completed(self, config: dict[str, Any]) -> dict[str, Any]:
        if self.schema is None:
            return config
        try:
            return self.schema.complete(config)
        except ConfigRefused as error:
            raise SpecError(f"{self.leaf.blamed(error.key, str(error), self.otherwise)}: {error}") from error

    def varying(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the varying keys; a mapping counts as the keys in it."""
        found: dict[str, Any] = {}
        for key, path in self.columns:
            value: Any = config
            try:
                for part in path:
                    value = value[part]
            except (KeyError, TypeError):
                continue
            if isinstance(value, dict) and value:
                found.update(flatten(value, key))
            else:
                found[key] = value
        return found


def _prepare_text(prepare: Prepare, get: Get) -> str:
    """Return the command with its values in place; each argument is quoted, so that splitting gives them back."""
    try:
        return shlex.join(fill_argv(prepare.command, get))
    except SpecError as error:
        raise SpecError(f"{prepare.mark}: prepare: {error}") from error


def _drop(config: dict[str, Any], path: Sequence[str]) -> None:
    """Take a key out, and with it the mappings that it leaves empty."""
    name, rest = path[0], path[1:]
    if rest and isinstance(config.get(name), dict):
        _drop(config[name], rest)
        if config[name]:
            return
    elif rest:
        return
    config.pop(name, None)


def _builder(leaf: Leaf, touched: Sequence[str]) -> Callable[[Sequence[Any]], dict[str, Any]]:
    """Return what makes a nested config from the values of the axes. Mappings that hold no varying or `touched` key are shared."""
    keys = [key for bundle in leaf.bundles for key in bundle.keys]
    template = nest({**leaf.config, **dict.fromkeys(keys)})
    return _nested_builder(template, "", {key: place for place, key in enumerate(keys)}, (*keys, *touched))


def _nested_builder(
    template: dict[str, Any], prefix: str, places: Mapping[str, int], fresh: Sequence[str]
) -> Callable[[Sequence[Any]], dict[str, Any]]:
    slots = tuple((name, places[prefix + name]) for name in template if prefix + name in places)
    inner = tuple(
        (name, _nested_builder(child, f"{prefix}{name}.", places, fresh))
        for name, child in template.items()
        if isinstance(child, dict) and any(is_below(key, prefix + name) for key in fresh)
    )

    def build(values: Sequence[Any]) -> dict[str, Any]:
        made = template.copy()
        for name, place in slots:
            made[name] = values[place]
        for name, build_inner in inner:
            made[name] = build_inner(values)
        return made

    return build
