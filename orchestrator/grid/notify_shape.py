"""The shape of `notify:` in a grid file: what is told, and how often. Addresses hold passwords and never stand here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.grid.loading import Node, plain, show
from orchestrator.store.errors import SpecError, did_you_mean

KINDS = ("start", "failures", "each", "breaker", "end")
"""start: a launch has submitted runs · failures: runs that ended badly, together · each: every run that ends, at once · breaker: the grid
was paused · end: no run can change any more without a person."""

WORDS = {"digest": ("start", "failures", "breaker", "end"), "each": ("start", "each", "breaker", "end"), "off": ()}
"""What a single word stands for."""

_KEYS = ("on", "every_min", "to")
TARGET_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}\Z")
"""The name of an address, in `to` and where addresses are kept; one without a name is called by its number."""


@dataclass(frozen=True, kw_only=True)
class Notify:
    """The checked value of `notify`."""

    on: tuple[str, ...] = WORDS["digest"]
    """Of KINDS."""
    every_min: float = 30
    """So far apart lie two messages about failures, at least."""
    to: tuple[str, ...] = ()
    """Names of addresses; none: all that are known."""


def read_notify(node: Node) -> Notify | None:
    """Check what is told; None: nothing."""
    _refuse_addresses(node)
    if isinstance(node.value, str) and node.value in WORDS:
        return Notify(on=WORDS[node.value]) if WORDS[node.value] else None
    if not node.is_mapping:
        raise SpecError(
            f"{node.mark}: notify holds {show(node)}; it is one of {', '.join(WORDS)}, or a mapping of {', '.join(_KEYS)}. "
            f"Write notify: digest."
        )
    for key, child in node.items():
        if key not in _KEYS:
            raise SpecError(f"{child.mark}: notify.{key} holds {show(child)}; this key is unknown. {did_you_mean(key, _KEYS)}")
    readers: dict[str, Callable[[Node], Any]] = {"on": _read_kinds, "every_min": _read_minutes, "to": _read_names}
    return Notify(**{key: readers[key](child) for key, child in node.items()})


def _refuse_addresses(node: Node) -> None:
    """Refuse an address wherever it stands, and repeat nothing of it but its kind."""
    if node.is_mapping:
        for key, child in node.items():
            _refuse_address(key, child)
            _refuse_addresses(child)
    elif node.is_list:
        for child in node.value:
            _refuse_addresses(child)
    elif isinstance(node.value, str):
        _refuse_address(node.value, node)


def _refuse_address(text: str, node: Node) -> None:
    if "://" not in text and "@" not in text:
        return
    kind = re.match(r"([A-Za-z0-9]{1,20})://", text)
    raise SpecError(
        f"{node.mark}: notify holds an address ({kind[1] + '://' if kind else ''}…). Addresses may hold passwords, and grid files are kept "
        f"and shared. Write it into ~/.config/mrsweep/notify (chmod 600), as a line 'lab ADDRESS', and here: to: [lab]."
    )


def _read_kinds(node: Node) -> tuple[str, ...]:
    items = node.value if node.is_list else [node]
    for item in items:
        if item.value not in KINDS:
            hint = did_you_mean(str(plain(item)), KINDS)
            raise SpecError(f"{item.mark}: notify.on holds {show(item)}; it lists what is told. {hint}")
    if not items:
        raise SpecError(f"{node.mark}: notify.on holds []; nothing would be told. Write notify: off, or on: [breaker, end].")
    return tuple(dict.fromkeys(item.value for item in items))


def _read_minutes(node: Node) -> float:
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < math.inf:
        raise SpecError(f"{node.mark}: notify.every_min holds {show(node)}; it must be a number of at least 1. Write every_min: 30.")
    return float(value)


def _read_names(node: Node) -> tuple[str, ...]:
    items = node.value if node.is_list else [node]
    for item in items:
        if not isinstance(item.value, str) or not TARGET_NAME.match(item.value):
            raise SpecError(
                f"{item.mark}: notify.to holds {show(item)}; it lists names of addresses: a letter, then letters, digits, _ and -. "
                f"Write to: [lab], and a line 'lab ADDRESS' into ~/.config/mrsweep/notify."
            )
    if not items:
        raise SpecError(f"{node.mark}: notify.to holds []; nobody would be told. Leave it out for all addresses, or write notify: off.")
    return tuple(dict.fromkeys(item.value for item in items))
