"""Values of metrics: made fit for JSON, and read back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.store.events import Number

_WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_INT64 = 2**63
_DONE: tuple[str, object] = ("", object())


def as_number(value: object) -> Number:
    """Return a metric as JSON can hold it: NaN and infinities as words, one-element tensors and arrays as numbers.

    Raises TypeError for what is neither a number nor a text, such as a list.
    """
    if value is None or isinstance(value, str):
        return value and str(value)
    plain = value if isinstance(value, int | float) else _item(value)
    if isinstance(plain, int) and -_INT64 <= plain < _INT64:
        return int(plain)
    if isinstance(plain, int | float):
        number = _float(plain)
        return number if math.isfinite(number) else str(number)
    raise TypeError(f"holds a {type(value).__name__}; a metric is a number or a text")


def _item(value: object) -> object:
    """Return the one element of a tensor or array."""
    try:
        return value.item()  # type: ignore[attr-defined]
    except AttributeError:
        return value
    except (ValueError, RuntimeError) as error:
        raise TypeError(f"holds a {type(value).__name__} of several elements; a metric is one number") from error


def as_float(value: object) -> float | None:
    """Return a stored metric as a number, its words as NaN and infinities; None for a text."""
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower())
    return _float(value) if isinstance(value, float | int) else None


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of more than 300 digits
        return math.inf if value > 0 else -math.inf


def flatten(metrics: Mapping[Any, object]) -> Iterator[tuple[str, object]]:
    """Yield (name, value) of nested metrics, names joined by "/"; however deep they are nested."""
    waiting = [("", iter(metrics.items()))]
    while waiting:
        prefix, items = waiting[-1]
        key, value = next(items, _DONE)
        if value is _DONE[1]:
            waiting.pop()
        elif isinstance(value, Mapping):
            waiting.append((f"{prefix}{key}/", iter(value.items())))
        else:
            yield f"{prefix}{key}", value
