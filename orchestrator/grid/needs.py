"""What must be there before a run starts: the command that prepares its data, and results of other runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.grid.interpolate import Get, parse_template, resolve_as_text, split_command
from orchestrator.grid.loading import REMOVE, Mark, Node, show
from orchestrator.grid.resource_rules import ResourceRules, flatten_resources
from orchestrator.grid.where import parse_where, quoted
from orchestrator.store.errors import InputError, SelectionError, SpecError, did_you_mean
from orchestrator.store.layout import GRID_NAME

PICKS = ("best", "last")
_NAME = re.compile(r"[A-Za-z_]\w{0,99}\Z")


class NeedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for a result of another run: which grid, which of its runs, and the pick among several."""

    grid: str
    where: str = ""
    """An expression of --where; empty: every run of the grid."""
    pick: str = "best"
    """best: by the objective of that grid · last: the run that ended last."""


@dataclass(frozen=True, kw_only=True)
class NeedTemplate:
    """A need as it is written, placeholders included."""

    name: str
    grid: str
    where: str = ""
    pick: str = "best"
    mark: Mark

    def query(self, get: Get) -> NeedQuery:
        """Fill the placeholders; texts that need it are quoted, so that a value never becomes part of the expression."""
        try:
            query = NeedQuery(grid=resolve_as_text(self.grid, get), where=resolve_as_text(self.where, get, render=quoted), pick=self.pick)
            if query.where:
                parse_where(query.where)
        except (SpecError, SelectionError) as error:
            raise self.refused(error) from error
        _check_grid(query.grid, self.mark)
        return query

    def refused(self, error: InputError) -> SpecError:
        """Return what is wrong with the need or with its answer, told in words of the grid file."""
        problem = str(error).removeprefix("needs: ")
        if problem.startswith("--where "):
            problem = f"where: {problem.removeprefix('--where ')}"
        return SpecError(f"{self.mark}: needs.{self.name}: {problem}")


@dataclass(frozen=True)
class Prepare:
    """A command that makes the data of several runs, once for each distinct text."""

    command: str
    resources: Resources
    mark: Mark


def read_prepare(node: Node) -> Prepare:
    """Read `prepare: TEXT` or `prepare: {command: TEXT, resources: {…}}`; its resources are one CPU unless named."""
    entries = dict(node.items()) if node.is_mapping else {"command": node}
    for key, child in entries.items():
        if key not in ("command", "resources"):
            raise SpecError(
                f"{child.mark}: prepare.{key} holds {show(child)}; this key is unknown. {did_you_mean(key, ('command', 'resources'))}"
            )
    command = entries.get("command", Node(None, node.mark))
    if not isinstance(command.value, str) or not command.value.strip():
        raise SpecError(
            f"{node.mark}: prepare holds {show(node)}; it needs a command. Write prepare: python -m data.simulate --out {{data.root}}."
        )
    try:
        for word in split_command(command.value):
            parse_template(word)
    except SpecError as error:
        raise SpecError(f"{command.mark}: prepare: {error}") from error
    resources = Resources()
    if "resources" in entries:
        resources = ResourceRules(flatten_resources(entries["resources"])).resources(_no_config)
    return Prepare(command.value.strip(), resources, command.mark)


def _no_config(key: str) -> object:
    raise SpecError(f"the resources of prepare depend on {key}; one command serves many configs. Write plain numbers.")


def read_needs(node: Node, inherited: Mapping[str, NeedTemplate]) -> dict[str, NeedTemplate]:
    """Read `needs:`, laid over what is inherited."""
    if not node.is_mapping:
        raise SpecError(
            f"{node.mark}: needs holds {show(node)}; it maps names to queries. Write needs: {{weights: {{grid: stl, pick: best}}}}."
        )
    needs = dict(inherited)
    for name, child in node.items():
        if not _NAME.match(name):
            raise SpecError(
                f"{child.mark}: needs holds the name {name[:40]!r}; the entry reads it as run.needs[NAME]. Write a word such as weights."
            )
        if child.value is REMOVE:
            needs.pop(name, None)
        else:
            needs[name] = _read_need(name, child, needs.get(name))
    return needs


def _read_need(name: str, node: Node, inherited: NeedTemplate | None) -> NeedTemplate:
    place = f"needs.{name}"
    if not node.is_mapping:
        raise SpecError(f"{node.mark}: {place} holds {show(node)}; it must be a mapping. Write {{grid: stl_single, pick: best}}.")
    for key, child in node.items():
        if key not in ("grid", "where", "pick"):
            raise SpecError(
                f"{child.mark}: {place}.{key} holds {show(child)}; this key is unknown. {did_you_mean(key, ('grid', 'where', 'pick'))}"
            )
        if not isinstance(child.value, str):
            raise SpecError(f"{child.mark}: {place}.{key} holds {show(child)}; it must be a text. Quote it.")
        _check_braces(place, key, child)
    given = {key: child.value.strip() for key, child in node.items()}
    if inherited is None and "grid" not in given:
        raise SpecError(f"{node.mark}: {place} holds {show(node)} and names no grid. Write grid: NAME.")
    if given.get("pick", "best") not in PICKS:
        raise SpecError(f"{node.value['pick'].mark}: {place}.pick holds {show(given['pick'])}. {did_you_mean(given['pick'], PICKS)}")
    need = replace(inherited, **given, mark=node.mark) if inherited else NeedTemplate(**given, name=name, mark=node.mark)
    if "{" not in need.grid:
        _check_grid(need.grid, node.mark)
    return need


def _check_braces(place: str, key: str, node: Node) -> None:
    try:
        parse_template(node.value)
    except SpecError as error:
        raise SpecError(f"{node.mark}: {place}.{key}: {error}") from error


def _check_grid(name: str, mark: Mark) -> None:
    base, at, variant = name.partition("@")
    if not GRID_NAME.match(base) or (at and not GRID_NAME.match(variant)):
        raise SpecError(f"{mark}: needs asks for the grid {show(name)}, which is no name of a grid. Write NAME or NAME@VARIANT.")
