"""Decide what a launch would do: which runs are new, kept, tried again, adopted, waiting (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.grid.build import Waiting
from orchestrator.grid.manifest import Manifest
from orchestrator.launch.arrays import ArrayPlan, Job
from orchestrator.results.cost import Cost
from orchestrator.store.events import Adopted
from orchestrator.store.records import Record, Records
from orchestrator.store.states import State
from orchestrator.worker.submission import Row


class Sorted(msgspec.Struct, frozen=True, kw_only=True):
    """Today's runs against those on disk."""

    new: tuple[Manifest, ...]
    """Not in manifest.jsonl yet."""
    missing: tuple[Manifest, ...]
    """Known, but never submitted (or taken back)."""
    retry: tuple[Manifest, ...]
    """Interrupted: they go on from their checkpoint."""
    kept: tuple[Manifest, ...]
    """Completed, in the queue, running, failed, cancelled: launch leaves them alone."""
    orphans: tuple[str, ...]
    """On disk, but no longer asked for by the grid file."""
    revived: tuple[str, ...]
    """Orphans that the grid file asks for again."""
    behind: frozenset[str] = frozenset()
    """Ids of runs that are held until the canaries have passed."""

    @property
    def to_compute(self) -> tuple[Manifest, ...]:
        return self.new + self.missing + self.retry

    @property
    def to_submit(self) -> tuple[Manifest, ...]:
        return tuple(manifest for manifest in self.to_compute if manifest.id not in self.behind)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that a launch would do; nothing has been done."""

    runs: Sorted
    collapsed: int
    """Points of the grid that came to the id of another one."""
    waiting: tuple[str, ...]
    """Why runs cannot be made yet: "3 runs wait for stl_single"."""
    adopted: tuple[Adopted, ...]
    arrays: tuple[ArrayPlan, ...]
    later: tuple[Job, ...]
    """Runs that wait for a slot."""
    prepare: tuple[str, ...]
    """Commands that must end well before their runs start."""
    limit: Cost
    """If every run used its whole time limit."""
    estimate: Cost | None
    """By the median of finished runs; None before any finished."""

    @property
    def submitted(self) -> int:
        """Number of runs that would be submitted now."""
        return sum(len(array.rows) for array in self.arrays)


def sort_runs(today: Sequence[Manifest], kept: Mapping[str, Manifest], records: Records, held: Collection[str] = ()) -> Sorted:
    """Sort today's runs by what a launch does with them. `held`: runs whose task may still go on."""
    new: list[Manifest] = []
    missing: list[Manifest] = []
    retry: list[Manifest] = []
    stay: list[Manifest] = []
    for manifest in today:
        state = records.get(manifest.id).state
        if manifest.id in held:
            stay.append(manifest)
        elif state is State.INTERRUPTED:
            retry.append(manifest)
        elif state in (State.PLANNED, State.BLOCKED):
            (missing if manifest.id in kept else new).append(manifest)
        else:
            stay.append(manifest)
    asked = {manifest.id for manifest in today}
    return Sorted(
        new=tuple(new),
        missing=tuple(missing),
        retry=tuple(retry),
        kept=tuple(stay),
        orphans=tuple(run_id for run_id in kept if run_id not in asked and run_id not in records.orphans),
        revived=tuple(sorted(asked & records.orphans)),
    )


def tell_waiting(waiting: Iterable[Waiting]) -> list[str]:
    """Return a sentence for each grid that runs wait for: "3 runs wait for results of stl_single"."""
    counts = Counter(query.grid for item in waiting for query in item.missing.values())
    return [f"{count} run{'s wait' if count > 1 else ' waits'} for results of {grid}" for grid, count in sorted(counts.items())]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is to be submitted, and what its next attempt gets."""

    manifest: Manifest
    resources: Resources
    overrides: Mapping[str, Any] = {}
    """Dotted runtime keys that the attempt sets."""


def make_jobs(wanted: Iterable[Wanted], records: Records, resume: Mapping[str, str]) -> list[Job]:
    """Allot the next attempt number to each run; `resume` names the attempt folder to continue from."""
    return [
        Job(
            row=Row(
                run=one.manifest.id,
                attempt=records.get(one.manifest.id).attempt + 1,
                resume=resume.get(one.manifest.id, ""),
                config=dict(one.overrides),
            ),
            resources=one.resources,
            prepare=one.manifest.prepare,
        )
        for one in wanted
    ]


def last_resources(manifest: Manifest, records: Records) -> Resources:
    """Return what a run asked for when it was taken last, or what its manifest says; what a person asked for since comes first."""
    record = records.get(manifest.id)
    if record.asked:
        return msgspec.convert(record.asked, Resources)
    tokens = (record.token, record.current.token if record.current else "")
    taken = (one for token in tokens if (one := records.submissions.get(token)) and one.resources and not one.refused)
    submission = next(taken, None)
    return msgspec.convert(submission.resources, Resources) if submission else manifest.resources


def want_again(manifest: Manifest, records: Records) -> Wanted:
    """Return what an interrupted run gets that is launched again: what the grid file says, and no less than a policy raised it to."""
    before, today = last_resources(manifest, records), manifest.resources
    raised = {"mem_gb": max(before.mem_gb, today.mem_gb), "time_min": max(before.time_min, today.time_min)}
    overrides = records.get(manifest.id).overrides
    return Wanted(manifest=manifest, resources=msgspec.structs.replace(today, larger_gpu=before.larger_gpu, **raised), overrides=overrides)


def typical_runtime_min(records: Iterable[Record]) -> float | None:
    """Return the median runtime of completed runs [minutes]; None before any completed."""
    times = [record.spent_s / 60 for record in records if record.state is State.COMPLETED and record.attempts]
    return median(times) if times else None


def free_slots(records: Records, live_tasks: Mapping[str, int], max_parallel: int) -> int:
    """Return how many more runs may hold resources: max_parallel less what open submissions may take."""
    return max(0, max_parallel - sum(taken_slots(records, live_tasks).values()))


def taken_slots(records: Records, live_tasks: Mapping[str, int]) -> dict[str, int]:
    """Return token → runs that this submission holds or may start at once.

    `live_tasks` is token → tasks that the scheduler has not ended. Tasks count, not runs: one that finds its run
    taken holds resources too, until it has ended. A submission that the scheduler did not name counts by its runs.
    """
    taken = {}
    for token, submission in records.submissions.items():
        if submission.refused:
            continue
        runs = sum(_waits_in(records.get(run_id), attempt) for run_id, attempt in submission.runs)
        could_run = live_tasks[token] * submission.at_a_time if token in live_tasks else runs
        if could_run:
            taken[token] = min(submission.max_parallel, could_run)
    return taken


def _waits_in(record: Record, attempt: int) -> bool:
    return record.is_alive and record.attempt == attempt
