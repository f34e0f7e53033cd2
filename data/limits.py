"""Checks of configs: each raises ValueError with key, value and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def choice(key: str, value: str, known: Sequence[str]) -> None:
    """Refuse a name that is not among the known ones."""
    if value not in known:
        raise ValueError(f"{key}: {unknown(value, known)}")


def unknown(value: str, known: Sequence[str]) -> str:
    """Say that a name is unknown, which are known, the nearest first."""
    near = difflib.get_close_matches(value, known, n=1)
    return f"'{value}' is unknown. {f'Did you mean {near[0]}? ' if near else ''}Known: {', '.join(known)}"


def limit(key: str, value: object, holds: bool, wanted: str) -> None:
    """Refuse a value for which `holds` is false."""
    if not holds:
        raise ValueError(f"{key} is {value!r}; it must be {wanted}")
