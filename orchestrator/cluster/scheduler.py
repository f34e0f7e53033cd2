"""The seam to a scheduler: what launch and watchdog ask of it, whichever it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Protocol

import msgspec

from orchestrator.cluster.resources import Resources


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the cluster accepts."""

    max_array_size: int
    """Largest number of tasks of one array (Slurm's MaxArraySize is the largest index + 1)."""
    max_submit: int | None = None
    """Tasks of this user that may be queued at once; None: no limit known."""
    at_once: int | None = None
    """Runs that this place computes at once; None: as many as the grid allows."""
    partition_limit_min: float | None = None
    """Longest time a task may ask for [minutes]; None: no limit known."""
    node_mem_gb: float | None = None
    """Memory of the largest node that a task may get [GB]; None: not known."""
    nodes: int | None = None
    """Nodes that a task may get; None: not known."""


class ArrayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One array (or one set of local workers) to be submitted."""

    token: str
    """Name of the job and of the submission's folder."""
    tasks: int
    throttle: int
    """Tasks that may run at once."""
    resources: Resources
    """What one task asks for."""
    folder: Path
    """The submission's folder; it exists, and so does `folder/logs`."""
    command: tuple[str, ...]
    """The worker's command line."""
    after: tuple[str, ...] = ()
    """Job ids that must end well first (prepare commands)."""
    exclude: tuple[str, ...] = ()
    """Nodes to avoid."""
    begin_in_s: int | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The scheduler took a request."""

    job_id: str
    cluster: str = ""


class TaskState(Enum):
    """What a scheduler says of one task, reduced to what decisions need."""

    WAITING = "waiting"  # in the queue, also requeued or held
    RUNNING = "running"  # holds resources, completing included
    ENDED = "ended"  # terminal word, and no newer record
    UNCLEAR = "unclear"  # an unknown word: never taken for an end


class TaskRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One task in a scheduler's answer, the newest of its records."""

    token: str
    job_id: str
    index: int
    state: TaskState
    word: str
    """The scheduler's own word, first token only: COMPLETED, OUT_OF_MEMORY …"""
    reason: str = ""
    """Why it waits, or by whom it was cancelled."""
    exit_code: int | None = None
    signal: int | None = None
    node: str = ""
    submitted_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    restarts: int = 0
    oom: bool = False
    """A step or the job row says that the kernel killed for memory."""
    source: str = ""
    """squeue, sacct or proc."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that a scheduler said in one look."""

    taken_at: float
    queue_ok: bool
    """The list of live tasks is trustworthy."""
    accounting_ok: bool
    """The list of ended tasks is trustworthy."""
    tasks: dict[str, dict[int, TaskRow]]
    """token → index → row."""
    twins: tuple[TaskRow, ...] = ()
    """Rows of a second job with the same token; one of the two is to be cancelled."""
    notes: tuple[str, ...] = ()
    """What did not answer, or which words were unknown."""

    def task(self, token: str, index: int) -> TaskRow | None:
        """Return the row of one task, None when no source names it."""
        return self.tasks.get(token, {}).get(index)


class Verdict(Enum):
    """What a fact means for grids."""

    OK = "ok"
    NOTE = "note"  # works, with a difference worth knowing
    BAD = "bad"  # something will not work


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One line of doctor's report."""

    name: str
    value: str
    verdict: Verdict = Verdict.OK
    advice: str = ""


class Scheduler(Protocol):
    """A place where workers run."""

    name: str
    """slurm or local."""

    def limits(self) -> Limits:
        """Read what the cluster accepts."""
        ...

    def ask_ahead(self) -> None:
        """Ask for what `limits` and `check` need, without waiting for the answers."""
        ...

    def check(self, resources: Resources) -> tuple[str, ...]:
        """Raise ProfileError for what no node can give; return notes for the plan: profile lines that are overruled."""
        ...

    def preview(self, request: ArrayRequest) -> str:
        """Return the text that would be submitted."""
        ...

    def submit(self, request: ArrayRequest) -> Accepted:
        """Submit; raise SubmitRefused when it said no, SubmitUnknown when it did not say."""
        ...

    def snapshot(
        self, tokens: Iterable[str], *, since: float, now: float, open_tasks: Mapping[str, Collection[int]] | None = None
    ) -> Snapshot:
        """Look once at all tasks of `tokens`, submitted at or after `since`.

        `open_tasks`: token → indexes whose end the caller does not know; the second source is asked only when one
        of them is not alive in the first. None: it is always asked.
        """
        ...

    def count_queued(self) -> int:
        """Return how many tasks of this user are in the queue, of other grids and other programs too."""
        ...

    def cancel(self, tasks: Iterable[TaskRow]) -> None:
        """End these tasks."""
        ...

    def hold(self, tasks: Iterable[TaskRow]) -> None:
        """Keep these waiting tasks from starting."""
        ...

    def lift_fences(self, jobs: Mapping[str, tuple[str, ...]]) -> None:
        """Take what keeps a twin waiting from jobs that are surely the first of their names; where that fails they only start later.

        jobs: job id → ids of the jobs that must end well first.
        """
        ...

    def set_throttle(self, job_id: str, tasks: int) -> None:
        """Let so many tasks of an array run at once from now on; raises ChangeRefused or, when it did not say, ClusterError."""
        ...

    def facts(self) -> tuple[Fact, ...]:
        """Return what doctor says of this place."""
        ...
