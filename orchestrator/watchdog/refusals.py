"""What the scheduler refused is not asked again at once (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

import msgspec

from orchestrator.store.records import SubmissionRecord

REFUSED_WAIT_S, REFUSED_MOST_S = 60.0, 3600.0
"""After a refusal the next try waits so long; twice as long after each further one in a row, up to the second figure."""


def refused_lately(submissions: Iterable[SubmissionRecord], now: float) -> list[SubmissionRecord]:
    """Return the newest submission of each kind that is not to be tried again yet, as the scheduler refused it.

    A kind is what asks for the same resources, or prepares the same: what one class asks for in vain holds up no other.
    """
    kinds: dict[tuple[bytes, str], list[SubmissionRecord]] = {}
    for one in sorted(submissions, key=lambda one: -one.at):
        if one.job_id or (one.refused and not one.withdrawn):
            kinds.setdefault((msgspec.json.encode(one.resources, order="sorted"), "" if one.runs else one.reason), []).append(one)
    return [newest_first[0] for newest_first in kinds.values() if _waits(newest_first, now)]


def _waits(newest_first: list[SubmissionRecord], now: float) -> bool:
    refusals = sum(1 for _ in takewhile(lambda one: one.refused, newest_first))
    wait = min(REFUSED_MOST_S, REFUSED_WAIT_S * 2.0 ** min(20, refusals - 1))
    return refusals > 0 and now < newest_first[0].at + wait
