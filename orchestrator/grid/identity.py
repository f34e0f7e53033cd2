"""Who a run is: 16 hex digits of the SHA-256 of a canonical document, version 1.

The document is the canonical form (grid/canonical.py: NFC, sorted keys, 1 = 1.0, true ≠ 1) of
    {"config": …, "needs": {name: [run id, checkpoint hash]}, "target": entry or command as written, "version": 1}
with "needs" left out where there are none. From the config are left out
- runtime keys, with all below them, and a mapping that holds nothing else;
- with a schema, each value that equals the schema's default for its field. A struct with a `kind` that is not left out
  as a whole keeps its kind, written first, whether or not that is the default.
So a new option with a default changes no id, and writing a default out changes none. Changing a default changes none
either: the manifest's complete config shows it, and launch stops (grid/manifest.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from orchestrator.grid.canonical import canonical, text_of_mapping, text_of_str
from orchestrator.grid.dotted import ABSENT, flatten, is_below, lookup, nest
from orchestrator.grid.schema import Schema

VERSION = 1


class Found(Protocol):
    """A result of another run, found (grid.manifest.Need)."""

    @property
    def run(self) -> str: ...
    @property
    def sha256(self) -> str: ...


Writer = Callable[[Any], str | None]
"""Value → canonical text; None when nothing of it belongs to the id."""

Runtime = Mapping[str, Any]
"""Runtime keys as a tree: {"train": {"num_workers": {}}}; an empty mapping ends a key."""


def run_id(
    entry_or_command: str,
    config: Mapping[str, Any],
    *,
    schema: Schema | None,
    runtime: Collection[str],
    needs: Mapping[str, Found] | None = None,
) -> str:
    """Return the id of a run. `config` is nested; whether its defaults are written out makes no difference under a schema."""
    full = schema.complete(config) if schema is not None else config
    return Identity(schema, runtime).run_id(entry_or_command, full, needs)


class Identity:
    """Makes the ids of a grid: schema and runtime keys are looked at once for all of its runs."""

    def __init__(self, schema: Schema | None, runtime: Collection[str]) -> None:
        tree = _tree(runtime)
        self._runtime = tuple(flatten(tree))
        self._left_out_nonfinite = False
        self._write = _plain_writer(tree)
        if schema is not None:
            compiler = _Compiler(schema)
            self._write = compiler.writer(schema.type_info, tree)
            self._left_out_nonfinite = compiler.has_nonfinite_default

    def run_id(self, entry_or_command: str, config: Mapping[str, Any], needs: Mapping[str, Found] | None = None) -> str:
        """Return 16 hex digits. Under a schema, `config` is complete (Schema.complete)."""
        return id_of(self.document(entry_or_command, config, needs))

    def may_hold_nonfinite(self, document: str, config: Mapping[str, Any]) -> bool:
        """Say whether NaN or an infinity can be in the config of `document`; False is certain, and found without a search."""
        if self._left_out_nonfinite or _is_nonfinite(document):
            return True
        return any(_is_nonfinite(canonical(value)) for value in (lookup(config, key) for key in self._runtime) if value is not ABSENT)

    def document(self, entry_or_command: str, config: Mapping[str, Any], needs: Mapping[str, Found] | None = None) -> str:
        """Return the text that is hashed."""
        text = self._write(config) or "{}"
        found = {name: [need.run, need.sha256] for name, need in needs.items()} if needs else {}
        needed = f'"needs":{text_of_mapping(found)},' if found else ""
        return f'{{"config":{text},{needed}"target":{text_of_str(entry_or_command)},"version":{VERSION}}}'


def id_of(document: str) -> str:
    """Return the id of a canonical document."""
    return hashlib.sha256(document.encode()).hexdigest()[:16]


def _is_nonfinite(text: str) -> bool:
    return "NaN" in text or "Infinity" in text


def _tree(keys: Collection[str]) -> Runtime:
    """Nest dotted keys; a key inside another runtime key adds nothing."""
    outermost = [key for key in keys if not any(is_below(key, other) for other in keys)]
    return nest({key: {} for key in outermost})


def _plain_writer(runtime: Runtime) -> Writer:
    """Write data without a schema, leaving runtime keys out."""
    if not runtime:
        return canonical

    def write(value: Any) -> str | None:
        if not isinstance(value, Mapping):
            return canonical(value)
        parts = {}
        for key, item in value.items():
            inner = runtime.get(key)
            text = canonical(item) if inner is None else _plain_writer(inner)(item) if inner else None
            if text is not None:
                parts[text_of_str(key)] = text
        return _join(parts) if parts else None

    return write


def _join(parts: Mapping[str, str]) -> str:
    return "{" + ",".join([f"{key}:{parts[key]}" for key in sorted(parts)]) + "}"


class _Field(NamedTuple):
    """A field of a struct, ready to be written."""

    name: str
    prefix: str
    """Its key and the colon, as they stand in the text."""
    write: Writer
    default: Any
    """_REQUIRED when there is none."""
    default_text: str | None


_REQUIRED = object()


class _Compiler:
    """Turns the types of a schema into writers that know each field's default."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.structs: dict[tuple[type, str], Writer] = {}
        self.has_nonfinite_default = False

    def writer(self, info: Any, runtime: Runtime) -> Writer:
        """Return the writer of a type at a place where `runtime` names what to leave out."""
        if isinstance(info, msgspec.inspect.StructType | msgspec.inspect.DataclassType):
            return self.struct(info, runtime)
        if isinstance(info, msgspec.inspect.UnionType):
            return self.union(info, runtime)
        if isinstance(info, msgspec.inspect.ListType | msgspec.inspect.VarTupleType):
            return self.items(info)
        if isinstance(info, msgspec.inspect.DictType):
            return self.mapping(info, runtime)
        if isinstance(info, msgspec.inspect.Metadata):
            return self.writer(info.type, runtime)
        return _plain_writer(runtime)

    def items(self, info: Any) -> Writer:
        write = self.writer(info.item_type, {})
        return lambda value: (
            "[" + ",".join([write(item) or "{}" for item in value]) + "]" if isinstance(value, list | tuple) else canonical(value)
        )

    def mapping(self, info: msgspec.inspect.DictType, runtime: Runtime) -> Writer:
        """Write the values of a dict by their type; where runtime keys lie in it, plainly."""
        if runtime:
            return _plain_writer(runtime)
        write = self.writer(info.value_type, {})
        return lambda value: (
            _join({text_of_str(key): write(item) or "{}" for key, item in value.items()})
            if isinstance(value, Mapping)
            else canonical(value)
        )

    def union(self, info: msgspec.inspect.UnionType, runtime: Runtime) -> Writer:
        """Choose the member by its tag; what is no struct is written plainly."""
        members = [member for member in info.types if isinstance(member, msgspec.inspect.StructType | msgspec.inspect.DataclassType)]
        tag_field = getattr(members[0], "tag_field", None) if members else None
        if tag_field is None:
            return self.struct(members[0], runtime) if len(members) == 1 else _plain_writer(runtime)
        writers = {member.tag: self.struct(member, runtime) for member in members if isinstance(member, msgspec.inspect.StructType)}
        plainly = _plain_writer(runtime)

        def write(value: Any) -> str | None:
            return writers.get(value.get(tag_field), plainly)(value) if isinstance(value, dict) else plainly(value)

        return write

    def struct(self, info: Any, runtime: Runtime) -> Writer:
        """Write the fields that differ from their defaults. Compiled once, so that a class may contain itself."""
        known = (info.cls, repr(runtime))
        if known not in self.structs:
            fields: list[_Field] = []
            self.structs[known] = _struct_writer(fields, getattr(info, "tag_field", None), getattr(info, "tag", None))
            fields += sorted(
                (self.field(info.cls, field, runtime) for field in info.fields if runtime.get(field.encode_name) != {}),
                key=lambda field: field.prefix,
            )
        return self.structs[known]

    def field(self, kind: type, field: msgspec.inspect.Field, runtime: Runtime) -> _Field:
        write = self.writer(field.type, runtime.get(field.encode_name, {}))
        try:
            default = self.schema.default(kind, field.encode_name)
        except KeyError:
            default = _REQUIRED
        text = write(default) or "{}" if default is not _REQUIRED else None
        self.has_nonfinite_default |= text is not None and _is_nonfinite(text)
        return _Field(field.encode_name, text_of_str(field.encode_name) + ":", write, default, text)


def _struct_writer(fields: list[_Field], tag_field: str | None, tag: Any) -> Writer:
    head = [f"{text_of_str(tag_field)}:{canonical(tag)}"] if tag_field is not None else []

    def write(value: Any) -> str | None:
        if not isinstance(value, dict):
            return canonical(value)
        parts = head.copy()
        for name, prefix, write_item, default, default_text in fields:
            item = value[name]
            if item is default:
                continue
            text = write_item(item) or "{}"
            if text != default_text:
                parts.append(prefix + text)
        return "{" + ",".join(parts) + "}"

    return write
