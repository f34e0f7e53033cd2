"""Conditions on a config: `exclude` drops the points that match one, `when` keeps a key only where one holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.grid.canonical import canonical
from orchestrator.grid.dotted import ABSENT, is_below, leaves, lookup, nearest_keys
from orchestrator.grid.loading import Mark, Node, plain, show
from orchestrator.store.errors import SpecError


@dataclass(frozen=True)
class Condition:
    """Holds for a config that has every key with one of its values."""

    terms: tuple[tuple[str, frozenset[str]], ...]
    """Dotted key → canonical forms of the values that match."""
    mark: Mark
    shown: str
    """As it is written, for messages."""

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Say whether a nested config matches; a key that it lacks matches nothing."""
        for key, allowed in self.terms:
            value = lookup(config, key)
            if value is ABSENT or canonical(value) not in allowed:
                return False
        return True

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(key for key, _ in self.terms)


def parse_condition(node: Node, section: str) -> Condition:
    """Read {key: value, …}; a list stands for "one of these"."""
    if not node.is_mapping or not node.value:
        raise SpecError(
            f"{node.mark}: {section} holds {show(node)}; a condition is a mapping of keys to values. Write {{data.kind: brain, seed: [1, "
            f"2]}}."
        )
    terms = []
    for key, value in leaves(node).items():
        options = plain(value) if value.is_list else [plain(value)]
        if not options:
            raise SpecError(f"{value.mark}: {section} asks {key} to be one of nothing. List at least one value.")
        terms.append((key, frozenset(canonical(option) for option in options)))
    return Condition(tuple(terms), node.mark, show(node))


def check_keys(condition: Condition, known: Iterable[str], section: str) -> None:
    """Refuse a condition on a key that no config of the level has: it is a slip of the pen, or a default of the schema."""
    names = list(known)
    for key in condition.keys:
        if not any(name == key or is_below(key, name) or is_below(name, key) for name in names):
            raise SpecError(
                f"{condition.mark}: {section} asks for {key}, which is neither set nor varied here. {nearest_keys(key, names)} "
                f"To use a default of the schema, set it under config: as well."
            )


def in_order(when: Mapping[str, Condition]) -> tuple[tuple[str, Condition], ...]:
    """Sort so that a key comes after the keys its condition asks for; refuse keys that depend on each other in a circle."""
    ordered: dict[str, Condition] = {}
    waiting = dict(when)
    while waiting:
        ready = [key for key, condition in waiting.items() if not _depends(condition, waiting)]
        if not ready:
            key, condition = next(iter(waiting.items()))
            raise SpecError(
                f"{condition.mark}: when makes {' and '.join(waiting)} depend on each other, {key} on itself at last. Remove one of the "
                f"conditions."
            )
        for key in ready:
            ordered[key] = waiting.pop(key)
    return tuple(ordered.items())


def _depends(condition: Condition, waiting: Iterable[str]) -> bool:
    return any(key == name or is_below(key, name) for key in condition.keys for name in waiting)
