"""Makes the manifests of a grid's runs, one by one, and compares them with the kept ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.grid.canonical import canonical, same
from orchestrator.grid.dotted import ABSENT, flatten, is_below
from orchestrator.grid.expand import Point, expand
from orchestrator.grid.identity import Identity, id_of
from orchestrator.grid.interpolate import fill_argv, getter, split_command
from orchestrator.grid.manifest import Manifest, Need
from orchestrator.grid.needs import NeedQuery
from orchestrator.grid.schema import Schema
from orchestrator.grid.spec import Spec
from orchestrator.store.errors import InputError, SpecError


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A point whose run cannot be named yet: results of other runs, which enter its id, are not there."""

    config: dict[str, Any]
    """Complete, as in Manifest."""
    varying: dict[str, Any]
    missing: dict[str, NeedQuery]
    """The needs without an answer."""


class PrepareCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command that runs once, before the runs that name its hash."""

    argv: tuple[str, ...]
    resources: Resources


class Manifests(Iterator[Manifest | Waiting]):
    """The runs of a grid, one by one, each once; what was counted on the way is complete when the iteration is."""

    def __init__(self, points: Iterable[Point], maker: _Maker) -> None:
        self.collapsed = 0
        """Points that are the same run as an earlier one."""
        self.prepares: dict[str, PrepareCommand] = {}
        """Hash → command."""
        self._maker = maker
        self._found = self._unique(points)

    def __next__(self) -> Manifest | Waiting:
        return next(self._found)

    def _unique(self, points: Iterable[Point]) -> Iterator[Manifest | Waiting]:
        seen: set[str] = set()
        for point in points:
            made, key = self._maker.make(point)
            if key in seen:
                self.collapsed += 1
                continue
            seen.add(key)
            if isinstance(made, Manifest) and point.prepare is not None:
                self.prepares[made.prepare] = PrepareCommand(argv=split_command(point.prepare), resources=point.prepare_resources)
            yield made


def build_manifests(
    spec: Spec,
    *,
    schema: Schema | None,
    version: int,
    resolve_need: Callable[[NeedQuery], Need | None],
) -> Manifests:
    """Return the manifests of a grid's runs in the order of the grid, and Waiting where a need has no answer yet.

    `resolve_need` is asked once for each distinct query. Of points with the same id the first is kept, the others are
    counted in `.collapsed`. Raises SpecError: at once for an absurd count, on the way for a config that does not fit.
    """
    return Manifests(expand(spec, schema=schema), _Maker(spec, schema, version, resolve_need))


class _Maker:
    """Makes manifests; what all runs of the grid share is computed once."""

    def __init__(self, spec: Spec, schema: Schema | None, version: int, resolve_need: Callable[[NeedQuery], Need | None]) -> None:
        self.spec = spec
        self.version = version
        self.identity = Identity(schema, spec.runtime)
        self.resolve_need = lru_cache(maxsize=None)(resolve_need)

    def make(self, point: Point) -> tuple[Manifest | Waiting, str]:
        """Return the manifest and its id; for a point that waits, a text that is equal for equal points."""
        answers = {name: self.answer(name, point) for name in point.needs}
        missing = {name: point.needs[name] for name, need in answers.items() if need is None}
        needs = {name: need for name, need in answers.items() if need is not None}
        if missing:
            asked = canonical({name: [query.grid, query.where, query.pick] for name, query in point.needs.items()})
            waiting = Waiting(config=point.complete, varying=point.varying, missing=missing)
            return waiting, self.identity.document(self.spec.target, point.complete) + asked
        document = self.identity.document(self.spec.target, point.complete, needs)
        manifest = Manifest(
            id=id_of(document),
            version=self.version,
            entry=self.spec.entry or "",
            command=self.argv(point) if self.spec.command else (),
            config=point.complete,
            varying=point.varying,
            resources=point.resources,
            prepare=prepare_hash(point.prepare) if point.prepare is not None else "",
            needs=needs,
            nonfinite=_places(point) if self.identity.may_hold_nonfinite(document, point.complete) else (),
        )
        return manifest, manifest.id

    def answer(self, name: str, point: Point) -> Need | None:
        try:
            return self.resolve_need(point.needs[name])
        except InputError as error:
            leaf = next(leaf for leaf in self.spec.leaves if leaf.case == point.case)
            raise leaf.needs[name].refused(error) from error

    def argv(self, point: Point) -> tuple[str, ...]:
        assert self.spec.command is not None
        try:
            return fill_argv(self.spec.command, getter(point.complete))
        except SpecError as error:
            raise SpecError(f"{self.spec.place('command')}: command: {error}") from error


def prepare_hash(text: str) -> str:
    """Return the 16 hex digits that name a prepare command: one for each distinct text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _places(point: Point) -> tuple[tuple[str | int, ...], ...]:
    return (*_nonfinite(point.complete, "config"), *_nonfinite(point.varying, "varying"))


def _nonfinite(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Yield (word, path …) of each NaN and infinity inside a mapping or list."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, float) and not isfinite(item):
            yield (repr(item), *path, key)
        elif isinstance(item, dict | list):
            yield from _nonfinite(item, *path, key)


class ChangedDefault(msgspec.Struct, frozen=True, kw_only=True):
    """A key whose value differs between a kept manifest and today's of the same id."""

    key: str
    old: Any
    """dotted.ABSENT where the key was not there; the same for `new`."""
    new: Any
    runs: int

    @property
    def told(self) -> str:
        """optim.beta: 0.9 → 0.95 in 72 runs"""
        return f"{self.key}: {self.old!r} → {self.new!r} in {self.runs} run{'s' if self.runs != 1 else ''}"


def changed_defaults(kept: Mapping[str, Manifest], today: Iterable[Manifest], *, ignore: Collection[str] = ()) -> list[ChangedDefault]:
    """Compare the complete configs of kept runs with today's of the same id; one entry for each key, old and new value.

    They differ when a default of the schema changed, or the list of runtime keys. `ignore` names keys whose change is
    meant: the runtime keys of both the kept grid and today's.
    """
    counted: dict[tuple[str, str, str], ChangedDefault] = {}
    for manifest in today:
        before = kept.get(manifest.id)
        if before is None or before.config == manifest.config:
            continue
        for key, old, new in _differences(before.config, manifest.config):
            if any(key == name or is_below(key, name) for name in ignore):
                continue
            place = (key, repr(old), repr(new))
            runs = counted[place].runs if place in counted else 0
            counted[place] = ChangedDefault(key=key, old=old, new=new, runs=runs + 1)
    return sorted(counted.values(), key=lambda change: (-change.runs, change.key))


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    before, after = flatten(old), flatten(new)
    for key in sorted(before.keys() | after.keys()):
        left, right = before.get(key, ABSENT), after.get(key, ABSENT)
        if left is ABSENT or right is ABSENT or not same(left, right):
            yield key, left, right
