"""What status shows: counts, cost, time left, one line a run (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import msgspec

from orchestrator.cluster.scheduler import Snapshot
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.objective import Objective
from orchestrator.metrics.latest import Latest
from orchestrator.results.failures import Failure, first_line, group_failures
from orchestrator.results.objectives import count_unreported
from orchestrator.results.spending import Spending, add_up
from orchestrator.results.waiting import Explainer, Surroundings, Wait, count_waits
from orchestrator.store.events import Number
from orchestrator.store.records import Record, Records
from orchestrator.store.states import ALIVE, BAD_ENDS, State

Pair = tuple[Manifest, Record]

_COMPUTING = ALIVE - {State.QUEUED}
_FIRST = (State.RUNNING, State.STALLED, State.INTERRUPTED, State.FAILED, State.BLOCKED, State.HELD)
_RANK = {state: _FIRST.index(state) if state in _FIRST else len(_FIRST) for state in State}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One run as status lists it."""

    id: str
    label: str
    state: str
    cause: str = ""
    attempt: int = 0
    varying: dict[str, Any] = {}
    step: Number = None
    """Last reported: of a run that computes the newest, of one that ended without a result how far it came."""
    objective: float | int | str | None = None
    minutes: float | None = None
    node: str = ""
    note: str = ""
    waits: str = ""
    """Of a run that waits, the scheduler's own word for it, or ours."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """A grid at one moment."""

    grid: str
    counts: dict[str, int]
    orphans: int
    spent: Spending
    eta_min: float | None
    """Minutes until the last run ends, by the median of finished ones; None before any finished or when all ended."""
    waits: tuple[Wait, ...]
    """Why runs do not start, the most frequent reason first."""
    failures: tuple[Failure, ...]
    stalled: tuple[str, ...] = ()
    """Runs that are alive for the scheduler, and give no sign of life."""
    paused: str = ""
    """Why nothing of the grid starts, until a person resumes it."""
    looked_at: float
    """When somebody last recorded what they saw; 0: never."""
    janitor: bool = False
    """A job on the cluster watches the grid."""
    notes: tuple[str, ...]
    lines: tuple[Line, ...]
    """One a run, or of those that were asked for."""


def make_overview(
    grid: str,
    pairs: Sequence[Pair],
    records: Records,
    snapshot: Snapshot,
    *,
    latest: Mapping[str, Latest],
    objective: Objective | None,
    around: Surroundings,
    shown: Sequence[Pair] | None = None,
) -> Overview:
    """Put together what is known of a grid's runs. `shown`: the runs that get a line; None: all."""
    counts = Counter(record.state for _, record in pairs)
    explainer = Explainer(grid, records, snapshot, around)
    waits = {manifest.id: wait for manifest, record in pairs if (wait := explainer.explain(manifest, record)) is not None}
    lines = pairs if shown is None else shown
    return Overview(
        grid=grid,
        counts={state.value: counts[state] for state in State if counts[state]},
        orphans=sum(manifest.id in records.orphans for manifest, _ in pairs) if records.orphans else 0,
        spent=add_up(pairs, records, snapshot.taken_at),
        eta_min=estimate_left_min(pairs, around.slots, snapshot.taken_at),
        waits=count_waits(waits.values()),
        failures=tuple(group_failures((record for _, record in pairs), around.given_up)),
        stalled=tuple(record.id for _, record in pairs if record.state is State.STALLED),
        paused=first_line(records.paused.reason) if records.paused else "",
        looked_at=records.looked_at,
        notes=(*snapshot.notes, *_unreported(pairs, objective)),
        lines=tuple(
            _line(manifest, record, latest.get(manifest.id), objective, waits.get(manifest.id), snapshot.taken_at)
            for manifest, record in lines
        ),
    )


def most_telling(pairs: Sequence[Pair], most: int) -> list[Pair]:
    """Return the runs to show where there is room for `most`: those that compute, then those that stand still, then the others."""
    return sorted(pairs, key=lambda pair: _RANK[pair[1].state])[:most]


def _unreported(pairs: Sequence[Pair], objective: Objective | None) -> Iterator[str]:
    number = count_unreported((record for _, record in pairs), objective)
    if number and objective is not None:
        yield f"{number:,} completed run{'s' * (number != 1)} without a finite value of '{objective.name}': not reported, or no number"


def estimate_left_min(pairs: Iterable[Pair], slots: int, now: float) -> float | None:
    """Return the minutes until the last run ends, by the median runtime of completed runs and `slots` at once."""
    pairs = list(pairs)
    done = [record.spent_s / 60 for _, record in pairs if record.state is State.COMPLETED and record.attempts]
    waiting = sum(record.state in (State.QUEUED, State.PLANNED, State.INTERRUPTED) for _, record in pairs)
    running = [record for _, record in pairs if record.state in _COMPUTING]
    if not done or not (waiting or running):
        return None
    typical = median(done)
    left = sum(max(0.0, typical - (now - _began(record)) / 60) for record in running) + typical * waiting
    return left / max(1, min(slots, waiting + len(running)))


def _began(record: Record) -> float:
    """Return when the computing attempt of a run began; a run that was silent for a while has a later state."""
    attempt = record.current
    return attempt.started_at if attempt is not None and attempt.started_at is not None else record.since


def _line(manifest: Manifest, record: Record, latest: Latest | None, objective: Objective | None, wait: Wait | None, now: float) -> Line:
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
        step=_step(record, latest),
        objective=value,
        minutes=_minutes(record, now),
        node=(last.node or last.host) if last else "",
        note=_note(record, wait),
        waits=wait.reason if wait else "",
    )


def _step(record: Record, latest: Latest | None) -> Number:
    """Return how far a run has come; of a completed one that says nothing."""
    if latest is not None:
        return latest.step
    last = record.current
    return last.last_step if last is not None and record.state is not State.COMPLETED else None


def _minutes(record: Record, now: float) -> float | None:
    last = record.decisive
    if last is None or last.started_at is None:
        return None
    return max(0.0, now - last.started_at) / 60 if record.state in _COMPUTING else last.runtime_s / 60


def _note(record: Record, wait: Wait | None) -> str:
    """Return why a run waits; of one that ended badly first how."""
    told = [first_line(record.reason)] if record.state in BAD_ENDS or wait is None else []
    return "; ".join(filter(None, [*told, f"waits: {wait.sentence}" if wait is not None else ""]))
