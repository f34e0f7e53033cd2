"""A scheduler that does what a test tells it to: it keeps what it took, and can refuse, fall silent, or not know its queue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import Accepted, ArrayRequest, Limits, Snapshot, TaskRow, TaskState
from orchestrator.store.errors import ChangeRefused, ClusterError, SubmitRefused, SubmitUnknown


class Answer(Enum):
    """How the stand-in takes what it is asked to do."""

    YES = auto()
    NO = auto()
    LOST = auto()  # it does it, and its answer does not arrive
    SILENCE = auto()  # it never heard of it


@dataclass
class Job:
    """An array that the scheduler holds."""

    id: str
    request: ArrayRequest
    rows: dict[int, TaskRow]


class StandIn:
    """Implements Scheduler. Its jobs wait until the test moves them; of two with one token the second is the twin."""

    name = "slurm"

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.requests: list[ArrayRequest] = []
        """What was asked to be submitted, taken or not."""
        self.cancelled: list[tuple[str, int]] = []
        """(job id, index) of each task that was to be cancelled; its row stays as it is."""
        self.cancel_calls = 0
        self.throttles: list[tuple[str, int]] = []
        """(job id, tasks) of each change that was asked for."""
        self.lifted: dict[str, tuple[str, ...]] = {}
        """Job id → the jobs it still waits for, of each job whose fence was lifted."""
        self.held: set[tuple[str, int]] = set()
        """(job id, index) of each task that is held."""
        self.looks = 0
        self.queue_ok = True
        self.on_submit = self.on_throttle = Answer.YES
        self.job_id = "{}"
        """What job ids look like."""
        self.max_array_size = 1001
        self.node_mem_gb, self.nodes = 512.0, 8
        self.before_act: Callable[[], object] = lambda: None
        self.after_look: Callable[[], object] = lambda: None

    def move(self, job: Job, *indexes: int, state: TaskState, word: str = "", reason: str = "") -> None:
        """Put tasks of a job, without `indexes` all, into a state; an end lies long in the past."""
        for index in indexes or job.rows:
            job.rows[index] = msgspec.structs.replace(job.rows[index], state=state, word=word or state.name, reason=reason)

    def limits(self) -> Limits:
        return Limits(max_array_size=self.max_array_size, node_mem_gb=self.node_mem_gb, nodes=self.nodes)

    def ask_ahead(self) -> None:
        pass

    def check(self, resources: Resources) -> tuple[str, ...]:
        return ()

    def preview(self, request: ArrayRequest) -> str:
        return f"#!/bin/sh\n# {request.token}\n"

    def submit(self, request: ArrayRequest) -> Accepted:
        self.before_act()
        self.requests.append(request)
        if self.on_submit is Answer.NO:
            raise SubmitRefused("the queue is closed.")
        if self.on_submit is Answer.SILENCE:
            raise SubmitUnknown("sbatch timed out.")
        job = self.take(request)
        if self.on_submit is Answer.LOST:
            raise SubmitUnknown("sbatch timed out.")
        return Accepted(job_id=job.id)

    def take(self, request: ArrayRequest) -> Job:
        """Put a request into the queue."""
        job_id = self.job_id.format(len(self.jobs) + 1)
        waiting = TaskRow(token=request.token, job_id=job_id, index=0, state=TaskState.WAITING, word="PENDING", source="squeue")
        rows = {index: msgspec.structs.replace(waiting, index=index) for index in range(request.tasks)}
        self.jobs.append(Job(job_id, request, rows))
        return self.jobs[-1]

    def snapshot(
        self, tokens: Iterable[str], *, since: float, now: float, open_tasks: Mapping[str, Collection[int]] | None = None
    ) -> Snapshot:
        self.looks += 1
        first: dict[str, Job] = {}
        twins: list[TaskRow] = []
        for job in self.jobs:
            if first.setdefault(job.request.token, job) is not job:
                twins += job.rows.values()
        tasks = {token: dict(first[token].rows) for token in tokens if token in first}
        seen = Snapshot(taken_at=now, queue_ok=self.queue_ok, accounting_ok=True, tasks=tasks, twins=tuple(twins))
        self.after_look()
        return seen

    def count_queued(self) -> int:
        return sum(row.state is not TaskState.ENDED for job in self.jobs for row in job.rows.values())

    def cancel(self, tasks: Iterable[TaskRow]) -> None:
        self.before_act()
        self.cancel_calls += 1
        self.cancelled += [(row.job_id, row.index) for row in tasks]

    def hold(self, tasks: Iterable[TaskRow]) -> None:
        self.before_act()
        self._mark(tasks, reason="JobHeldUser")
        self.held |= {(row.job_id, row.index) for row in tasks}

    def _mark(self, tasks: Iterable[TaskRow], *, reason: str) -> None:
        for row in tasks:
            job = next(job for job in self.jobs if job.id == row.job_id)
            job.rows[row.index] = msgspec.structs.replace(job.rows[row.index], reason=reason)

    def lift_fences(self, jobs: Mapping[str, tuple[str, ...]]) -> None:
        self.lifted.update(jobs)

    def set_throttle(self, job_id: str, tasks: int) -> None:
        self.before_act()
        self.throttles.append((job_id, tasks))
        if self.on_throttle is Answer.NO:
            raise ChangeRefused("ordinary users may not change it.")
        if self.on_throttle is Answer.LOST:
            raise ClusterError("scontrol timed out.")

    def facts(self) -> tuple[()]:
        return ()
