"""Why runs wait, for Slurm or for mrsweep itself, and what would start them sooner (pure)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.grid.manifest import Manifest
from orchestrator.results.failures import first_line
from orchestrator.results.reasons import Told, explain_reason
from orchestrator.store.records import Record, Records, SubmissionRecord
from orchestrator.store.states import State

WATCH = ("watch GRID",)


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """Why the watchdog leaves a run alone for now."""

    reason: str
    due: float | None = None
    """When it is taken up again [s since 1970]; None: never, a person has to ask."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside records and queue; the defaults are those of a grid of which nothing else is known."""

    slots: int = 1
    """Runs that may compute at once."""
    bound: str = "max_parallel"
    """What makes them so few."""
    free: int = 1
    """How many more may be submitted now."""
    launched: frozenset[str] | None = None
    """Runs of the newest launch; None: all of them."""
    again: frozenset[str] = frozenset()
    """Runs that ended badly and are taken up again by themselves."""
    delays: Mapping[str, Delay] = {}
    """By run."""
    patience_s: float = math.inf
    """What could be done for so long, and was not, nobody does."""
    partition_limit_min: float | None = None

    @property
    def given_up(self) -> frozenset[str]:
        """Runs that nothing takes up again, unless a person asks."""
        return frozenset(run_id for run_id, delay in self.delays.items() if delay.due is None)


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Why some runs do not start."""

    source: str
    """slurm, or mrsweep: whose word the reason is."""
    reason: str
    """Slurm's own word, or ours: slots, delay, paused, unwatched …"""
    sentence: str
    advice: str = ""
    """What would start them sooner."""
    commands: tuple[str, ...] = ()
    """Verbs of mrsweep that do it."""
    runs: int = 1


