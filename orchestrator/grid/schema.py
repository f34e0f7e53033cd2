"""The schema of an entry's config: a msgspec Struct or dataclass of the user, checked against and completed with defaults."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from orchestrator.grid.entry import find_module, parse_entry
from orchestrator.grid.refusal import ConfigRefused, refusal, structs, unknown_key
from orchestrator.store.errors import EntryError, did_you_mean

_SCALARS = frozenset({str, int, float, bool, type(None)})


class _Field(NamedTuple):
    """How a field of a struct or dataclass is written out."""

    name: str
    """Its key in the config."""
    attribute: str
    default: Any
    """The default as the class holds it; _NO_DEFAULT for none, or one that is made anew each time."""
    plain_default: Any
    """The same as plain data: one object for all configs, so that sections left at their default cost nothing."""


class _Record(NamedTuple):
    """How a struct or dataclass is written out."""

    tag: dict[str, Any]
    fields: tuple[_Field, ...]


_NO_DEFAULT = object()


class Schema:
    """A class that describes configs. Comparable by its name; the class is loaded once."""

    def __init__(self, name: str, kind: type) -> None:
        self.name = name
        self.kind = kind
        self._records: dict[type, _Record | None] = {}

    @cached_property
    def type_info(self) -> msgspec.inspect.Type:
        """What msgspec knows of the class: fields, types, defaults, tags."""
        return msgspec.inspect.type_info(self.kind)

    @cached_property
    def _refuses_unknown(self) -> bool:
        """Every class of the schema refuses unknown keys by itself; a plain dict takes any."""
        seen: dict[type, bool] = {}

        def collect(info: Any) -> None:
            for struct in structs(info):
                if struct.cls not in seen:
                    seen[struct.cls] = getattr(struct, "forbid_unknown_fields", False)
                    for field in struct.fields:
                        collect(field.type)
            if (item := getattr(info, "item_type", None) or getattr(info, "value_type", None)) is not None:
                collect(item)
            for item in getattr(info, "item_types", ()):
                collect(item)

        collect(self.type_info)
        return all(seen.values())

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the config with every default written out; raise ConfigRefused for a key or value that does not fit."""
        try:
            value: Any = msgspec.convert(config, self.kind)
        except msgspec.ValidationError as error:
            value = self._mend(config, error)
        except Exception as error:
            raise ConfigRefused(
                "", f"the schema {self.name} fails on a config ({type(error).__name__}: {error}). Mend its class."
            ) from error
        full: dict[str, Any] = self._plain(value)
        if not self._refuses_unknown:
            self._check_known(config, full, "", config)
        return full

    def default(self, kind: type, name: str) -> Any:
        """Return the default of a field of a struct or dataclass as plain data, KeyError when it is required.

        Where a config of `complete` holds this default, it holds this very object, unless a factory makes it anew.
        """
        record = self._record(kind)
        field = next(field for field in record.fields if field.name == name) if record is not None else None
        if field is None:
            raise KeyError(name)
        if field.default is not _NO_DEFAULT:
            return field.plain_default
        factory = next(info.default_factory for info in _fields_of(kind) if info.encode_name == name)
        if factory is msgspec.NODEFAULT:
            raise KeyError(name)
        return self._plain(factory())

    def _mend(self, config: Mapping[str, Any], error: msgspec.ValidationError) -> Any:
        """Read 2.0 and 2e0 as the integer 2 where the schema wants one, as identity does; refuse all else."""
        mended = dict(config)
        while True:
            refused = refusal(self, mended, error)
            value = refused.value
            if not (isinstance(value, float) and value.is_integer() and str(error).startswith("Expected `int")):
                raise refused from error
            _replace(mended, refused.key, int(value))
            try:
                return msgspec.convert(mended, self.kind)
            except msgspec.ValidationError as further:
                error = further

    def _plain(self, value: Any) -> Any:
        """Turn structs and dataclasses into dicts with every field, the tag first; everything else into plain data."""
        kind = type(value)
        if kind in _SCALARS:
            return value
        record = self._records[kind] if kind in self._records else self._record(kind)
        if record is not None:
            return self._plain_record(value, record)
        if kind is list or kind is tuple:
            return [self._plain(item) for item in value]
        if isinstance(value, Mapping):
            return {key: self._plain(item) for key, item in value.items()}
        return msgspec.to_builtins(value)

    def _plain_record(self, value: Any, record: _Record) -> dict[str, Any]:
        plain = record.tag.copy()
        for name, attribute, default, plain_default in record.fields:
            item = getattr(value, attribute)
            if item is default:
                plain[name] = plain_default
            else:
                plain[name] = item if type(item) in _SCALARS else self._plain(item)
        return plain

    def _record(self, kind: type) -> _Record | None:
        """Describe a struct or dataclass, once; None for any other class."""
        if kind not in self._records:
            if not _is_record(kind):
                self._records[kind] = None
                return None
            info: Any = msgspec.inspect.type_info(kind)
            tag = {info.tag_field: info.tag} if getattr(info, "tag_field", None) is not None else {}
            names = kind.__struct_fields__ if issubclass(kind, msgspec.Struct) else [field.name for field in info.fields]
            self._records[kind] = _Record(tag, tuple(self._field(field, name) for field, name in zip(info.fields, names, strict=True)))
        return self._records[kind]

    def _field(self, info: msgspec.inspect.Field, attribute: str) -> _Field:
        if info.default is msgspec.NODEFAULT:
            return _Field(info.encode_name, attribute, _NO_DEFAULT, None)
        return _Field(info.encode_name, attribute, info.default, self._plain(info.default))

    def _check_known(self, config: Any, full: Any, prefix: str, whole: Mapping[str, Any]) -> None:
        """Refuse keys that the schema does not read; a class of the user may silently pass over them."""
        if isinstance(full, dict) and isinstance(config, dict):
            for name, value in config.items():
                if name not in full:
                    raise unknown_key(self, whole, f"{prefix}{name}", value)
                if type(value) not in _SCALARS:
                    self._check_known(value, full[name], f"{prefix}{name}.", whole)
        elif isinstance(full, list) and isinstance(config, list):
            for item, full_item in zip(config, full, strict=False):
                if type(item) not in _SCALARS:
                    self._check_known(item, full_item, prefix, whole)


