"""Slurm within its call budget: whoever only shows gets the last answer, with its age, while no look is free."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from orchestrator.cluster.call_budget import CallBudget, Spent
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import Accepted, ArrayRequest, Fact, Limits, Scheduler, Snapshot, TaskRow, Verdict
from orchestrator.store.files import read_json, remove_file, write_atomic

_KEPT_S = 7 * 86400.0


class CountedScheduler(Scheduler, Protocol):
    """A scheduler that knows which commands it called."""

    def take_calls(self) -> dict[str, int]:
        """Return which commands were called how often since this was asked last."""
        ...


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The last answer about a grid."""

    tokens: frozenset[str]
    """What was asked about."""
    snapshot: Snapshot


class BudgetedSlurm:
    """Implements Scheduler. reading: the caller only shows what it is told, and can do with an answer that is not new.

    submissions: the folder of the grid's submissions, which tells its answers from those of other grids.
    """

    name = "slurm"

    def __init__(self, scheduler: CountedScheduler, budget: CallBudget, *, submissions: Path, reading: bool) -> None:
        self._slurm = scheduler
        self._budget = budget
        self._seen = budget.seen_file(str(submissions.absolute()))
        self._reading = reading

    def snapshot(
        self, tokens: Iterable[str], *, since: float, now: float, open_tasks: Mapping[str, Collection[int]] | None = None
    ) -> Snapshot:
        """Look once, or, when the caller only reads and no look is free, return what was seen last and say so."""
        wanted = frozenset(tokens)
        if self._reading:
            wait_s = self._budget.try_look()
            if wait_s > 0:
                return last_answer(self._last(), wanted, now=now, wait_s=wait_s, refill_s=self._budget.refill_s)
        else:
            self._budget.look()
        snapshot = self._slurm.snapshot(wanted, since=since, now=now, open_tasks=open_tasks)
        self._count()
        self._keep(Seen(tokens=wanted, snapshot=snapshot))
        return snapshot

    def count_queued(self) -> int:
        """Return how many tasks of this user are in the queue; a look as well."""
        self._budget.look()
        queued = self._slurm.count_queued()
        self._count()
        return queued

    def limits(self) -> Limits:
        """Read what the cluster accepts."""
        limits = self._slurm.limits()
        self._count()
        return limits

    def ask_ahead(self) -> None:
        """Ask for what `limits` and `check` need, without waiting for the answers."""
        self._slurm.ask_ahead()

    def check(self, resources: Resources) -> tuple[str, ...]:
        """Raise ProfileError for what no node can give; return notes for the plan."""
        notes = self._slurm.check(resources)
        self._count()
        return notes

    def preview(self, request: ArrayRequest) -> str:
        """Return the text that would be submitted."""
        return self._slurm.preview(request)

    def submit(self, request: ArrayRequest) -> Accepted:
        """Submit; raise SubmitRefused when Slurm said no, SubmitUnknown when it did not say."""
        try:
            return self._slurm.submit(request)
        finally:
            self._count()

    def cancel(self, tasks: Iterable[TaskRow]) -> None:
        """End these tasks."""
        try:
            self._slurm.cancel(tasks)
        finally:
            self._count()

    def hold(self, tasks: Iterable[TaskRow]) -> None:
        """Keep these waiting tasks from starting, until they are released."""
        try:
            self._slurm.hold(tasks)
        finally:
            self._count()

    def lift_fences(self, jobs: Mapping[str, tuple[str, ...]]) -> None:
        """Take -d singleton from jobs."""
        self._slurm.lift_fences(jobs)
        self._count()

    def set_throttle(self, job_id: str, tasks: int) -> None:
        """Let so many tasks of an array run at once from now on."""
        try:
            self._slurm.set_throttle(job_id, tasks)
        finally:
            self._count()

    def facts(self) -> tuple[Fact, ...]:
        """Return what doctor says of the cluster, and what was asked of it lately."""
        try:
            facts = self._slurm.facts()
        finally:
            self._count()
        return (*facts, calls_fact(self._budget.spent()))

    def _count(self) -> None:
        self._budget.count(self._slurm.take_calls())

    def _last(self) -> Seen | None:
        try:
            return read_json(self._seen, Seen) if self._seen else None
        except OSError:
            return None

    def _keep(self, seen: Seen) -> None:
        """Remember an answer that holds something; it is derived, and whoever cannot write it looks again."""
        if self._seen and seen.snapshot.queue_ok:
            with contextlib.suppress(OSError):
                if not self._seen.exists():
                    _forget(self._seen.parent, before=seen.snapshot.taken_at - _KEPT_S)
                write_atomic(self._seen, msgspec.json.encode(seen), durable=False)


def _forget(folder: Path, *, before: float) -> None:
    """Remove answers about grids that nobody has looked at for long."""
    for path in folder.glob("seen-*.json"):
        if path.stat().st_mtime < before:
            remove_file(path)


def last_answer(seen: Seen | None, wanted: frozenset[str], *, now: float, wait_s: float, refill_s: float) -> Snapshot:
    """Return what was seen last as an answer about `wanted`, with a note on its age.

    Where it does not speak of all that is wanted it counts as an incomplete one, so that nobody takes silence for absence.
    """
    limit = f"looks are limited to one in {refill_s:g} s, the next is free in {wait_s:.0f} s"
    if seen is None:
        return Snapshot(taken_at=now, queue_ok=False, accounting_ok=False, tasks={}, notes=(f"the queue was not asked: {limit}",))
    taken_at = min(seen.snapshot.taken_at, now)  # a clock that was set back makes no answer of tomorrow
    whole = wanted <= seen.tokens
    return msgspec.structs.replace(
        seen.snapshot,
        taken_at=taken_at,
        queue_ok=seen.snapshot.queue_ok and whole,
        accounting_ok=seen.snapshot.accounting_ok and whole,
        tasks={token: rows for token, rows in seen.snapshot.tasks.items() if token in wanted},
        notes=(*seen.snapshot.notes, f"the queue is shown as it was {now - taken_at:.0f} s ago: {limit}"),
    )


def calls_fact(spent: Spent) -> Fact:
    """Return doctor's line on the budget."""
    if spent.note:
        advice = "status then asks the cluster each time it is called. Set XDG_STATE_HOME to a folder of your own to change that."
        return Fact(name="calls to Slurm", value=spent.note, verdict=Verdict.NOTE, advice=advice)
    told = ", ".join(f"{number} {command}" for command, number in spent.hour.items()) or "none"
    free = f"{max(0.0, spent.left):.0f} looks free, one more in {spent.refill_s:g} s"
    value = f"{told} in the last hour; {sum(spent.day.values())} in a day; {free}"
    return Fact(name="calls to Slurm", value=value)
