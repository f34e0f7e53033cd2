"""What slurmstepd writes last into a job's output: by whom and why it was ended (pure)."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import NamedTuple

from orchestrator.store.states import Cause

_ENDED = r"\*\*\* (?:JOB|STEP) .{0,200}CANCELLED AT (?P<at>\S{1,40})(?: DUE TO (?P<why>[A-Za-z ]{1,40}))?"
_MEMORY = r"slurmstepd.{0,40}(Detected \d+ oom|(?i:exceeded (job |step )?memory limit))|^(srun|slurm).{0,60}task \S+: Out Of Memory"

_CAUSES = (
    ("TIME LIMIT", Cause.TIMEOUT),
    ("PREEMPTION", Cause.PREEMPTED),
    ("JOB REQUEUE", Cause.PREEMPTED),
    ("NODE FAILURE", Cause.NODE_FAILURE),
)


class Trailer(NamedTuple):
    """One such line."""

    cause: Cause
    line: str


def trailers(lines: Sequence[str]) -> list[Trailer]:
    """Return what slurmstepd says in these lines, in their order.

    An end without a reason is no trailer: it may be a person's scancel, a job that Slurm forgot, or a step that srun
    ends because one of its tasks has failed.
    """
    return [found for line in lines if (found := _trailer(line)) is not None]


def since(lines: Sequence[str], began: float | None, *, slack_s: float = 60.0) -> list[str]:
    """Return the lines after the last one that tells of an end before `began`: a task's restarts share one log."""
    if began is None:
        return list(lines)
    ends = [read_time(match["at"]) for line in lines if (match := re.search(_ENDED, line))]
    places = [place for place, line in enumerate(lines) if re.search(_ENDED, line)]
    old = [place for place, at in zip(places, ends, strict=True) if at is not None and at < began - slack_s]
    return list(lines[old[-1] + 1 :]) if old else list(lines)


def read_time(text: str) -> float | None:
    """Read 2026-01-31T12:00:00 as local time; None for anything else."""
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except (ValueError, OverflowError):
        return None


def _trailer(line: str) -> Trailer | None:
    if re.search(_MEMORY, line):
        return Trailer(Cause.HOST_OOM, line)
    match = re.search(_ENDED, line)
    if match is None:
        return None
    why = (match["why"] or "").strip()
    cause = next((cause for words, cause in _CAUSES if why.startswith(words)), None)
    return Trailer(cause, line) if cause else None
