"""The metric by which runs are compared."""

from __future__ import annotations

import msgspec


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """The metric that says which run is better."""

    name: str
    mode: str = "max"
    """max or min."""
