"""Says in our words why a schema refuses a config: which key, which value, what is known instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from orchestrator.grid.dotted import lookup, nearest_keys
from orchestrator.grid.loading import show
from orchestrator.store.errors import SpecError, did_you_mean

_PARTS = re.compile(r"(?P<problem>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?\Z", re.DOTALL)


class Described(Protocol):
    """A schema: its name, and what msgspec knows of its class."""

    name: str

    @property
    def type_info(self) -> msgspec.inspect.Type: ...


class ConfigRefused(SpecError):
    """A config does not fit the schema; `key` is the dotted key at fault, `value` what it holds."""

    def __init__(self, key: str, message: str, value: Any = None) -> None:
        super().__init__(message)
        self.key = key
        self.value = value


def unknown_key(schema: Described, config: Mapping[str, Any], key: str, value: Any) -> ConfigRefused:
    """Refuse a key of `config` that the schema does not read."""
    told, known = f"{key} holds {show(value)}", list(known_keys(schema.type_info, config))
    if readers := _readers(schema.type_info, key):
        section = f"{key.rpartition('.')[0]}."
        own = ", ".join(sorted(name for name in known if name.startswith(section)))
        return ConfigRefused(key, f"{told}; it is read by {' and '.join(readers)} alone. Leave it out, or choose that. Known: {own}.")
    return ConfigRefused(key, f"{told}; the schema {schema.name} knows no such key. {nearest_keys(key, known)}")


def _readers(info: Any, key: str) -> list[str]:
    """Return which members of a union would read a key, as `model.kind varnet_rcan`; none where a struct stands there alone."""
    section, _, name = key.rpartition(".")
    tagged = [struct for found in infos_at(info, section.split(".")) for struct in structs(found) if getattr(struct, "tag_field", None)]
    return [f"{section}.{struct.tag_field} {struct.tag}" for struct in tagged if any(field.encode_name == name for field in struct.fields)]


def refusal(schema: Described, config: Mapping[str, Any], error: msgspec.ValidationError) -> ConfigRefused:
    """Turn what msgspec found into a refusal; its message names the problem and a path such as `$.optim.betas[0]`."""
    match = _PARTS.match(str(error))
    assert match is not None
    problem, key = match["problem"], re.sub(r"\[.*", "", match["path"] or "").lstrip(".")
    if problem.startswith(("Object contains unknown field", "Object missing required field")):
        field = problem.split("`")[1]
        full_key = f"{key}.{field}" if key else field
        if "missing" in problem:
            return _missing(schema.type_info, full_key)
        return unknown_key(schema, config, full_key, lookup(config, full_key))
    value = lookup(config, key) if key else config
    told = f"{key or 'the config'} holds {show(value)}"
    if problem.startswith("Invalid"):
        options = _options(schema.type_info, key)
        hint = did_you_mean(str(value), options) if options else "Write another value."
        return ConfigRefused(key, f"{told}, which is not one of its values. {hint}", value)
    if problem.startswith("Expected"):
        wanted = problem.partition(", got ")[0].replace("`", "").removeprefix("Expected ")
        hint = "Quote it to make it a text." if "str" in wanted.split() else f"Write a value of the type {wanted}."
        return ConfigRefused(key, f"{told}; expected {wanted}. {hint}", value)
    return ConfigRefused(
        key, f"{key or 'the config'} is refused by {schema.name}: {problem}. Change the value.", value
    )  # its __post_init__


def _missing(info: Any, key: str) -> ConfigRefused:
    options = _options(info, key)
    hint = f"Write one of {', '.join(options)}." if options else f"Write {key}: VALUE under config:."
    return ConfigRefused(key, f"{key} is not set, and has no default. {hint}")


def _options(info: Any, key: str) -> list[str]:
    """Return the words that a key may hold (tags of a union, literals, enum members); empty when it is free."""
    return sorted({str(option) for found in infos_at(info, key.split(".")) for option in _values(found)})


def known_keys(info: Any, config: Any, prefix: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the dotted keys that a schema reads; of a union, those of the member that the config's tag chooses."""
    if depth > 8:
        return
    for struct in structs(info):
        tag_field = getattr(struct, "tag_field", None)
        given = config if isinstance(config, Mapping) else {}
        if tag_field is not None:
            if given.get(tag_field, struct.tag) != struct.tag:
                continue
            yield f"{prefix}{tag_field}"
        for field in struct.fields:
            inner = list(known_keys(field.type, given.get(field.encode_name), f"{prefix}{field.encode_name}.", depth + 1))
            yield from inner or [f"{prefix}{field.encode_name}"]


def infos_at(info: Any, parts: Sequence[str]) -> Iterator[Any]:
    """Yield the types at a dotted key, one for each member of the unions on the way; a tag field yields its union's tags."""
    if not parts:
        yield info
        return
    for struct in structs(info):
        if getattr(struct, "tag_field", None) == parts[0] and len(parts) == 1:
            yield msgspec.inspect.LiteralType((struct.tag,))
        for field in struct.fields:
            if field.encode_name == parts[0]:
                yield from infos_at(field.type, parts[1:])


def structs(info: Any) -> Iterator[Any]:
    members = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    return (member for member in members if isinstance(member, msgspec.inspect.StructType | msgspec.inspect.DataclassType))


def _values(info: Any) -> Iterator[Any]:
    members = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    for member in members:
        if isinstance(member, msgspec.inspect.LiteralType):
            yield from member.values
        elif isinstance(member, msgspec.inspect.EnumType):
            yield from (item.value for item in member.cls)