def load_schema(text: str, path: Sequence[str]) -> Schema:
    """Import the class that "module:Class" names, with `path` (the project first) before sys.path. Raises EntryError."""
    try:
        reference = parse_entry(text)
    except EntryError:
        raise EntryError(f"schema {text[:80]!r} has not the shape module:Class. Write models.config:TrainConfig.") from None
    file = find_module(reference.module, [*path, *sys.path], wanted=f"schema {text}")
    _forget_others(reference.module, file)
    with _path_first(path):
        try:
            module = importlib.import_module(reference.module)
        except Exception as error:
            raise EntryError(
                f"{file}: the module of the schema {text} fails to import ({type(error).__name__}: {error}). Mend it."
            ) from error
    kind = getattr(module, reference.name, None)
    if kind is None:
        raise EntryError(f"schema {text}: {file} defines no {reference.name}. {did_you_mean(reference.name, _classes(module))}")
    if not _is_record(kind):
        raise EntryError(
            f"{file}: {reference.name} is neither a msgspec Struct nor a dataclass, so it is no schema. "
            f"{did_you_mean(reference.name, _classes(module))}"
        )
    try:
        return _with_info(Schema(text, kind))
    except (TypeError, NameError) as error:
        raise EntryError(f"{file}: {reference.name} cannot describe configs ({error}). Use types that msgspec knows.") from error


def _with_info(schema: Schema) -> Schema:
    assert schema.type_info is not None
    return schema


def _fields_of(kind: type) -> tuple[msgspec.inspect.Field, ...]:
    info: Any = msgspec.inspect.type_info(kind)
    fields: tuple[msgspec.inspect.Field, ...] = info.fields
    return fields


def _classes(module: Any) -> list[str]:
    return [name for name, value in vars(module).items() if _is_record(value)]


def _is_record(value: Any) -> bool:
    is_struct = isinstance(value, type) and issubclass(value, msgspec.Struct) and value is not msgspec.Struct
    return is_struct or (isinstance(value, type) and dataclasses.is_dataclass(value))


def _forget_others(module: str, file: Path) -> None:
    """Drop what was imported under the same name from another project, or from a file that is not on the path any more."""
    loaded = sys.modules.get(module)
    origin = getattr(loaded, "__file__", None)
    top = module.partition(".")[0]
    if loaded is None and (parent := sys.modules.get(top)) is not None and top != module:
        places = [Path(place).resolve() for place in getattr(parent, "__path__", ())]
        if any(place in file.resolve().parents for place in places):
            return
    elif loaded is None or (origin is not None and Path(origin).resolve() == file.resolve()):
        return
    for name in [name for name in sys.modules if name == top or name.startswith(top + ".")]:
        del sys.modules[name]


@contextmanager
def _path_first(path: Sequence[str]) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = path
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _replace(config: dict[str, Any], key: str, value: Any) -> None:
    """Put a value at a dotted key, on fresh mappings."""
    *parents, last = key.split(".")
    for part in parents:
        config[part] = dict(config[part])
        config = config[part]
    config[last] = value
