"""Values written shorter where a terminal has no room for them (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

LEAST = 3
"""Letters that are left of a value at least."""


def short_values(values: Iterable[object]) -> dict[str, str]:
    """Return text → its shortest beginning, at least three letters, that none of the other texts has; numbers stay as they are."""
    texts = list(dict.fromkeys(value for value in values if isinstance(value, str)))
    return {text: _beginning(text, [other for other in texts if other != text]) for text in texts}


def _beginning(text: str, others: Sequence[str]) -> str:
    lengths = range(LEAST, len(text))
    return next((text[:length] for length in lengths if not any(other.startswith(text[:length]) for other in others)), text)
