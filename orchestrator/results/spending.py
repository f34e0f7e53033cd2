"""What the attempts of a grid cost: useful, wasted by cause, still running (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.grid.manifest import Manifest
from orchestrator.results.cost import Cost
from orchestrator.store.records import Attempt, Record, Records, SubmissionRecord
from orchestrator.store.states import ALIVE, State


class Share(NamedTuple):
    """What an attempt held, and for how long."""

    resources: Resources
    minutes: float
    at_a_time: int = 1
    """Runs that shared the GPUs of the task."""


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """Where the hours of a grid went."""

    useful: Cost
    """Attempts that completed, and those whose checkpoint a later attempt went on from, or still may."""
    wasted: dict[str, Cost]
    """Cause → attempts that ended by it and from which nothing went on; the largest first."""
    running: Cost
    """Attempts that compute now."""

    @property
    def lost(self) -> Cost:
        """All that was wasted, whatever the cause."""
        return _sum(self.wasted.values())

    @property
    def total(self) -> Cost:
        return _sum((self.useful, self.running, *self.wasted.values()))


def add_up(pairs: Iterable[tuple[Manifest, Record]], records: Records, now: float) -> Spending:
    """Sort the time of every attempt. What it held is what its submission asked for; of an unknown submission, what the manifest asks."""
    useful: list[Share] = []
    running: list[Share] = []
    wasted: dict[str, list[Share]] = {}
    asked = _Asked(records)
    for manifest, record in pairs:
        for attempt in record.attempts:
            if attempt.ended_at is None:
                running.extend(asked.share(manifest, attempt, minutes) for minutes in _minutes_so_far(record, attempt, now))
                continue
            share = asked.share(manifest, attempt, attempt.runtime_s / 60)
            if attempt.state is State.COMPLETED or _is_gone_on_from(attempt, record):
                useful.append(share)
            else:
                cause = attempt.cause.value if attempt.cause else attempt.state.value
                wasted.setdefault(cause, []).append(share)
    costs = {cause: _cost(shares) for cause, shares in wasted.items()}
    ranked = sorted(costs.items(), key=lambda item: (-item[1].gpu_hours, -item[1].core_hours))
    return Spending(useful=_cost(useful), wasted=dict(ranked), running=_cost(running))


class _Asked:
    """What submissions asked for; every token is looked up once."""

    def __init__(self, records: Records) -> None:
        self._submissions = records.submissions
        self._known: dict[str, tuple[Resources | None, int]] = {}

    def share(self, manifest: Manifest, attempt: Attempt, minutes: float) -> Share:
        if attempt.token not in self._known:
            self._known[attempt.token] = _asked_by(self._submissions.get(attempt.token))
        resources, at_a_time = self._known[attempt.token]
        return Share(resources or manifest.resources, minutes, at_a_time)


def _asked_by(submission: SubmissionRecord | None) -> tuple[Resources | None, int]:
    """Return what one run of a submission asked for, and how many shared a task at a time."""
    if submission is None:
        return None, 1
    return msgspec.convert(submission.resources, Resources) if submission.resources else None, submission.at_a_time


def _cost(shares: Iterable[Share]) -> Cost:
    gpu_min = core_min = 0.0
    for resources, minutes, at_a_time in shares:
        gpu_min += resources.gpus * resources.nodes * minutes / at_a_time
        core_min += resources.cpus * resources.nodes * minutes
    return Cost(gpu_hours=gpu_min / 60, core_hours=core_min / 60)


def _minutes_so_far(record: Record, attempt: Attempt, now: float) -> Iterator[float]:
    """Yield how long an attempt has computed; nothing for one that never told its end and that another has followed."""
    if attempt is record.current and record.state in ALIVE and attempt.started_at is not None:
        yield max(0.0, now - attempt.started_at) / 60


def _is_gone_on_from(attempt: Attempt, record: Record) -> bool:
    """Say whether a later attempt went on from this one's checkpoint to the end, the newest one being taken always, or still may."""
    return attempt.saved_at is not None and (record.state is State.COMPLETED or not record.is_final)


def _sum(costs: Iterable[Cost]) -> Cost:
    costs = list(costs)
    return Cost(gpu_hours=sum(one.gpu_hours for one in costs), core_hours=sum(one.core_hours for one in costs))
