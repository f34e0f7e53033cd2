"""One spelling for equal values: the text that ids are made of, and that comparisons use.

The canonical form of a value is JSON without spaces in which
- texts and keys have the Unicode form NFC and are escaped only where JSON must; keys are sorted by their JSON text;
- a number that is whole is written as an integer (1, 1.0 and 1e0 are 1; -0.0 is 0), any other as the shortest
  decimal that reads back to the same double;
- the numbers without a decimal are NaN, Infinity and -Infinity, unquoted, so that no text equals them;
- true, false and null are words: true is not 1, and "1" is not 1.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from orchestrator.store.errors import SpecError


@lru_cache(maxsize=65536)
def text_of_str(value: str) -> str:
    """Return the canonical form of a text."""
    try:
        return msgspec.json.encode(unicodedata.normalize("NFC", value)).decode()
    except UnicodeEncodeError:
        raise SpecError(f"{value!r}: is not valid Unicode text (a lone surrogate). Write it anew as UTF-8.") from None


def text_of_float(value: float) -> str:
    """Return the canonical form of a double."""
    if value.is_integer():
        return str(int(value))
    if math.isfinite(value):
        return repr(value)
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def text_of_mapping(value: Mapping[str, Any]) -> str:
    """Return the canonical form of a mapping; two keys that differ in their Unicode form only are refused."""
    parts = {text_of_str(key): canonical(item) for key, item in value.items()}
    if len(parts) != len(value):
        raise SpecError(f"two of the keys {sorted(value)} are the same text in different Unicode forms. Remove one of the two.")
    return "{" + ",".join([f"{key}:{parts[key]}" for key in sorted(parts)]) + "}"


def _text_of_items(value: list[Any] | tuple[Any, ...]) -> str:
    return "[" + ",".join([canonical(item) for item in value]) + "]"


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: text_of_str,
    float: text_of_float,
    int: str,
    bool: lambda value: "true" if value else "false",
    type(None): lambda value: "null",
    dict: text_of_mapping,
    list: _text_of_items,
    tuple: _text_of_items,
}


def canonical(value: Any) -> str:
    """Return the canonical form of plain data: mappings, lists, texts, numbers, truths and null."""
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise SpecError(
            f"{value!r}: a {type(value).__name__} cannot be part of a config. Use texts, numbers, truths, null, lists and mappings."
        )
    return writer(value)


def same(left: Any, right: Any) -> bool:
    """Say whether two values are equal for identity: 1 = 1.0, true ≠ 1."""
    return canonical(left) == canonical(right)
