"""What `requeue --set` changes: what runs ask for, and runtime keys of their configs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from orchestrator.grid.dotted import ABSENT, is_below, lookup
from orchestrator.grid.loading import Mark, load_text, plain, show
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.schema import load_schema
from orchestrator.grid.spec import Spec
from orchestrator.store.errors import SelectionError, SpecError, did_you_mean
from orchestrator.store.records import Records
from orchestrator.watchdog.policy import scale
from orchestrator.worker.task import with_overrides

_RESOURCES = "resources."
_FIELDS = ("gpus", "cpus", "mem_gb", "time_min", "nodes")
_WHOLE = ("gpus", "cpus", "nodes")
_FACTOR = re.compile(r"[x/](\d+(\.\d*)?|\.\d+)\Z")


class Changes(NamedTuple):
    """What the next attempt of each run gets."""

    resources: dict[str, float]
    runtime: dict[str, Any]
    """Dotted runtime key → value; "/2" and "x2" are factors on the value that the last attempt had."""

    def overrides(self, manifests: Iterable[Manifest], records: Records) -> dict[str, dict[str, Any]]:
        """Return run → dotted runtime key → value. Raises SelectionError for a factor on what is no number."""
        if not self.runtime:
            return {}
        return {manifest.id: self._of(manifest, records.get(manifest.id).overrides) for manifest in manifests}

    def _of(self, manifest: Manifest, before: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for key, change in self.runtime.items():
            value = before.get(key, lookup(manifest.config, key))
            if _is_factor(change) and (isinstance(value, bool) or not isinstance(value, int | float)):
                held = "is not set" if value is ABSENT else f"holds {show(value)}, which is no number"
                raise SelectionError(f"--set {key}={change}: in run {manifest.id[:8]} {key} {held}. Write the value itself.")
            found[key] = scale(value, change)
        return found


def read_changes(overrides: Sequence[str], spec: Spec) -> Changes:
    """Read "resources.mem_gb=64" and "train.micro_batch=4"; keys that belong to a run's id are refused."""
    resources: dict[str, float] = {}
    runtime: dict[str, Any] = {}
    for text in overrides:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key:
            raise SelectionError(f"--set {text[:60]!r}: a change is a key and a value. Write --set resources.mem_gb=64.")
        if key.startswith(_RESOURCES):
            name = _field(text, key.removeprefix(_RESOURCES))
            resources[name] = _number(text, value, whole=name in _WHOLE, none=name == "gpus")
        else:
            runtime[_runtime_key(text, key, spec)] = _value(text, value)
    return Changes(resources, runtime)


def check_by_schema(manifest: Manifest, overrides: Mapping[str, Any], spec: Spec, search: Sequence[str]) -> None:
    """Raise SelectionError where the grid's schema refuses what was set; `search`: the folders in which it is looked for."""
    if spec.schema is None or not overrides:
        return
    try:
        load_schema(spec.schema, search).complete(with_overrides(manifest.config, overrides))
    except SpecError as error:
        told = ", ".join(f"{key}={value}" for key, value in overrides.items())
        raise SelectionError(f"--set {told}: {error}") from error


def _field(text: str, name: str) -> str:
    if name not in _FIELDS:
        raise SelectionError(f"--set {text[:80]}: resources has no such key. {did_you_mean(name, _FIELDS)} Write resources.mem_gb=64.")
    return name


def _runtime_key(text: str, key: str, spec: Spec) -> str:
    if any(key == name or is_below(key, name) for name in spec.runtime):
        if spec.command and f"{{{key}}}" in spec.command:
            raise SelectionError(
                f"--set {text[:80]}: {key} stands in the command line, which is fixed. Change the grid file, and launch it."
            )
        return key
    listed = f"lists {', '.join(spec.runtime)}" if spec.runtime else "lists none"
    raise SelectionError(
        f"--set {text[:80]}: {key} is part of a run's id, and requeue changes resources.KEY and runtime keys only; runtime: in "
        f"{spec.place('runtime')} {listed}. For other values of {key}, write them below grid: or config: and launch: they make new runs."
    )


def _value(text: str, value: str) -> Any:
    """Return a value as the grid file would read it."""
    node = load_text(value, str(Mark(f"--set {text[:80]}")), first_line=None)
    if node.is_mapping:
        raise SelectionError(f"--set {text[:80]}: holds a mapping. Set its keys one by one.")
    found = plain(node)
    if isinstance(found, str) and found[:1] in ("/", "x") and found[1:2].isdigit() and not _is_factor(found):
        raise SelectionError(f"--set {text[:80]}: a factor is written x2 or /2.")
    return found


def _is_factor(value: Any) -> bool:
    return isinstance(value, str) and _FACTOR.match(value) is not None and 0 < float(value[1:]) < math.inf


def _number(text: str, value: str, *, whole: bool, none: bool) -> float:
    """Return a number above 0, and where `none` is meant by it 0 as well."""
    try:
        number = int(value) if whole else float(value)
    except ValueError:
        raise SelectionError(f"--set {text[:80]}: '{value[:40]}' is not a {'whole number' if whole else 'number'}.") from None
    if not 0 <= number < math.inf or not (number or none):
        raise SelectionError(f"--set {text[:80]}: {value[:40]} is no number {'of 0 or above' if none else 'above 0'}.")
    return number
