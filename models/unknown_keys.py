"""Why a config is refused: the keys that there are where one is unknown, the value where its type is wrong. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_type_hints

import msgspec

from data.limits import unknown

UNKNOWN_KEY = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`(?: - at `\$\.(?P<path>[\w.]+)`)?")
"""What msgspec says of a key that a struct has not; of the outermost struct it names no place."""
WRONG_TYPE = re.compile(r"Expected .* - at `\$(?P<path>[^`]+)`")
"""What it says of a value of another type, without the value."""
PART = re.compile(r"\.(?P<key>\w+)|\[(?P<index>\d+)\]")
"""A step of such a path, up to `[...]`, which is any value of a mapping."""
SHOWN = 60
"""Characters of a value that are shown."""


def why_refused(kind: type[msgspec.Struct], values: Mapping[str, Any], error: msgspec.ValidationError) -> str:
    """Return what is wrong with `values`, which msgspec refused to convert to `kind`, as a sentence without its full stop."""
    if wrong := WRONG_TYPE.fullmatch(str(error)):
        return f"{error}, which holds {_shown(_value_at(values, wrong['path'].partition('[...]')[0]))}"
    found = UNKNOWN_KEY.fullmatch(str(error))
    if found is None:
        return str(error)
    key, path = found["key"], (found["path"] or "").split(".") if found["path"] else []
    place = f"{'.'.join(path)}: " if path else ""
    chosen, others = _structs_at(kind, values, path)
    readers = [other.__struct_config__ for other in others if key in other.__struct_fields__]
    known = known_keys(chosen)
    if readers:
        told_by, tag = chosen.__struct_config__.tag_field, chosen.__struct_config__.tag
        only = ", ".join(str(reader.tag) for reader in readers)
        return f"{place}'{key}' is not read by {told_by} {tag}, only by {only}. Known: {', '.join(known)}"
    return f"{place}{unknown(key, known)}"


def known_keys(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the keys of a struct, first the one that tells it from others."""
    told_by = kind.__struct_config__.tag_field
    return (*([told_by] if told_by else []), *kind.__struct_fields__)


Structs = tuple[type[msgspec.Struct], list[type[msgspec.Struct]]]


def _structs_at(kind: type[msgspec.Struct], values: Mapping[str, Any], path: Sequence[str]) -> Structs:
    """Return the struct at `path` of a config, the one that `values` asks for where several kinds may stand there, and all of them."""
    allowed = [kind]
    for name in path:
        values = values[name]
        hint = get_type_hints(kind)[name]
        allowed = [each for each in get_args(hint) or (hint,) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
        kind = _chosen(allowed, values)
    return kind, allowed


def _chosen(allowed: Sequence[type[msgspec.Struct]], values: Mapping[str, Any]) -> type[msgspec.Struct]:
    """Return the only struct, or the one with the tag that `values` hold."""
    configs = {each: each.__struct_config__ for each in allowed}
    return next(each for each, config in configs.items() if config.tag is None or values.get(str(config.tag_field)) == config.tag)


def _value_at(values: Any, path: str) -> Any:
    """Return the value at a path such as `.optim.betas[0]`; the mapping around it where the path does not say which key."""
    for part in PART.finditer(path):
        values = values[part["key"] if part["key"] else int(part["index"])]
    return values


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
