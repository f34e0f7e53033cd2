"""Why a config is refused, with the keys that there are where one is unknown. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_type_hints

import msgspec

from data.limits import unknown

UNKNOWN_KEY = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`(?: - at `\$\.(?P<path>[\w.]+)`)?")
"""What msgspec says of a key that a struct has not; of the outermost struct it names no place."""


def why_refused(kind: type[msgspec.Struct], values: Mapping[str, Any], error: msgspec.ValidationError) -> str:
    """Return what is wrong with `values`, which msgspec refused to convert to `kind`, as a sentence without its full stop."""
    found = UNKNOWN_KEY.fullmatch(str(error))
    if found is None:
        return str(error)
    path = (found["path"] or "").split(".") if found["path"] else []
    place = f"{'.'.join(path)}: " if path else ""
    return f"{place}{unknown(found['key'], known_keys(kind, values, path))}"


def known_keys(kind: type[msgspec.Struct], values: Mapping[str, Any], path: Sequence[str]) -> tuple[str, ...]:
    """Return the keys of the struct at `path` of a config; where several kinds may stand there, of the one that `values` asks for."""
    for name in path:
        values = values[name]
        kind = _struct_of(get_type_hints(kind)[name], values)
    told_by = kind.__struct_config__.tag_field
    return (*([told_by] if told_by else []), *kind.__struct_fields__)


def _struct_of(hint: Any, values: Mapping[str, Any]) -> type[msgspec.Struct]:
    """Return the struct that a type hint allows for `values`: the only one, or the one with their tag."""
    structs = [each for each in get_args(hint) or (hint,) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    configs = {each: each.__struct_config__ for each in structs}
    return next(each for each, config in configs.items() if config.tag is None or values.get(str(config.tag_field)) == config.tag)
