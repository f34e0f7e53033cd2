"""What a grid file says once, for all of its runs: entry, runtime keys, policy, messages, packing, metrics and the worker's habits."""

from __future__ import annotations

import math
import re
import signal as signals
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.cluster.resources import Pack
from orchestrator.grid.dotted import check_key
from orchestrator.grid.interpolate import split_command
from orchestrator.grid.loading import Node, plain, show
from orchestrator.grid.notify_shape import Notify, read_notify
from orchestrator.grid.objective import Objective
from orchestrator.grid.policy_shape import read_policy
from orchestrator.store.errors import SpecError, did_you_mean

KEYS = ("entry", "command", "schema", "runtime", "policy", "notify", "metrics", "preload", "pack", "signal", "keep_env", "code", "start")
MERGED = ("policy", "notify", "metrics", "pack")
"""Settings of which a variant overrides single keys; it replaces the others as a whole."""

_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")
_VARIABLE = re.compile(r"SLURM[A-Z0-9_]*\Z")
_METRIC = re.compile(r"[^\s\x00-\x1f\x7f]{1,200}\Z")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The checked values; the same names as in the file."""

    entry: str | None = None
    command: str | None = None
    schema: str | None = None
    runtime: tuple[str, ...] = ()
    policy: dict[str, Any] = field(default_factory=dict)
    notify: Notify | None = None
    objective: Objective | None = None
    preload: tuple[str, ...] = ("torch", "numpy", "h5py")
    pack: Pack = field(default_factory=Pack)
    signal: str = ""
    keep_env: tuple[str, ...] = ()
    code: str = "snapshot"
    start: str = "fork"


def read_settings(nodes: Mapping[str, Node], *, file: str) -> Settings:
    """Check the settings of a grid file. `nodes`: the entries of KEYS that it holds."""
    if ("entry" in nodes) == ("command" in nodes):
        place = nodes["command"].mark if nodes.get("command") else f"{file}:1"
        held = "both entry and command" if "entry" in nodes else "neither entry nor command"
        raise SpecError(
            f"{place}: the grid holds {held}; a run is computed by one of them. Write entry: module:function, or command: python train.py."
        )
    readers: dict[str, Callable[[Node], Any]] = {
        "entry": lambda node: _matching("entry", node, _REFERENCE, "module:function", "models.training:train"),
        "command": _command,
        "schema": lambda node: _matching("schema", node, _REFERENCE, "module:Class", "models.config:TrainConfig"),
        "runtime": lambda node: tuple(check_key(text, child) for text, child in _texts("runtime", node, "[train.num_workers]")),
        "notify": read_notify,
        "preload": lambda node: _names("preload", node, _MODULE, "the names of modules", "[torch, numpy]"),
        "pack": _pack,
        "signal": _signal,
        "keep_env": lambda node: _names("keep_env", node, _VARIABLE, "names of SLURM variables", "[SLURM_JOB_ID]"),
        "code": lambda node: _one_of("code", node, ("snapshot", "none")),
        "start": lambda node: _one_of("start", node, ("fork", "spawn")),
    }
    values: dict[str, Any] = {key: readers[key](node) for key, node in nodes.items() if key in readers}
    if "metrics" in nodes:
        values["objective"] = _objective(nodes["metrics"])
    if "policy" in nodes:
        values["policy"] = read_policy(nodes["policy"], values.get("runtime", ()))
    if values.get("signal") and "entry" in nodes:
        raise SpecError(
            f"{nodes['signal'].mark}: signal holds {values['signal']}, but a Python entry asks run.stop_requested. Remove it, or use "
            f"command:."
        )
    return Settings(**values)


def text_value(key: str, node: Node) -> str:
    """Return a value that must be a text."""
    if not isinstance(node.value, str) or not node.value.strip():
        raise SpecError(
            f"{node.mark}: {key} holds {show(node)}; it must be a text. Write {key}: TEXT, in quotes if it looks like a number."
        )
    return node.value.strip()


def mapping_value(key: str, node: Node, known: tuple[str, ...]) -> dict[str, Node]:
    """Return the entries of a value that must be a mapping with known keys."""
    if not node.is_mapping:
        raise SpecError(f"{node.mark}: {key} holds {show(node)}; it must be a mapping. Known keys: {', '.join(known)}.")
    for name, child in node.items():
        if name not in known:
            raise SpecError(f"{child.mark}: {key}.{name} holds {show(child)}; this key is unknown. {did_you_mean(name, known)}")
    return dict(node.items())


def _matching(key: str, node: Node, pattern: re.Pattern[str], shape: str, example: str) -> str:
    text = text_value(key, node)
    if not pattern.match(text):
        raise SpecError(f"{node.mark}: {key} holds {show(text)}; it must be {shape}. Write {key}: {example}.")
    return text


def _one_of(key: str, node: Node, words: tuple[str, ...]) -> str:
    if node.value not in words:
        raise SpecError(f"{node.mark}: {key} holds {show(node)}; it must be one of {', '.join(words)}. Write {key}: {words[0]}.")
    return str(node.value)


def _texts(key: str, node: Node, example: str) -> list[tuple[str, Node]]:
    items = node.value if node.is_list else None
    if items is None or not all(isinstance(item.value, str) for item in items):
        raise SpecError(f"{node.mark}: {key} holds {show(node)}; it must be a list of texts. Write {key}: {example}.")
    return [(item.value, item) for item in items]


def _names(key: str, node: Node, pattern: re.Pattern[str], shape: str, example: str) -> tuple[str, ...]:
    for text, item in _texts(key, node, example):
        if not pattern.match(text):
            raise SpecError(f"{item.mark}: {key} holds {show(text)}; it lists {shape}. Write {key}: {example}.")
    return tuple(item.value for item in node.value)


def _command(node: Node) -> str:
    text = text_value("command", node)
    try:
        split_command(text)
    except SpecError as error:
        raise SpecError(f"{node.mark}: command: {error}") from error
    return text


def _signal(node: Node) -> str:
    name = text_value("signal", node).upper().removeprefix("SIG")
    known = [item.name.removeprefix("SIG") for item in signals.Signals if item.name not in ("SIGKILL", "SIGSTOP")]
    if name not in known:
        raise SpecError(f"{node.mark}: signal holds {show(node)}; no such signal can be caught. {did_you_mean(name, known)}")
    return name


def _objective(node: Node) -> Objective:
    entries = mapping_value("metrics", node, ("objective", "mode"))
    if "objective" not in entries:
        raise SpecError(f"{node.mark}: metrics names no objective. Write metrics: {{objective: val/ssim, mode: max}}.")
    name = _matching("metrics.objective", entries["objective"], _METRIC, "the name of a metric, without spaces", "val/ssim")
    return Objective(name=name, mode=_one_of("metrics.mode", entries["mode"], ("max", "min")) if "mode" in entries else "max")


def _pack(node: Node) -> Pack:
    if node.value == "off":
        return Pack()
    entries = mapping_value("pack", node, ("per_task", "per_gpu", "task_max_min"))
    for name, child in entries.items():
        value, whole = child.value, name != "task_max_min"
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not 0 < value < math.inf:
            raise SpecError(
                f"{child.mark}: pack.{name} holds {show(child)}; it must be a {'whole ' if whole else ''}number above 0. Write {name}: "
                f"{4 if whole else 480}."
            )
    return Pack(**{name: plain(child) for name, child in entries.items()})
