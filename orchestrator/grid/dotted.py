"""Dotted keys: `model.blocks` names the value `blocks` inside the mapping `model`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from orchestrator.grid.loading import Node
from orchestrator.store.errors import SpecError, did_you_mean

MAX_KEY = 200


class Absent:
    """The value of a key that is not there; null is a value."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = Absent()


def split_key(key: str) -> tuple[str, ...]:
    """Return the parts of a dotted key."""
    return tuple(key.split("."))


def key_problem(key: str) -> str | None:
    """Say what is wrong with a dotted key, None when nothing is."""
    if len(key) > MAX_KEY:
        return f"is longer than {MAX_KEY} characters"
    if not all(key.split(".")):
        return "has an empty part"
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in key) or key != key.strip():
        return "holds invisible characters, or spaces at its ends"
    if "{" in key or "}" in key:
        return "holds braces"
    return None


def check_key(key: str, node: Node) -> str:
    """Return a key that can be used; raise SpecError otherwise."""
    problem = key_problem(key)
    if problem:
        raise SpecError(f"{node.mark}: the key {key[:60]!r} {problem}. Write words joined by dots, as in optim.lr.")
    return key


def is_below(key: str, ancestor: str) -> bool:
    """Say whether `key` lies strictly inside `ancestor`."""
    return key.startswith(ancestor + ".")


def flatten_nodes(node: Node, prefix: str = "") -> Iterator[tuple[str, Node]]:
    """Yield (dotted key, value node) of every leaf; lists and empty mappings are leaves."""
    for name, child in node.items():
        key = check_key(f"{prefix}.{name}" if prefix else name, child)
        if child.is_mapping and child.value:
            yield from flatten_nodes(child, key)
        else:
            yield key, child


def leaves(node: Node) -> dict[str, Node]:
    """Return dotted key → value of a mapping; refuse a key that is spelt both nested and dotted, or holds both a value and keys."""
    flat: dict[str, Node] = {}
    for key, child in flatten_nodes(node):
        if key in flat:
            raise SpecError(
                f"{child.mark}: {key} is set twice, first in line {flat[key].mark.line}, once nested and once dotted. Remove one of the "
                f"two."
            )
        flat[key] = child
    for key, child in flat.items():
        for ancestor in ancestors(key):
            if ancestor in flat:
                raise SpecError(
                    f"{child.mark}: {key} stands beside {ancestor}, which is set as a whole in line {flat[ancestor].mark.line}. Remove one "
                    f"of the two."
                )
    return flat


def ancestors(key: str) -> Iterator[str]:
    """Yield the keys that contain `key`, outermost first: a, a.b for a.b.c."""
    parts = key.split(".")
    for length in range(1, len(parts)):
        yield ".".join(parts[:length])


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted key → value of a nested mapping; lists and empty mappings are values."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        key = f"{prefix}.{name}" if prefix else name
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, key))
        else:
            flat[key] = value
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested mapping of dotted keys; the opposite of `flatten`."""
    root: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        inner = root
        for part in parents:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return root


def lookup(config: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted key of a nested mapping, ABSENT when there is none."""
    value: Any = config
    for part in key.split("."):
        try:
            value = value[part]
        except (KeyError, TypeError):  # not there, or the value is no mapping
            return ABSENT
    return value


def nearest_keys(key: str, known: Iterable[str]) -> str:
    """Return "Did you mean …? Known: …" for a dotted key; one with the same last part is nearest of all."""
    names = sorted(set(known))
    last = key.rpartition(".")[2]
    same = [name for name in names if name.rpartition(".")[2] == last]
    if not same:
        return did_you_mean(key, names)
    listed = (same + [name for name in names if name not in same])[:12]
    return f"Did you mean {same[0]}? Known: {', '.join(listed)}{', …' if len(names) > 12 else ''}."
