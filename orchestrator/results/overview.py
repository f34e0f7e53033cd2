"""What status shows: counts, cost, time left, causes of failure (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import msgspec

from orchestrator.cluster.scheduler import Snapshot, TaskState
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.objective import Objective
from orchestrator.results.cost import Cost, cost
from orchestrator.results.metrics import Latest
from orchestrator.results.summary import count_unreported
from orchestrator.store.records import Record, Records
from orchestrator.store.states import ALIVE, State

Pair = tuple[Manifest, Record]

_COMPUTING = ALIVE - {State.QUEUED}
_NO_REASON = ("", "None")
"""What Slurm says of a task that it has not considered yet."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Runs that ended alike."""

    cause: str
    message: str
    runs: tuple[str, ...]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One run as status lists it."""

    id: str
    label: str
    state: str
    cause: str = ""
    attempt: int = 0
    varying: dict[str, Any] = {}
    step: int | None = None
    """Last reported, of a run that computes."""
    objective: float | int | str | None = None
    minutes: float | None = None
    node: str = ""
    note: str = ""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """A grid at one moment."""

    grid: str
    counts: dict[str, int]
    orphans: int
    spent: Cost
    eta_min: float | None
    """Minutes until the last run ends, by the median of finished ones; None before any finished or when all ended."""
    pending: dict[str, int]
    """Why tasks wait, in the scheduler's words, or "no reason yet" → how many."""
    failures: tuple[Failure, ...]
    looked_at: float
    """When somebody last recorded what they saw; 0: never."""
    notes: tuple[str, ...]
    lines: tuple[Line, ...]


def make_overview(
    grid: str,
    pairs: Sequence[Pair],
    records: Records,
    snapshot: Snapshot,
    *,
    latest: Mapping[str, Latest],
    objective: Objective | None,
    slots: int,
) -> Overview:
    """Put together what is known of a grid's runs; `slots`: how many may run at once, for the time left."""
    counts = Counter(record.state.value for _, record in pairs)
    return Overview(
        grid=grid,
        counts={state.value: counts[state.value] for state in State if counts[state.value]},
        orphans=sum(manifest.id in records.orphans for manifest, _ in pairs),
        spent=cost((manifest.resources, record.spent_s / 60) for manifest, record in pairs),
        eta_min=estimate_left_min(pairs, slots, snapshot.taken_at),
        pending=pending_reasons(snapshot),
        failures=tuple(group_failures(pairs)),
        looked_at=records.looked_at,
        notes=(*snapshot.notes, *_unreported(pairs, objective)),
        lines=tuple(_line(manifest, record, latest.get(manifest.id), objective, snapshot) for manifest, record in pairs),
    )


def _unreported(pairs: Sequence[Pair], objective: Objective | None) -> Iterator[str]:
    number = count_unreported((record for _, record in pairs), objective)
    if number and objective is not None:
        yield f"{number:,} completed run{'s' * (number != 1)} never reported '{objective.name}'"


def estimate_left_min(pairs: Iterable[Pair], slots: int, now: float) -> float | None:
    """Return the minutes until the last run ends, by the median runtime of completed runs and `slots` at once."""
    pairs = list(pairs)
    done = [record.spent_s / 60 for _, record in pairs if record.state is State.COMPLETED and record.attempts]
    waiting = sum(record.state in (State.QUEUED, State.PLANNED, State.INTERRUPTED) for _, record in pairs)
    running = [record for _, record in pairs if record.state in _COMPUTING]
    if not done or not (waiting or running):
        return None
    typical = median(done)
    left = sum(max(0.0, typical - (now - record.since) / 60) for record in running) + typical * waiting
    return left / max(1, min(slots, waiting + len(running)))


def pending_reasons(snapshot: Snapshot) -> dict[str, int]:
    """Return the scheduler's reasons for waiting, the most frequent first."""
    rows = (row for tasks in snapshot.tasks.values() for row in tasks.values() if row.state is TaskState.WAITING)
    return dict(Counter("no reason yet" if row.reason in _NO_REASON else row.reason for row in rows).most_common())


def group_failures(pairs: Iterable[Pair]) -> list[Failure]:
    """Group failed runs by cause and signature: "312 failed, 2 causes", the largest group first."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for _, record in pairs:
        if record.state in (State.FAILED, State.BLOCKED) or (record.state is State.INTERRUPTED and record.interruptions > 1):
            cause = record.cause.value if record.cause else record.state.value
            groups.setdefault((cause, record.signature or _first_line(record.reason)), []).append(record)
    failures = [
        Failure(cause=cause, message=_first_line(members[0].reason), runs=tuple(record.id for record in members))
        for (cause, _), members in groups.items()
    ]
    return sorted(failures, key=lambda failure: -len(failure.runs))


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


def _line(manifest: Manifest, record: Record, latest: Latest | None, objective: Objective | None, snapshot: Snapshot) -> Line:
    last = record.decisive
    value = record.best
    if latest is not None and objective is not None:
        value = latest.metrics.get(objective.name)
    return Line(
        id=manifest.id,
        label=manifest.label,
        varying=manifest.varying,
        state=record.state.value,
        cause=record.cause.value if record.cause else "",
        attempt=record.attempt,
        step=latest.step if latest else None,
        objective=value,
        minutes=_minutes(record, snapshot.taken_at),
        node=last.host if last else "",
        note=_note(record, snapshot),
    )


def _minutes(record: Record, now: float) -> float | None:
    last = record.decisive
    if last is None or last.started_at is None:
        return None
    return max(0.0, now - last.started_at) / 60 if record.state in _COMPUTING else last.runtime_s / 60


def _note(record: Record, snapshot: Snapshot) -> str:
    if record.state is State.QUEUED:
        row = snapshot.task(record.token, record.index)
        return f"waits: {row.reason}" if row is not None and row.reason not in _NO_REASON else ""
    return _first_line(record.reason)
