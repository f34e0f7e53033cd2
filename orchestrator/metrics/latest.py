"""Read what a run reported: the last lines of a live metrics.jsonl, by seek."""

from __future__ import annotations

import os

import msgspec

from orchestrator.store.events import Number
from orchestrator.store.layout import AttemptPaths

TAIL_BYTES = 8192


class Latest(msgspec.Struct, frozen=True, kw_only=True):
    """The newest report of a run that is still computing."""

    step: int
    metrics: dict[str, Number]


def read_latest(attempt: AttemptPaths) -> Latest | None:
    """Return the last whole line of the attempt's metrics; None before the first."""
    try:
        with open(attempt.metrics, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - TAIL_BYTES))
            lines = stream.read().split(b"\n")
    except OSError:
        return None
    for line in reversed(lines[:-1]):  # what follows the last newline is still being written
        try:
            values = msgspec.json.decode(line, type=dict[str, Number])
        except (msgspec.DecodeError, msgspec.ValidationError):
            continue
        step = values.pop("step", 0)
        return Latest(step=int(step) if isinstance(step, int | float) else 0, metrics=values)
    return None
