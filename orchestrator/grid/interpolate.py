"""Placeholders: `{optim.lr}` inside a text stands for the value of that key, `{{a}}` for the text {a}."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from orchestrator.grid.canonical import canonical
from orchestrator.grid.dotted import ABSENT, flatten, lookup, nearest_keys
from orchestrator.store.errors import SpecError

Get = Callable[[str], Any]
"""Dotted key → value; raises SpecError when there is none."""


class PlaceholderRefused(SpecError):
    """A placeholder of a config cannot be filled; `key` is the dotted key whose value holds it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class KeyRefused(SpecError):
    """A name stands for no single value of a config; `hint` lists names that do."""

    def __init__(self, message: str, *, problem: str, hint: str) -> None:
        super().__init__(message)
        self.problem = problem
        self.hint = hint


_PIECES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")


class Placeholder(NamedTuple):
    """The place of a value in a text."""

    key: str


@lru_cache(maxsize=4096)
def parse_template(text: str) -> tuple[str | Placeholder, ...]:
    """Split a text into literal parts and placeholders."""
    parts: list[str | Placeholder] = []
    for match in _PIECES.finditer(text):
        piece = match[0]
        if piece in ("{", "}") or piece == "{}":
            raise SpecError(
                f"{text[:80]!r} holds a single {piece} at position {match.start() + 1}. Write {{{{ and }}}} for braces, {{key}} for a "
                f"value."
            )
        parts.append(Placeholder(match[1].strip()) if match[1] is not None else {"{{": "{", "}}": "}"}.get(piece, piece))
    return tuple(parts)


def has_placeholder(value: Any) -> bool:
    """Say whether a value holds braces anywhere, so that it must be resolved."""
    if isinstance(value, str):
        return "{" in value or "}" in value
    if isinstance(value, Mapping):
        return any(has_placeholder(item) for item in value.values())
    return isinstance(value, list | tuple) and any(has_placeholder(item) for item in value)


def placeholders(value: Any) -> Iterator[str]:
    """Yield the keys that placeholders anywhere in a value name; braces that stand alone are passed over."""
    if isinstance(value, str):
        yield from (match[1].strip() for match in _PIECES.finditer(value) if match[1]) if "{" in value else ()
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from placeholders(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from placeholders(item)


def text_of(value: Any) -> str:
    """Return a value as text for a command line: texts as they are, true, false, null, inf, nan; lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    return canonical(value)


def resolve(value: Any, get: Get, *, render: Callable[[Any], str] = text_of) -> Any:
    """Fill the placeholders of a value; a text that is one placeholder takes the type of what it names."""
    if isinstance(value, str):
        return _resolve_text(value, get, render)
    if isinstance(value, Mapping):
        return {key: resolve(item, get, render=render) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, get, render=render) for item in value]
    return value


def _resolve_text(text: str, get: Get, render: Callable[[Any], str]) -> Any:
    if "{" not in text and "}" not in text:
        return text
    parts = parse_template(text)
    if len(parts) == 1 and isinstance(parts[0], Placeholder):
        return get(parts[0].key)
    return "".join([part if isinstance(part, str) else render(get(part.key)) for part in parts])


def resolve_as_text(text: str, get: Get, *, render: Callable[[Any], str] = text_of) -> str:
    """Fill the placeholders of a text that stays a text."""
    return "".join([part if isinstance(part, str) else render(get(part.key)) for part in parse_template(text)])


@lru_cache(maxsize=256)
def split_command(text: str) -> tuple[str, ...]:
    """Split a command into its arguments as a shell would, without running one; placeholders are still in them."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise SpecError(f"{text[:80]!r} cannot be split into arguments ({error}). Close the quotes.") from error
    if not words:
        raise SpecError("the command is empty. Write the program and its arguments.")
    if any("\0" in word for word in words):
        raise SpecError(f"{text[:80]!r} holds a NUL character. Remove it.")
    return words


def fill_argv(text: str, get: Get) -> tuple[str, ...]:
    """Return the arguments of a command; a value never becomes more than one argument, whatever it holds."""
    words = tuple(resolve_as_text(word, get) for word in split_command(text))
    if odd := next((word for word in words if "\0" in word), None):
        raise SpecError(f"the argument {odd[:80]!r} holds a NUL character, which no program can be given. Change the value.")
    return words


def getter(config: Mapping[str, Any]) -> Get:
    """Look values up in a nested config without placeholders."""

    def get(key: str) -> Any:
        value = lookup(config, key)
        if value is ABSENT:
            near = nearest_keys(key, flatten(config))
            raise KeyRefused(
                f"{{{key}}} names no key of the config. {near} Set it under config:, or write {{{{{key}}}}} for the text.",
                problem="which is no key of the config",
                hint=f"{near} Set it under config:, or name another key.",
            )
        if isinstance(value, Mapping) and value:
            hint = f"Write one of {', '.join(list(flatten(value, key))[:6])}."
            raise KeyRefused(
                f"{{{key}}} names a mapping; a placeholder names one value. {hint}",
                problem="which holds a mapping, not one value",
                hint=hint,
            )
        return value

    return get


def resolve_config(config: dict[str, Any], keys: Iterable[str]) -> None:
    """Fill, in place, the placeholders of the values at the dotted `keys`, each after those that it names.

    Raises PlaceholderRefused for an unknown key and for keys that name one another in a circle.
    """
    _Resolution(config, keys).run()


class _Resolution:
    def __init__(self, config: dict[str, Any], keys: Iterable[str]) -> None:
        self.config = config
        self.open = dict.fromkeys(keys)
        self.path: list[str] = []
        self.plain = getter(config)

    def run(self) -> None:
        while self.open:
            self.settle(next(iter(self.open)))

    def settle(self, key: str) -> Any:
        """Resolve the value at `key`, one of the open keys."""
        if key in self.path:
            circle = " → ".join([*self.path[self.path.index(key) :], key])
            raise PlaceholderRefused(key, f"the placeholders refer to each other in a circle: {circle}. Give one of them a value.")
        value = lookup(self.config, key)
        if value is not ABSENT:
            self.path.append(key)
            value = self.resolved(key, value)
            self.path.pop()
            _put(self.config, key, value)
        self.open.pop(key, None)
        return value

    def resolved(self, key: str, value: Any) -> Any:
        try:
            return resolve(value, self.get)
        except PlaceholderRefused:
            raise
        except SpecError as error:
            raise PlaceholderRefused(key, str(error)) from error

    def get(self, key: str) -> Any:
        """Return the value of a key that a placeholder names; what it lies in, or is, may have to be resolved first."""
        pending = next((name for name in self.open if name == key or key.startswith(name + ".")), None)
        if pending is not None:
            self.settle(pending)
        return self.plain(key)


def _put(config: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for part in parents:
        config = config[part]
    config[last] = value
