"""How the command line says things: handed to the live view, so that both say them alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from orchestrator.results.overview import Overview

Told = Callable[[Overview, int], Iterable[str]]
"""Overview and width → lines of text."""


class Words(NamedTuple):
    """Functions of the command line that turn values into text; none of what they return can steer a terminal."""

    head: Told
    """States, cost, time left, and who watches."""
    why: Told
    """Why runs wait, why they stand still, and notes."""
    cell: Callable[[object], str]
    """One value, on one line."""
    minutes: Callable[[float | None], str]
    """A span of time."""
    counts: Callable[[dict[str, int]], str]
    """State → number of runs."""
    age: Callable[[float | None, float], str]
    """How long ago something was: when, and now."""
    user: Callable[[], str]
    """Who acts, for the record."""
