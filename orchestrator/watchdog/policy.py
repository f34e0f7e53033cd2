"""Decide what to do about a run that ended badly (pure)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import Snapshot, TaskState
from orchestrator.grid.dotted import ABSENT, lookup
from orchestrator.grid.manifest import Manifest
from orchestrator.store.records import Attempt, Record, Records
from orchestrator.store.states import BAD_ENDS, Cause, State
from orchestrator.watchdog.answers import AGAIN, Action, Answer, Policy

MOST_WAIT_S = 3600.0
"""Tries of one run never lie further apart by our own doing."""

IN_VAIN = 2
"""A run is given up when so many attempts in a row reached their time limit and saved nothing new."""

ABOVE_PEAK = 1.25
"""What is asked for lies so far above the measured peak of finished runs of the same resources."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with a run, and why; recorded under its id before the act."""

    id: str
    run: str
    action: Action
    reason: str
    due: float = 0.0
    """Not before this time."""
    resources: Resources
    """What the next attempt asks for."""
    overrides: Mapping[str, Any] = {}
    """Dotted runtime keys that the next attempt sets."""


NO_LARGER_GPU = "larger GPU, and the profile names none (#MRSWEEP larger_gpu=...)"


class GivenUp(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing more is done by itself, and why."""

    reason: str


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the site gives a run at most, and how it wants to be asked."""

    mem_gb: float = math.inf
    time_min: float = math.inf
    larger_gpu: bool = True
    """The profile names a larger GPU."""
    backoff_s: float = 60.0
    """Between the starts of the second and the third try; twice as long between any two after it."""


class BadEnd(msgspec.Struct, frozen=True, kw_only=True):
    """What one decision is about."""

    record: Record
    manifest: Manifest
    asked: Resources
    """What the newest attempt asked for."""
    peak_gb: float = 0.0
    """Largest memory of finished runs of the same resources [GB]."""
    listed: bool = False
    """The tasks it was submitted with take their runs from a list."""


def decide(case: BadEnd, policy: Policy, snapshot: Snapshot, bounds: Bounds) -> Decision | GivenUp | None:
    """Return what follows on a bad end; None where nothing does, or while the task of an interrupted run may still go on with it.

    Slurm requeues a preempted task itself; the worker then continues the same attempt. What failed no worker begins anew.
    """
    record = case.record
    if record.state not in BAD_ENDS or record.cause is None:
        return None
    if record.state is State.INTERRUPTED and (not snapshot.queue_ok or may_go_on(record, snapshot, listed=case.listed)):
        return None
    answer = policy.answer(record.cause)
    if answer.action is Action.KEEP:
        return GivenUp(reason="the policy leaves it to a person") if record.state is State.INTERRUPTED else None
    if answer.action is Action.PRUNE:
        return None if record.restored else _decision(case, answer, case.asked, {}, "the policy moves it to the trash")
    spent = _spent(record, answer, policy) or _in_vain(case, answer, bounds)
    return GivenUp(reason=spent) if spent else _again(case, answer, bounds)


def _spent(record: Record, answer: Answer, policy: Policy) -> str:
    """Say which budget is used up, if one is."""
    cause, used = record.cause, record.tally.get(record.cause, 0) if record.cause else 0
    if cause is not None and answer.attempts is not None and used >= answer.attempts:
        return f"{used} of its attempts ended as {cause.value}"
    return f"{record.losses} of its attempts ended badly" if record.losses >= policy.attempts else ""


def _in_vain(case: BadEnd, answer: Answer, bounds: Bounds) -> str:
    """Say so, if more time limits would be reached without getting further: nothing new was saved, and no more time is given."""
    if case.record.tally.get(Cause.TIMEOUT, 0) < IN_VAIN:
        return ""
    if case.record.cause is not Cause.TIMEOUT or _raised(case.asked.time_min, answer.time, min(answer.cap_min, bounds.time_min)):
        return ""
    newest_first = list(reversed(case.record.attempts))
    ends = newest_first[:IN_VAIN]
    before = [*newest_first[1:], Attempt(number=0)]
    idle = [end.cause is Cause.TIMEOUT and not _moved(end, earlier) for end, earlier in zip(ends, before, strict=False)]
    return f"its last {IN_VAIN} attempts reached the time limit and saved nothing new" if len(idle) == IN_VAIN and all(idle) else ""


def _moved(attempt: Attempt, before: Attempt) -> bool:
    """Say whether an attempt got further than the one before it: it saved a checkpoint, or reported a later step."""
    later, earlier = attempt.last_step, before.last_step
    if isinstance(later, int | float) and isinstance(earlier, int | float):
        return later > earlier
    return attempt.saved_at is not None or (isinstance(later, int | float) and later > 0)


def _again(case: BadEnd, answer: Answer, bounds: Bounds) -> Decision | GivenUp:
    """Return another attempt, with what the answer changes; nothing left to change is a reason to give up."""
    asked, told = case.asked, list[str]()
    mem_gb = _raised(asked.mem_gb, answer.mem, min(answer.cap_gb, bounds.mem_gb), at_least=ABOVE_PEAK * case.peak_gb)
    if answer.mem > 1 and mem_gb is None:
        return GivenUp(reason=f"it asked for {asked.mem_gb:g} GB already, and no more can be had")
    time_min = _raised(asked.time_min, answer.time, min(answer.cap_min, bounds.time_min))
    overrides = _overridden(case, answer.set)
    if answer.set and overrides == case.record.overrides:
        return GivenUp(reason=f"{', '.join(answer.set)} cannot be changed any further")
    told += [f"{asked.mem_gb:g} → {mem_gb:g} GB"] if mem_gb else []
    told += [f"{asked.time_min:g} → {time_min:g} min"] if time_min else []
    told += [f"{key} = {overrides[key]}" for key in answer.set]
    resources = msgspec.structs.replace(
        asked,
        mem_gb=mem_gb or asked.mem_gb,
        time_min=time_min or asked.time_min,
        larger_gpu=asked.larger_gpu or (answer.larger_gpu and bounds.larger_gpu),
        sbatch=tuple(sorted({**dict(asked.sbatch), **answer.sbatch}.items())),
    )
    if answer.larger_gpu or answer.sbatch:
        if resources == asked:
            known = bounds.larger_gpu or answer.sbatch
            return GivenUp(reason="it was on the larger GPU already" if known else f"the policy asks for a {NO_LARGER_GPU}")
        told.append("on a larger GPU")
    return _decision(case, answer, resources, overrides, ", ".join([*told, _count(case.record, answer)]), backoff_s=bounds.backoff_s)


def _raised(value: float, factor: float, cap: float, *, at_least: float = 0.0) -> float | None:
    """Return the larger value that a factor asks for, at most `cap`; None when nothing larger is asked for or to be had."""
    if factor <= 1 or value >= cap:
        return None
    return min(cap, max(value * factor, at_least))


def _count(record: Record, answer: Answer) -> str:
    used = record.tally.get(record.cause, 0) if record.cause else 0
    return f"attempt {record.attempt} was number {used}" + (f" of at most {answer.attempts}" if answer.attempts else "") + " to end so"


def _decision(
    case: BadEnd, answer: Answer, resources: Resources, overrides: Mapping[str, Any], reason: str, *, backoff_s: float = 0.0
) -> Decision:
    record = case.record
    cause = record.cause.value if record.cause else ""
    return Decision(
        id=f"{record.id}-{record.attempt}-{'requeue' if answer.action in AGAIN else answer.action.value}",
        run=record.id,
        action=answer.action,
        reason=f"{cause}, {reason}",
        due=_due(case, answer, backoff_s) if answer.action in AGAIN else 0.0,
        resources=resources,
        overrides=overrides,
    )


def _due(case: BadEnd, answer: Answer, backoff_s: float) -> float:
    """Return when the next attempt may begin: the first at once, every further one twice as long after the last began."""
    record = case.record
    tries = record.tally.get(record.cause, 0) if record.cause else 0
    if tries <= 1 or not answer.spaced:
        return 0.0
    newest = record.current
    began = newest.started_at if newest and newest.number == record.attempt and newest.started_at else record.since
    return began + min(MOST_WAIT_S, backoff_s * 2.0 ** min(20, tries - 2))


def _overridden(case: BadEnd, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the runtime keys that the next attempt sets: those of the last one, and `changes` on top."""
    before = case.record.overrides
    return {**before, **{key: scale(before.get(key, lookup(case.manifest.config, key)), change) for key, change in changes.items()}}


def scale(value: Any, change: Any) -> Any:
    """Return the value that a policy's `set` gives a key: "/2" and "x2" are factors, whole numbers stay whole and at least 1."""
    if not isinstance(change, str) or change[:1] not in ("/", "x") or not change[1:2].isdigit():
        return change
    if value is ABSENT or isinstance(value, bool) or not isinstance(value, int | float):
        return value
    factor = float(change[1:])
    scaled = value / factor if change[0] == "/" else value * factor
    return max(1, int(scaled)) if isinstance(value, int) else scaled


def held_runs(records: Records, snapshot: Snapshot) -> set[str]:
    """Return the runs that nobody may submit again now: their task may go on, or the queue did not answer.

    They were interrupted, or taken out of an array whose task was perhaps quicker.
    """
    again = (record for record in records.runs.values() if record.attempt and record.state in (State.INTERRUPTED, State.PLANNED))
    paused = {record.id for record in records.runs.values() if records.paused is not None and record.state is State.HELD}
    return paused | {
        record.id for record in again if not snapshot.queue_ok or may_go_on(record, snapshot, listed=is_listed(record, records))
    }


def is_listed(record: Record, records: Records) -> bool:
    """Say whether the tasks that a run was submitted with last take their runs from a list."""
    submission = records.submissions.get(record.token)
    return submission is not None and submission.listed


def may_go_on(record: Record, snapshot: Snapshot, *, listed: bool) -> bool:
    """Say whether the scheduler still holds the task that computed the run, or of a list any that may yet do so."""
    attempt = record.current
    started = attempt is not None and attempt.number == record.attempt
    if listed and not started:
        return any(row.state is not TaskState.ENDED for row in snapshot.tasks.get(record.token, {}).values())
    token, index = (attempt.token, attempt.index) if attempt and started else (record.token, record.index)
    row = snapshot.task(token, index)
    return row is not None and row.state is not TaskState.ENDED


def peaks(manifests: Mapping[str, Manifest], records: Records) -> dict[Resources, float]:
    """Return what a run is asked to have → the largest memory that a completed run of its like used [GB]."""
    largest: dict[Resources, float] = {}
    for run_id, manifest in manifests.items():
        record = records.get(run_id)
        if record.state is State.COMPLETED and record.decisive is not None:
            largest[manifest.resources] = max(largest.get(manifest.resources, 0.0), record.decisive.peak_mem_gb)
    return largest


def bad_nodes(records: Iterable[Record], policy: Policy, *, since: float, most: int) -> tuple[str, ...]:
    """Return the nodes to avoid: where attempts ended after `since` by what a node does to them; the newest `most` of them."""
    ends: dict[str, float] = {}
    for record in records:
        for attempt in record.attempts:
            if attempt.node and attempt.ended_at and attempt.ended_at > since and policy.answer(attempt.cause).elsewhere:
                ends[attempt.node] = max(ends.get(attempt.node, 0.0), attempt.ended_at)
    newest = sorted(ends, key=lambda node: -ends[node])[:most]
    return tuple(sorted(newest))
