"""Numbers of things in words (pure)."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """Return "1 run", "2 runs", "1,000 runs"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
