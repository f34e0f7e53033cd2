"""Strict YAML: text → nodes that know their file and line.

Narrower than PyYAML's own loader: YAML 1.2 words and decimal numbers, no duplicate keys, no tag but `!remove`,
and bounds on size, depth and aliases, so that a small file cannot grow into a large one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from orchestrator.store.errors import SpecError

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 40
MAX_NODES = 2_000_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_REMOVE_IN_FLOW = re.compile(r"(:[ ]+!remove)(?=[,}\]])")
"""In YAML 1.2 a tag ends before , } and ]; libyaml takes them for a part of it, so a space is put between."""

_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
}


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a value was written; prints as file:line."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line is not None else self.file


class Removal:
    """The one value of the tag `!remove`: the key is dropped from what was inherited."""

    def __repr__(self) -> str:
        return "!remove"


REMOVE: Final = Removal()


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its place. `value` is a dict of nodes, a list of nodes, REMOVE, or a plain scalar.

    The mark of a value in a mapping is that of its key.
    """

    value: Any
    mark: Mark

    def items(self) -> Iterator[tuple[str, Node]]:
        """Iterate over the entries of a mapping."""
        return iter(self.value.items())

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        return isinstance(self.value, list)


def plain(node: Node) -> Any:
    """Return the value without places; `!remove` is refused, for it drops a key and is no value."""
    value = node.value
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    if value is REMOVE:
        raise SpecError(f"{node.mark}: !remove stands inside a value; it only drops a key of config, grid, zip, random or a section.")
    return value


def located(value: Any, mark: Mark) -> Node:
    """Give every part of a plain value the same place; the opposite of `plain`."""
    if isinstance(value, dict):
        return Node({key: located(child, mark) for key, child in value.items()}, mark)
    if isinstance(value, list):
        return Node([located(child, mark) for child in value], mark)
    return Node(value, mark)


