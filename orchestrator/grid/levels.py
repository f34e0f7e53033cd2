"""A level of a grid file (its top, a case, a variant, --set) laid over the level that it inherits from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.grid.axes import Axis, parse_distribution, parse_values
from orchestrator.grid.conditions import Condition, parse_condition
from orchestrator.grid.dotted import ancestors, check_key, is_below, leaves, nearest_keys
from orchestrator.grid.loading import REMOVE, Node, show
from orchestrator.grid.needs import NeedTemplate, Prepare, read_needs, read_prepare
from orchestrator.grid.resource_rules import flatten_resources
from orchestrator.store.errors import SpecError, did_you_mean

SECTIONS = ("config", "grid", "zip", "random", "exclude", "when", "resources", "prepare", "needs", "cases")


@dataclass(frozen=True, kw_only=True)
class Level:
    """All that holds at a place of the file, what it inherited included. Levels are values: a lower one is a new one."""

    case: tuple[str, ...] = ()
    config: dict[str, Node] = field(default_factory=dict)
    """Dotted key → value."""
    axes: dict[str, Axis] = field(default_factory=dict)
    case_keys: frozenset[str] = frozenset()
    """Keys that a case sets: they tell its runs from those of other cases."""
    samples: Node | None = None
    seed: Node | None = None
    exclude: tuple[Condition, ...] = ()
    when: dict[str, Condition] = field(default_factory=dict)
    resources: dict[str, Node] = field(default_factory=dict)
    prepare: Prepare | None = None
    needs: dict[str, NeedTemplate] = field(default_factory=dict)


def lay_over(level: Level, node: Node, *, case: str | None = None, overlay: bool = False) -> Level:
    """Return `level` with the sections of `node` over it.

    A lower level sets keys, replaces axes, and drops either with `!remove`; a key that it sets no longer varies.
    `overlay`: it is a variant or --set, which lie over every case alike: dropping what a case has not is no error.
    """
    given, inherited = node.value, level.axes
    if case is not None:
        level = replace(level, case=(*level.case, case))
    for section, read in _READERS.items():
        if section in given:
            level = read(level, given[section], overlay)
    own = _own_axes(node)
    axes = dict(level.axes)
    for key, value in own.items():
        if isinstance(value, Axis):
            axes[key] = value
        elif axes.pop(key, None) is None and key not in inherited and not overlay:
            raise SpecError(f"{value.mark}: !remove drops the axis {key}, which is not there. {nearest_keys(key, inherited)}")
    return replace(level, axes=axes)


def read_cases(node: Node | None) -> Iterator[tuple[str, Node]]:
    """Yield the (name, level) pairs of `cases:`; an empty case inherits everything."""
    if node is None:
        return
    if not node.is_mapping or not node.value:
        raise SpecError(
            f"{node.mark}: cases holds {show(node)}; it maps names to sub-grids. Write cases: {{baseline: {{}}, wide: {{config: {{…}}}}}}."
        )
    for name, case in node.items():
        if not name.isprintable() or not 0 < len(name) <= 100:
            raise SpecError(
                f"{case.mark}: the name of the case {name[:40]!r} is empty, too long, or holds invisible characters. Use at most 100 "
                f"letters."
            )
        yield name, check_level(case if case.value is not None else Node({}, case.mark), f"cases.{name}")


def check_level(node: Node, place: str, *, extra: tuple[str, ...] = ()) -> Node:
    """Refuse a level that is no mapping or holds unknown sections."""
    if not node.is_mapping:
        raise SpecError(f"{node.mark}: {place} holds {show(node)}; it must be a mapping of sections. Known: {', '.join(SECTIONS)}.")
    known = (*SECTIONS, *extra)
    for key, child in node.items():
        if key not in known:
            hint = f"A value of the config is written below config:, as config: {{{key}: …}}; known are {', '.join(known)}."
            raise SpecError(
                f"{child.mark}: {place}.{key} holds {show(child)}; this key is unknown. "
                f"{did_you_mean(key, known) if '.' not in key else hint}"
            )
    return node


def _config(level: Level, node: Node, overlay: bool) -> Level:
    """Lay the mappings of `config:` over each other, later ones first."""
    for entry in node.value if node.is_list else [node]:
        if not entry.is_mapping:
            raise SpecError(
                f"{entry.mark}: config holds {show(entry)}; it takes files and mappings. Write config: [base.yaml, {{train: {{epochs: "
                f"2}}}}]."
            )
        for key, value in leaves(entry).items():
            level = _drop(level, key, value, overlay) if value.value is REMOVE else _set(level, key, value)
            if level.case and not overlay:
                level = replace(level, case_keys=level.case_keys | {key})
    return level


def _set(level: Level, key: str, value: Node) -> Level:
    related = next((axis for name, axis in level.axes.items() if is_below(key, name) or is_below(name, key)), None)
    if related is not None:
        raise SpecError(
            f"{value.mark}: {key} is set to {show(value)} beside the axis {related.key} ({related.mark}); one lies inside the other. "
            f"Drop the axis with grid: {{{related.key}: !remove}}."
        )
    config = dict(level.config)
    if value.is_mapping and any(is_below(name, key) for name in config):
        return level  # an empty mapping laid over a mapping adds nothing
    for name in [name for name in config if is_below(name, key) or is_below(key, name)]:
        del config[name]
    config[key] = value
    axes = {name: axis for name, axis in level.axes.items() if name != key}
    return replace(level, config=config, axes=axes)


def _drop(level: Level, key: str, value: Node, overlay: bool) -> Level:
    config = {name: item for name, item in level.config.items() if name != key and not is_below(name, key)}
    axes = {name: axis for name, axis in level.axes.items() if name != key and not is_below(name, key)}
    if len(config) == len(level.config) and len(axes) == len(level.axes) and not overlay:
        raise SpecError(f"{value.mark}: !remove drops {key}, which is not there. {nearest_keys(key, [*level.config, *level.axes])}")
    return replace(level, config=config, axes=axes)


def _own_axes(node: Node) -> dict[str, Any]:
    """Return key → Axis (or the node of a !remove) of the grid, zip and random of one level; a key may stand in one of them, once."""
    own: dict[str, Any] = {}
    for section, read in (("grid", _grid_axes), ("zip", _zip_axes), ("random", _random_axes)):
        given = node.value.get(section)
        if given is None or given.value is REMOVE:
            continue
        for key, axis in read(given):
            if key in own:
                raise SpecError(
                    f"{axis.mark}: {section} varies {key}, which varies already in line {own[key].mark.line}. Keep one of the two."
                )
            own[key] = axis
    for key, axis in own.items():
        for ancestor in ancestors(key):
            if ancestor in own:
                raise SpecError(
                    f"{axis.mark}: {key} varies beside {ancestor} (line {own[ancestor].mark.line}), which contains it. Keep one of the two."
                )
    return own


def _grid_axes(node: Node) -> Iterator[tuple[str, Axis | Node]]:
    if not node.is_mapping or not node.value:
        raise SpecError(f"{node.mark}: grid holds {show(node)}; it maps keys to lists. Write grid: {{seed: [1, 2, 3]}}.")
    for key, values in node.items():
        check_key(key, values)
        yield key, values if values.value is REMOVE else Axis(key=key, mark=values.mark, values=parse_values(key, values, "grid"))


def _zip_axes(node: Node) -> Iterator[tuple[str, Axis | Node]]:
    """Each entry of the list is a bundle whose axes move together and are equally long."""
    bundles = node.value if node.is_list else [node]
    for bundle in bundles:
        if not bundle.is_mapping or not bundle.value:
            raise SpecError(
                f"{bundle.mark}: zip holds {show(bundle)}; it lists mappings of keys to lists. Write zip: [{{mask.kind: [a, b], mask.seed: "
                f"[0, 1]}}]."
            )
        axes = []
        for key, values in bundle.items():
            check_key(key, values)
            if values.value is REMOVE:
                yield key, values
            else:
                axes.append(
                    Axis(key=key, mark=values.mark, values=parse_values(key, values, "zip"), bundle=f"zip of {', '.join(bundle.value)}")
                )
        _check_lengths(axes, bundle)
        yield from ((axis.key, axis) for axis in axes)


def _check_lengths(axes: list[Axis], bundle: Node) -> None:
    lengths = {axis.key: len(axis.values) for axis in axes if isinstance(axis.values, Sequence)}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        odd = next(axis for axis in axes if lengths[axis.key] != lengths[axes[0].key])
        raise SpecError(f"{odd.mark}: zip moves axes together, but {told} values: {show(bundle)}. Give all of them the same number.")


def _random_axes(node: Node) -> Iterator[tuple[str, Axis | Node]]:
    if not node.is_mapping:
        raise SpecError(
            f"{node.mark}: random holds {show(node)}; it is a mapping. Write random: {{samples: 50, seed: 7, axes: {{optim.lr: "
            f"{{loguniform: [1e-5, 1e-2]}}}}}}."
        )
    for key, child in node.items():
        if key not in ("samples", "seed", "axes"):
            raise SpecError(
                f"{child.mark}: random.{key} holds {show(child)}; this key is unknown. {did_you_mean(key, ('samples', 'seed', 'axes'))}"
            )
    axes = node.value.get("axes")
    if axes is None:
        return
    if not axes.is_mapping or not axes.value:
        raise SpecError(
            f"{axes.mark}: random.axes holds {show(axes)}; it maps keys to distributions. Write axes: {{optim.lr: {{loguniform: [1e-5, "
            f"1e-2]}}}}."
        )
    for key, given in axes.items():
        check_key(key, given)
        yield (
            key,
            given if given.value is REMOVE else Axis(key=key, mark=given.mark, values=parse_distribution(key, given), bundle="random"),
        )


def _axes_dropper(kind: Callable[[Axis], bool]) -> Callable[[Level, Node, bool], Level]:
    """`grid: !remove` drops every axis that grid gave; the same for zip and random."""

    def read(level: Level, node: Node, overlay: bool) -> Level:
        if node.value is not REMOVE:
            return level
        return replace(level, axes={key: axis for key, axis in level.axes.items() if not kind(axis)})

    return read


def _random(level: Level, node: Node, overlay: bool) -> Level:
    if node.value is REMOVE:
        return _axes_dropper(lambda axis: axis.bundle == "random")(level, node, overlay)
    if not node.is_mapping:
        return level  # refused when its axes are read
    for key, least in (("samples", 1), ("seed", None)):
        child = node.value.get(key)
        if child is None:
            continue
        number = child.value
        if isinstance(number, bool) or not isinstance(number, int) or (least is not None and number < least):
            raise SpecError(
                f"{child.mark}: random.{key} holds {show(child)}; it must be a whole number{' above 0' if least else ''}. Write {key}: 50."
            )
    return replace(level, samples=node.value.get("samples", level.samples), seed=node.value.get("seed", level.seed))


def _exclude(level: Level, node: Node, overlay: bool) -> Level:
    if node.value is REMOVE:
        return replace(level, exclude=())
    if not node.is_list:
        raise SpecError(f"{node.mark}: exclude holds {show(node)}; it lists conditions. Write exclude: [{{loss.weighting: dwa, seed: 3}}].")
    return replace(level, exclude=level.exclude + tuple(parse_condition(item, "exclude") for item in node.value))


def _when(level: Level, node: Node, overlay: bool) -> Level:
    if node.value is REMOVE:
        return replace(level, when={})
    if not node.is_mapping:
        raise SpecError(
            f"{node.mark}: when holds {show(node)}; it maps keys to conditions. Write when: {{mask.acs: {{data.kind: brain}}}}."
        )
    when = dict(level.when)
    for key, condition in node.items():
        check_key(key, condition)
        if condition.value is REMOVE:
            when.pop(key, None)
        else:
            when[key] = parse_condition(condition, f"when.{key}")
    return replace(level, when=when)


def _resources(level: Level, node: Node, overlay: bool) -> Level:
    if node.value is REMOVE:
        return replace(level, resources={})
    merged = {**level.resources, **flatten_resources(node)}
    return replace(level, resources={key: value for key, value in merged.items() if value.value is not REMOVE})


def _prepare(level: Level, node: Node, overlay: bool) -> Level:
    return replace(level, prepare=None if node.value is REMOVE else read_prepare(node))


def _needs(level: Level, node: Node, overlay: bool) -> Level:
    return replace(level, needs={} if node.value is REMOVE else read_needs(node, level.needs))


_READERS: dict[str, Callable[[Level, Node, bool], Level]] = {
    "config": _config,
    "grid": _axes_dropper(lambda axis: axis.bundle == ""),
    "zip": _axes_dropper(lambda axis: axis.bundle.startswith("zip")),
    "random": _random,
    "exclude": _exclude,
    "when": _when,
    "resources": _resources,
    "prepare": _prepare,
    "needs": _needs,
}