class Explainer:
    """Says of each run why it waits; equal answers are the same object."""

    def __init__(self, grid: str, records: Records, snapshot: Snapshot, around: Surroundings) -> None:
        self.grid, self.records, self.snapshot, self.around = grid, records, snapshot, around
        self._told: dict[tuple[str, Resources], Wait] = {}
        self._asked: dict[str, Resources] = {}
        self._listed: dict[str, TaskRow | None] = {}
        submitted = max((submission.at for submission in records.submissions.values()), default=0.0)
        self._busy_at = max(records.looked_at, submitted)
        """When somebody did something for the grid."""

    def explain(self, manifest: Manifest, record: Record) -> Wait | None:
        """Return why a run waits; None for one that does not, or of which nothing is known."""
        if record.state is State.QUEUED:
            return self._queued(manifest, record)
        if record.state is State.HELD:
            return self._paused() or self._ours(
                "held", first_line(record.reason) or "it is kept back", "let it go", ("launch GRID --resume",)
            )
        if record.id in self.around.again or (record.state is State.INTERRUPTED and record.id not in self.around.given_up):
            return self._held_task(record) or self._open(record, "is taken up again")
        if record.state is State.PLANNED and record.id not in self.records.orphans:
            return self._unlaunched(record) or self._open(record, "is submitted")
        return None

    def _queued(self, manifest: Manifest, record: Record) -> Wait | None:
        submission = self.records.submissions.get(record.token)
        if submission is not None and submission.is_open:
            return self._ours("unanswered", "whether sbatch took it is not known yet", "a watch finds out", WATCH)
        row = self._row(record, submission)
        if row is None:
            return None
        if row.state is not TaskState.WAITING:
            return self._ours("turn", "its workers compute other runs first") if _is_listed(submission) else None
        return self._slurm(row.reason, self._resources(manifest, submission))

    def _row(self, record: Record, submission: SubmissionRecord | None) -> TaskRow | None:
        """Return the task that a queued run waits for; of a list the one that is nearest to a start."""
        if not _is_listed(submission):
            return self.snapshot.task(record.token, record.index)
        if record.token not in self._listed:
            rows = [row for row in self.snapshot.tasks.get(record.token, {}).values() if row.state is not TaskState.ENDED]
            self._listed[record.token] = min(rows, key=lambda row: row.state is TaskState.WAITING, default=None)
        return self._listed[record.token]

    def _resources(self, manifest: Manifest, submission: SubmissionRecord | None) -> Resources:
        if submission is None or not submission.resources:
            return manifest.resources
        if submission.token not in self._asked:
            self._asked[submission.token] = msgspec.convert(submission.resources, Resources)
        return self._asked[submission.token]

    def _slurm(self, reason: str, asked: Resources) -> Wait:
        if (reason, asked) not in self._told:
            told = explain_reason(reason, asked, partition_limit_min=self.around.partition_limit_min)
            self._told[reason, asked] = self._wait("slurm", reason, told)
        return self._told[reason, asked]

    def _unlaunched(self, record: Record) -> Wait | None:
        if self.around.launched is None or record.id in self.around.launched:
            return None
        return self._ours(
            "unlaunched", "it was expanded, and never launched", "launch it", (f"launch grids/{self.grid.partition('@')[0]}.yaml",)
        )

    def _held_task(self, record: Record) -> Wait | None:
        attempt = record.current
        row = self.snapshot.task(attempt.token, attempt.index) if attempt is not None else None
        alive = row is not None and row.state is not TaskState.ENDED
        return self._ours("requeued", "Slurm still holds its task, and may start it again itself") if alive else None

    def _open(self, record: Record, done: str) -> Wait:
        """Tell of a run that the watchdog may submit: it is paused, waits for its time or for a slot, or for somebody to watch."""
        paused, delay = self._paused(), self.around.delays.get(record.id)
        if paused is not None:
            return paused
        if delay is not None and delay.due is not None:
            left_min = math.ceil(max(0.0, delay.due - self.snapshot.taken_at) / 60)
            return self._ours("delay", f"{delay.reason}; it {done} within {left_min} min")
        idle = self.snapshot.taken_at - max(self._busy_at, record.since) > self.around.patience_s
        if self.around.free <= 0:
            return self._full(done)
        if idle:
            return self._ours("unwatched", f"nobody watches: a slot is free, and it {done} by a watch", "watch it", WATCH)
        return self._ours("next", f"it {done} in the next round of the watch")

    def _full(self, done: str) -> Wait:
        sentence = f"all {self.around.slots:,} slots ({self.around.bound}) are taken; it {done} by a watch when one is free"
        grid_says = self.around.bound == "max_parallel"
        return self._ours("slots", sentence, "raise resources.max_parallel in the grid file, and launch it again" if grid_says else "")

    def _paused(self) -> Wait | None:
        pause = self.records.paused
        if pause is None:
            return None
        return self._ours(
            "paused", f"the grid is paused: {first_line(pause.reason)}", "mend the cause, then lift the pause", ("launch GRID --resume",)
        )

    def _ours(self, reason: str, sentence: str, advice: str = "", commands: tuple[str, ...] = ()) -> Wait:
        return self._wait("mrsweep", reason, Told(sentence=sentence, advice=advice, commands=commands))

    def _wait(self, source: str, reason: str, told: Told) -> Wait:
        commands = tuple(command.replace("GRID", self.grid) for command in told.commands)
        return Wait(source=source, reason=reason, sentence=told.sentence, advice=told.advice, commands=commands)


def _is_listed(submission: SubmissionRecord | None) -> bool:
    return submission is not None and submission.listed


def count_waits(waits: Iterable[Wait]) -> tuple[Wait, ...]:
    """Return each reason once, with the number of runs that wait for it, the most frequent first."""
    counts: dict[tuple[str, str, str], list[Wait]] = {}
    for wait in waits:
        counts.setdefault((wait.source, wait.reason, wait.sentence), []).append(wait)
    ranked = sorted(counts.values(), key=lambda same: -len(same))
    return tuple(msgspec.structs.replace(same[0], runs=len(same)) for same in ranked)