def show(value: Any) -> str:
    """Return a value as it is quoted in messages: shortened, on one line."""
    text = repr(plain(value)) if isinstance(value, Node) and value.value is not REMOVE else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def resolve_scalar(text: str) -> Any:
    """Return what an unquoted YAML 1.2 scalar means: null, a truth, a decimal number, or the text itself.

    `010` is ten, `1e-4` a float, `no` a text. `0x1f`, `0o17`, `1_000` and `12:30` are texts.
    Raises ValueError for numbers that no 64-bit integer or double can hold.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
            raise ValueError("is an integer of more than 64 bits; quote it to make it a text")
        return int(text)
    if not _FLOAT.match(text):
        return text
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("is larger than any double; write .inf, or quote it to make it a text")
    return number


def read_text(path: Path, *, shown: str | None = None) -> str:
    """Read a UTF-8 file of at most MAX_BYTES."""
    name = shown or str(path)
    try:
        with open(path, "rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except IsADirectoryError as error:
        raise SpecError(f"{name}: cannot be read ({error.strerror}). Name a file, such as grids/NAME.yaml.") from error
    except OSError as error:
        raise SpecError(f"{name}: cannot be read ({error.strerror}). Check the path and its permissions.") from error
    except ValueError as error:
        raise SpecError(f"{name!r}: is no path ({error}).") from error
    if len(content) > MAX_BYTES:
        raise SpecError(
            f"{name}: is larger than {MAX_BYTES // 1024**2} MB, too large for a grid file. Generate fewer values, or use range or random."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{name}:{line}: is not UTF-8 text (byte {content[error.start]:#04x}). Save it as UTF-8.") from error


def load_file(path: Path) -> Node:
    """Read one YAML document from a file."""
    return load_text(read_text(path), str(path))


def load_text(text: str, file: str, *, first_line: int | None = 1) -> Node:
    """Read one YAML document; `file` names it in messages. With `first_line` None, places have no line."""
    return _Builder(file, first_line).document(text)


class _Builder:
    """Builds nodes from the parser's events, within the bounds."""

    def __init__(self, file: str, first_line: int | None) -> None:
        self.file = file
        self.first_line = first_line
        self.anchors: dict[str, tuple[Node, int] | None] = {}
        self.nodes = 0

    def document(self, text: str) -> Node:
        try:
            self.events = yaml.parse(_REMOVE_IN_FLOW.sub(r"\1 ", text), Loader=_LOADER)
            root = Node(None, Mark(self.file, self.first_line))
            documents = 0
            for event in self.events:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        raise self.error(event, "a second document begins here; a grid file holds one. Remove the '---'.")
                elif isinstance(event, yaml.NodeEvent):
                    root = self.node(event, self.mark(event), 0)
            return root
        except yaml.reader.ReaderError as error:
            raise SpecError(self.describe_character(chr(error.character), text)) from error
        except yaml.YAMLError as error:
            raise SpecError(self.describe(error)) from error

    def describe_character(self, character: str, text: str) -> str:
        line = None if self.first_line is None else text.count("\n", 0, text.find(character)) + self.first_line
        return f"{Mark(self.file, line)}: holds the character {character!a}, which YAML does not allow. Remove it."

    def describe(self, error: yaml.YAMLError) -> str:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).splitlines()[0]
        context = getattr(error, "context", None)
        place = Mark(self.file, mark.line + self.first_line if mark is not None and self.first_line is not None else None)
        return f"{place}: is not valid YAML: {problem}{f' ({context})' if context else ''}. Check indentation, colons and quotes here."

    def mark(self, event: Any) -> Mark:
        return Mark(self.file, None if self.first_line is None else event.start_mark.line + self.first_line)

    def error(self, event: Any, message: str) -> SpecError:
        return SpecError(f"{self.mark(event)}: {message}")

    def node(self, event: Any, mark: Mark, depth: int) -> Node:
        """Build the node that begins with `event`."""
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, mark)
        if depth > MAX_DEPTH:
            raise self.error(event, f"is nested deeper than {MAX_DEPTH} levels. Flatten it with dotted keys.")
        before = self.nodes
        self.grow(event, 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        node = Node(self.value(event, depth), mark)
        if event.anchor is not None:
            self.anchors[event.anchor] = (node, self.nodes - before)
        return node

    def grow(self, event: Any, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise self.error(event, f"holds more than {MAX_NODES} values (aliases counted out). Use range, random or a csv file.")

    def alias(self, event: Any, mark: Mark) -> Node:
        if event.anchor not in self.anchors:
            raise self.error(event, f"the alias *{event.anchor} has no anchor before it. Define &{event.anchor}, or quote the text.")
        found = self.anchors[event.anchor]
        if found is None:
            raise self.error(event, f"the alias *{event.anchor} refers to a value that contains it. Write the value out.")
        self.grow(event, found[1])
        return Node(found[0].value, mark)

    def value(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        if event.tag is not None:
            raise self.error(event, f"carries the tag {event.tag}; the only tag is !remove, on a key without a value. Remove the tag.")
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(depth)
        return self.mapping(event, depth)

    def scalar(self, event: Any) -> Any:
        if event.tag == "!remove":
            if event.value:
                raise self.error(event, f"!remove is followed by {event.value[:40]!r}; it takes no value. Write `key: !remove`.")
            return REMOVE
        if event.tag is not None:
            raise self.error(
                event, f"{event.value[:40]!r} carries the tag {event.tag}; the only tag is !remove. Remove the tag, or quote the text."
            )
        if not event.implicit[0]:
            return event.value
        try:
            return resolve_scalar(event.value)
        except ValueError as error:
            raise self.error(event, f"{event.value[:40]} {error}.") from error

    def sequence(self, depth: int) -> list[Node]:
        items = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, self.mark(event), depth + 1))
        return items

    def mapping(self, start: Any, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.key(event)
            if key in entries:
                raise self.error(event, f"the key {key!r} is written twice, first in line {entries[key].mark.line}. Remove one of the two.")
            mark = self.mark(event)
            following = next(self.events)
            if start.flow_style and _is_empty(following):
                raise self.error(
                    event,
                    f"{{{key}}} is a mapping with an empty value. For a placeholder, quote the text: '{{{key}}}'; else write {key}: null.",
                )
            entries[key] = self.node(following, mark, depth + 1)
        return entries

    def key(self, event: Any) -> str:
        """Keys are texts as they are written: `1:` is the key "1". Unicode forms are unified."""
        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None or event.anchor is not None:
            raise self.error(event, "a key must be a plain text. Quote it if it holds special characters.")
        if event.value == "<<" and event.implicit[0]:
            raise self.error(event, "'<<' does not merge mappings here. Use `config:` with several entries, or cases that inherit.")
        self.grow(event, 1)
        return unicodedata.normalize("NFC", event.value)


def _is_empty(event: Any) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.value == "" and event.implicit[0] and event.tag is None and event.anchor is None
