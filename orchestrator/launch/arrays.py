"""Decide which runs go into which arrays, so that max_parallel holds over all of them (pure)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from orchestrator.cluster.resources import Pack, Resources
from orchestrator.worker.submission import Row


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is to be submitted."""

    row: Row
    resources: Resources
    prepare: str = ""
    """Hash of the prepare command it waits for."""


class ArrayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One array to be submitted."""

    rows: tuple[Row, ...]
    resources: Resources
    """What ONE run needs."""
    prepare: str
    tasks: int
    throttle: int
    """Tasks at once."""
    at_a_time: int
    """Runs that one task computes side by side."""

    @property
    def max_parallel(self) -> int:
        """Runs at once."""
        return self.throttle * self.at_a_time


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What may still be submitted."""

    slots: int
    """Runs that may still hold resources at once."""
    max_array: int
    """Tasks of one array."""
    tasks: float = math.inf
    """Tasks that the cluster's submit limit leaves."""


def cut_arrays(jobs: Iterable[Job], pack: Pack, room: Room, *, listed: bool) -> tuple[list[ArrayPlan], list[Job]]:
    """Return the arrays to submit now, and the jobs that wait for a slot.

    Jobs of equal resources form a class. Slots are divided over the classes in proportion to their work, so that
    they end together; a class without a slot waits. A class that outgrows one array is cut into arrays of nearly equal
    length, their throttles adding up to the class's share: all drain at the same time, and max_parallel holds at any time.
    `listed`: workers take runs from the list until it is empty (local use), so there are only as many tasks as slots.
    """
    classes = _classes(jobs)
    at_a_time = max(1, min(pack.per_gpu, pack.per_task)) if not listed else 1
    slots = room.slots // at_a_time
    shares = share_slots([_work(group) for group in classes], [_tasks(len(group), pack) for group in classes], slots)
    arrays: list[ArrayPlan] = []
    later: list[Job] = []
    left = room.tasks
    for group, share in zip(classes, shares, strict=True):
        for part, tasks, throttle in _cut_class(group, share, pack, room.max_array, left, listed=listed):
            if not tasks:
                later.extend(part)
                continue
            left -= tasks
            arrays.append(_array(part, tasks, throttle, at_a_time))
    return arrays, later


def share_slots(work: Sequence[float], tasks: Sequence[int], slots: int) -> list[int]:
    """Divide `slots` over classes: one each while they last, then in proportion to their work, never more than tasks.

    share_slots([3, 1], [300, 100], 8) → [6, 2];  share_slots([9, 1], [2, 100], 8) → [2, 6]
    """
    shares = [1 if place < slots else 0 for place in range(len(work))]
    while sum(shares) < slots:
        open_places = [place for place, share in enumerate(shares) if 0 < share < tasks[place]]
        if not open_places:
            break
        neediest = max(open_places, key=lambda place: work[place] / shares[place])
        shares[neediest] += 1
    return shares


def _classes(jobs: Iterable[Job]) -> list[list[Job]]:
    classes: dict[tuple[Resources, str], list[Job]] = {}
    for job in jobs:
        classes.setdefault((job.resources, job.prepare), []).append(job)
    return list(classes.values())


def _work(group: Sequence[Job]) -> float:
    return len(group) * group[0].resources.time_min


def _tasks(runs: int, pack: Pack) -> int:
    return math.ceil(runs / pack.per_task)


def _cut_class(
    group: Sequence[Job], share: int, pack: Pack, max_array: int, room: float, *, listed: bool
) -> Iterable[tuple[list[Job], int, int]]:
    """Yield (jobs, tasks, throttle) for each array of a class; jobs that find no place come last, with 0 tasks."""
    if listed:
        workers = int(min(share, len(group)))
        yield list(group), workers, workers
        return
    tasks = int(min(_tasks(len(group), pack), room))
    arrays = min(math.ceil(tasks / max_array), share)
    remaining = iter(group)
    for lengths, throttle in zip(_even(min(tasks, arrays * max_array), arrays), _even(share, arrays), strict=True):
        yield list(islice(remaining, lengths * pack.per_task)), lengths, min(throttle, lengths)
    yield list(remaining), 0, 0


def _even(total: int, parts: int) -> list[int]:
    """Divide a whole number into parts that differ by at most one: _even(8, 3) → [3, 3, 2]."""
    return [total // parts + (place < total % parts) for place in range(parts)]


def _array(jobs: Sequence[Job], tasks: int, throttle: int, at_a_time: int) -> ArrayPlan:
    return ArrayPlan(
        rows=tuple(job.row for job in jobs),
        resources=jobs[0].resources,
        prepare=jobs[0].prepare,
        tasks=tasks,
        throttle=throttle,
        at_a_time=at_a_time,
    )
