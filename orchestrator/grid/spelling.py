"""Finds axes and --set keys that are slips of the pen, in a grid without a schema: nothing names them, and another key is almost alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from orchestrator.grid.axes import Axis
from orchestrator.grid.dotted import ancestors, is_below
from orchestrator.grid.interpolate import placeholders
from orchestrator.grid.leaf import Leaf
from orchestrator.grid.loading import show
from orchestrator.grid.spec import Spec
from orchestrator.store.errors import SpecError

LONG_WORD = 8
"""From this length on, two wrong letters are a slip too."""
_WORDS = re.compile(r"[^\W\d_]+|\d+")


def check_spelling(spec: Spec) -> None:
    """Refuse a key that the config does not set and nothing in the grid names, where the config sets one that is spelt almost alike.

    Such a key comes from an axis, or from --set. Without a schema nobody knows which keys the entry reads: one that
    resembles no other passes.
    """
    configured = list(dict.fromkeys(key for leaf in spec.leaves for key in leaf.configured))
    known = [*configured, *(key for leaf in spec.leaves for key in leaf.varied)]
    named = list(_keys_named(spec))
    axes = {axis.key: axis for leaf in spec.leaves for axis in leaf.axes}
    for axis in axes.values():
        if not _is_named(axis.key, (*configured, *named)):
            _refuse_slip(axis.key, f"{axis.mark}: {axis.told}", find_alike(axis.key, configured, is_section=_holds_mappings(axis)))
    for leaf in spec.leaves:
        for key in sorted(leaf.config.keys() - {*known}):
            if not _is_named(key, (*known, *named)):
                _refuse_slip(key, f"{leaf.marks[key]}: {key} holds {show(leaf.config[key])}", find_alike(key, known))


def _is_named(key: str, names: Iterable[str]) -> bool:
    return any(name == key or is_below(name, key) or is_below(key, name) for name in names)


def _holds_mappings(axis: Axis) -> bool:
    return isinstance(axis.values, list) and all(isinstance(value, Mapping) for value in axis.values)


def _refuse_slip(key: str, told: str, meant: str | None) -> None:
    if meant is not None:
        raise SpecError(
            f"{told}, but the config has no such key. Did you mean {meant}? If {key} is meant, give it a value under config: as well."
        )


def _keys_named(spec: Spec) -> Iterator[str]:
    """Yield the keys that placeholders, conditions, resources and the runtime list name: whoever repeats a key means it."""
    yield from spec.runtime
    yield from placeholders(spec.command or "")
    for leaf in spec.leaves:
        yield from _keys_named_in(leaf)


def _keys_named_in(leaf: Leaf) -> Iterator[str]:
    yield from placeholders(leaf.config)
    yield from placeholders([axis.values for axis in leaf.axes if isinstance(axis.values, list)])
    yield from placeholders(leaf.prepare.command if leaf.prepare is not None else "")
    yield from placeholders([text for need in leaf.needs.values() for text in (need.grid, need.where)])
    yield from leaf.resources.keys
    for key, condition in leaf.when:
        yield from (key, *condition.keys)
    for condition in leaf.exclude:
        yield from condition.keys


def find_alike(key: str, configured: Iterable[str], *, is_section: bool = False) -> str | None:
    """Return the key that was meant, where `key` or a section that it lies in differs by a slip from one of the config.

    `is_section`: the key holds mappings, and is compared with sections.
    """
    values = dict.fromkeys(configured)
    sections = dict.fromkeys(section for name in values for section in ancestors(name))
    for name in (*ancestors(key), key):
        if name in sections:
            continue
        known = values if name == key and not is_section else sections
        parent, _, last = name.rpartition(".")
        siblings = (other for other in known if other.rpartition(".")[0] == parent)
        alike = next((other for other in siblings if is_slip(last, other.rpartition(".")[2])), None)
        return None if alike is None else alike + key.removeprefix(name)
    return None


def is_slip(written: str, meant: str) -> bool:
    """Say whether two names differ as slips of the pen do: in case, in separators, or by a letter or two of one word.

    Names that people choose side by side are no slips: beta1 and beta2, size_x and size_y, batch and patch.
    """
    left, right = written.casefold(), meant.casefold()
    if re.sub("[_-]", "", left) == re.sub("[_-]", "", right):
        return True
    words, others = _WORDS.findall(left), _WORDS.findall(right)
    differing = [(word, other) for word, other in zip(words, others, strict=False) if word != other]
    if len(words) != len(others) or len(differing) != 1:
        return False
    return _are_mixed_up(*differing[0])


def _are_mixed_up(word: str, other: str) -> bool:
    """Say whether one word is the other with a swapped, missing, doubled or wrong letter; the first letter is seldom wrong."""
    length = max(len(word), len(other))
    if length < 3 or word.isdigit() or other.isdigit():
        return False
    if sorted(word) == sorted(other):
        return distance(word, other) == 1
    if word[0] != other[0] or (len(word) == len(other) and length < 5):
        return False
    return distance(word, other) <= (2 if length >= LONG_WORD else 1)


def distance(left: str, right: str) -> int:
    """Return how many letters are inserted, left out, replaced, or swapped with their neighbour (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, letter in enumerate(left, 1):
        before, last, row = row, before, [i]
        for j, other in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == right[j - 2] and left[i - 2] == other:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
