"""`--set key=value`: overrides from the command line, as levels of the grid file."""

from __future__ import annotations

from orchestrator.grid.dotted import key_problem
from orchestrator.grid.loading import REMOVE, Mark, Node, load_text, show
from orchestrator.store.errors import SpecError

_WHOLE_REST = ("config", "grid", "when")
"""Sections whose entries are dotted keys: grid.optim.lr is the axis optim.lr."""
_NESTED = ("resources", "policy", "notify", "pack", "metrics", "prepare", "needs")
_SETTINGS = ("entry", "command", "schema", "runtime", "notify", "preload", "signal", "keep_env", "code", "start", "pack")
_PLAIN = (*_SETTINGS, "prepare", "grid", "random")
_IN_FILE_ONLY = ("name", "variant", "variants", "set", "cases", "zip", "exclude")


def parse_override(text: str) -> Node:
    """Return the level that `key=value` stands for.

    A key that begins with a word of the grid language addresses the grid file (resources.time_min=30,
    grid.seed=[1,2], random.samples=5); `config.` before a key makes it a key of the config in any case.
    """
    key, equals, value_text = text.partition("=")
    key = key.strip()
    place = Mark(f"--set {key}=…" if key.startswith("notify") else f"--set {text[:80]}")  # an address there is not repeated
    if not equals or not key:
        raise SpecError(f"--set {text[:60]!r}: an override is a key and a value. Write --set train.epochs=2.")
    problem = key_problem(key)
    if problem:
        raise SpecError(f"{place}: the key {problem}. Write words joined by dots, as in optim.lr.")
    value = load_text(value_text, place.file, first_line=None)
    return _nest(_address(key, place), Node(value.value, place))


def _address(key: str, place: Mark) -> list[str]:
    """Return the entries of the grid file on the way to what is set."""
    section, dot, rest = key.partition(".")
    if section in _IN_FILE_ONLY:
        raise SpecError(f"{place}: {section} is changed in the grid file itself. For a key of the config, write --set config.{key}=….")
    if not dot:
        return [section] if section in _PLAIN else ["config", section]
    if section in _WHOLE_REST:
        return [section, rest]
    if section == "random":
        return ["random", "axes", rest.removeprefix("axes.")] if rest.startswith("axes.") else ["random", rest]
    return [section, *rest.split(".")] if section in _NESTED else ["config", key]


def _nest(path: list[str], value: Node) -> Node:
    for name in reversed(path):
        value = Node({name: value}, value.mark)
    return value


def merged(base: Node | None, over: Node) -> Node:
    """Lay one setting over another, mapping by mapping; `!remove` drops a key."""
    if base is None or not base.is_mapping or not over.is_mapping:
        return Node({key: child for key, child in over.items() if child.value is not REMOVE}, over.mark) if over.is_mapping else over
    entries = dict(base.value)
    for key, child in over.items():
        if child.value is REMOVE:
            entries.pop(key, None)
        else:
            entries[key] = merged(entries.get(key), child)
    return Node(entries, base.mark)


def with_cases(base: Node | None, over: Node) -> Node:
    """Add, replace or (with `!remove`) drop whole cases."""
    if not over.is_mapping:
        raise SpecError(f"{over.mark}: cases holds {show(over)}; it maps names to sub-grids. Write cases: {{big: !remove}}.")
    cases = dict(base.value) if base is not None and base.is_mapping else {}
    for name, case in over.items():
        if case.value is not REMOVE:
            cases[name] = case
        elif cases.pop(name, None) is None:
            raise SpecError(f"{case.mark}: !remove drops the case {name}, which is not there. Known: {', '.join(cases) or 'none'}.")
    return Node(cases, base.mark if base is not None else over.mark)
