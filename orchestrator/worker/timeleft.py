"""Whether there is time for one more run (pure), and how long this submission's runs took."""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestrator.store.events import Ended, decode_journal_line
from orchestrator.store.files import read_lines
from orchestrator.store.layout import SubmissionPaths
from orchestrator.store.states import State

ENOUGH = 5
"""Finished runs from which durations can be judged."""
MARGIN = 1.5


def may_start(left_s: float, limit_s: float, finished_s: Sequence[float]) -> bool:
    """Say whether a run may start with `left_s` to go: its limit fits, or 1.5 times what 9 of 10 runs took."""
    if left_s >= limit_s:
        return True
    return len(finished_s) >= ENOUGH and left_s >= MARGIN * percentile(finished_s, 0.9)


def percentile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that `part` of all values do not exceed: percentile([1, 2, 3, 4], 0.5) → 2."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def finished_s(paths: SubmissionPaths) -> list[float]:
    """Return the runtimes of all completed runs of a submission, from its workers' journals."""
    journals = paths.dir.glob("worker-*.jsonl")
    lines = (line for journal in journals for line in read_lines(journal, decode_journal_line))
    return [line.runtime_s for line in lines if isinstance(line, Ended) and line.state is State.COMPLETED]
