"""Read what a run reported: the last lines of a live metrics.jsonl, by seek."""

from __future__ import annotations

import os

import msgspec

from orchestrator.metrics.lines import as_number
from orchestrator.metrics.reports import decode_report, flattened, opened, step_of
from orchestrator.store.events import Number
from orchestrator.store.layout import AttemptPaths

TAIL_BYTES = 1 << 16


class Latest(msgspec.Struct, frozen=True, kw_only=True):
    """The newest report of a run that is still computing."""

    step: int
    metrics: dict[str, Number]


def read_latest(attempt: AttemptPaths) -> Latest | None:
    """Return the last whole line of the attempt's metrics; None before the first."""
    try:
        with opened(attempt.metrics) as descriptor:
            tail = b"" if descriptor is None else os.pread(descriptor, TAIL_BYTES, max(0, os.fstat(descriptor).st_size - TAIL_BYTES))
    except OSError:
        return None
    for line in reversed(tail.split(b"\n")[:-1]):  # what follows the last newline is still being written
        report = decode_report(line)
        if report is not None:
            values = {name: as_number(value) for name, value in flattened(report) if isinstance(value, float | int | str)}
            values.pop("step", None)
            return Latest(step=int(step_of(report)), metrics=values)
    return None
