"""What a run needs, possibly by its config: `mem_gb: {by: data.kind, brain: 64, digits: 32}`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.cluster.resources import Resources
from orchestrator.grid.canonical import canonical
from orchestrator.grid.dotted import check_key
from orchestrator.grid.interpolate import Get, KeyRefused, Placeholder, has_placeholder, parse_template, resolve, text_of
from orchestrator.grid.loading import Node, resolve_scalar, show
from orchestrator.store.errors import SpecError, did_you_mean

WHOLE = {"gpus": 0, "cpus": 1, "nodes": 1}
"""Whole numbers, with the least that is allowed."""
REAL = ("mem_gb", "time_min")
KNOWN = (*WHOLE, *REAL, "sbatch")

_OPTION = re.compile(r"[a-z][a-z0-9-]*\Z")
_OWN_OPTIONS = {
    "array",
    "job-name",
    "dependency",
    "output",
    "error",
    "wrap",
    "parsable",
    "test-only",
    "chdir",
    "export",
    "signal",
    "requeue",
    "no-requeue",
    "hold",
    "begin",
}
"""Options of sbatch that the launcher writes itself."""


def flatten_resources(node: Node) -> dict[str, Node]:
    """Return key → value node of a resources mapping, the options of sbatch as "sbatch.NAME"; unknown keys are refused."""
    if not node.is_mapping:
        raise SpecError(
            f"{node.mark}: resources holds {show(node)}; it is a mapping. Write {{gpus: 1, cpus: 2, mem_gb: 32, time_min: 240}}."
        )
    flat: dict[str, Node] = {}
    for key, value in node.items():
        if key not in KNOWN:
            raise SpecError(f"{value.mark}: resources.{key} holds {show(value)}; this key is unknown. {did_you_mean(key, KNOWN)}")
        if key != "sbatch":
            flat[key] = value
            continue
        if not value.is_mapping:
            raise SpecError(f"{value.mark}: resources.sbatch holds {show(value)}; it is a mapping. Write {{constraint: a100}}.")
        flat.update({f"sbatch.{_option(name, child)}": child for name, child in value.items()})
    return flat


def _option(name: str, node: Node) -> str:
    if not _OPTION.match(name):
        raise SpecError(
            f"{node.mark}: resources.sbatch holds the option {name[:40]!r}; options are long names. Write constraint, qos, partition."
        )
    if name in _OWN_OPTIONS:
        raise SpecError(f"{node.mark}: resources.sbatch.{name} holds {show(node)}, but the launcher sets this option itself. Remove it.")
    return name


class ResourceRules:
    """Gives the resources of a config; equal answers are the same object."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.nodes = dict(nodes)
        self.keys = sorted({key for name, node in nodes.items() for key in _depends_on(name, node)})
        """Keys of the config that the answer depends on."""
        self._known: dict[tuple[str, ...], Resources] = {}
        if not self.keys:
            self._known[()] = self._evaluate(_nothing)

    def resources(self, get: Get) -> Resources:
        """Return what a run needs whose values `get` looks up."""
        case = self._case(get) if self.keys else ()
        if case not in self._known:
            self._known[case] = self._evaluate(get)
        return self._known[case]

    def _case(self, get: Get) -> tuple[str, ...]:
        """Return the values that the answer depends on."""
        return tuple([canonical(self._looked_up(key, get)) for key in self.keys])

    def _looked_up(self, key: str, get: Get) -> Any:
        try:
            return get(key)
        except SpecError as error:
            name, node = next((name, node) for name, node in self.nodes.items() if key in _depends_on(name, node))
            if node.is_mapping and isinstance(error, KeyRefused):
                raise SpecError(f"{node.value['by'].mark}: resources.{name}.by holds {key!r}, {error.problem}. {error.hint}") from error
            raise SpecError(f"{node.mark}: resources.{name}: {error}") from error

    def gave(self, resources: Resources) -> bool:
        """Say whether a config got these resources."""
        return resources in self._known.values()

    def _evaluate(self, get: Get) -> Resources:
        values: dict[str, Any] = {}
        options: list[tuple[str, str]] = []
        for name, node in self.nodes.items():
            value = _value(name, node, get)
            if name.startswith("sbatch."):
                options.append((name.removeprefix("sbatch."), str(_checked(name, value, node))))
            else:
                values[name] = _checked(name, value, node)
        return Resources(**values, sbatch=tuple(sorted(options)))


def _nothing(key: str) -> Any:
    raise SpecError(f"{{{key}}} names no key of the config.")


def _depends_on(name: str, node: Node) -> list[str]:
    """Return the config keys that a value depends on, checking its shape."""
    if node.is_mapping:
        by = node.value.get("by")
        if by is None or not isinstance(by.value, str) or len(node.value) < 2:
            raise SpecError(
                f"{node.mark}: resources.{name} holds {show(node)}; by config it needs a key and its values. Write {{by: data.kind, brain: "
                f"64, digits: 32}}."
            )
        for key, child in node.items():
            if key != "by":
                _checked(name, child.value, child)
        return [check_key(by.value, by)]
    if has_placeholder(node.value):
        try:
            return [part.key for part in parse_template(node.value) if isinstance(part, Placeholder)]
        except SpecError as error:
            raise SpecError(f"{node.mark}: resources.{name}: {error}") from error
    return []


def _value(name: str, node: Node, get: Get) -> Any:
    if not node.is_mapping:
        return resolve(node.value, get)
    by = node.value["by"].value
    wanted = get(by)
    for text, child in node.items():
        if text != "by" and _means(text, wanted):
            return child.value
    known = ", ".join(text for text in node.value if text != "by")
    raise SpecError(
        f"{node.mark}: resources.{name} has no value for {by} = {text_of(wanted)}. Add {text_of(wanted)}: … to it; it knows {known}."
    )


def _means(text: str, value: Any) -> bool:
    """Say whether a key of a `by` mapping, which is text, stands for a value of the config."""
    try:
        return text_of(value) == text or canonical(value) == canonical(resolve_scalar(text))
    except ValueError:
        return False


def _checked(name: str, value: Any, node: Node) -> int | float | str:
    return _checked_option(name, value, node) if name.startswith("sbatch.") else _checked_number(name, value, node)


def _checked_number(name: str, value: Any, node: Node) -> int | float:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if name in REAL:
        if not number or value <= 0:
            raise SpecError(
                f"{node.mark}: resources.{name} holds {show(value)}; it is a number above 0 ({'GB' if name == 'mem_gb' else 'minutes'}). "
                f"Write {name}: 32."
            )
        return float(value)
    if not number or value != int(value) or value < WHOLE[name]:
        raise SpecError(
            f"{node.mark}: resources.{name} holds {show(value)}; it is a whole number of at least {WHOLE[name]}. Write {name}: "
            f"{max(1, WHOLE[name])}."
        )
    return int(value)


def _checked_option(name: str, value: Any, node: Node) -> str:
    if not isinstance(value, str | int | float | bool):
        raise SpecError(
            f"{node.mark}: resources.{name} holds {show(value)}; an option of sbatch takes a text or number. Write "
            f"{name.removeprefix('sbatch.')}: VALUE."
        )
    text = text_of(value)
    if not text.isprintable() or len(text) > 500:
        raise SpecError(f"{node.mark}: resources.{name} holds {show(value)}, with control characters or more than 500 of any. Shorten it.")
    return text
