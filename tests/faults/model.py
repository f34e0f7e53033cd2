"""A model of Slurm: a controller, its accounting and its nodes, with the faults that real ones have; it prints what the real one prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.cluster.scheduler import ArrayRequest, TaskState
from orchestrator.store.layout import SubmissionPaths
from orchestrator.store.states import Cause
from orchestrator.worker.place import Place
from tests.faults.computing import Worker

WAITING, RUNNING, ENDED = TaskState.WAITING, TaskState.RUNNING, TaskState.ENDED
STRANGER = "stranger"
"""Name of a job of somebody else: whatever happens to us, nothing may happen to it."""
REQUEUE_DELAY_S = 12.0
"""After a requeue a task waits, for the reason BeginTime."""


@dataclass
class Task:
    """One task of an array, as the controller knows it."""

    index: int
    submitted_at: float
    state: TaskState = WAITING
    word: str = "PENDING"
    reason: str = "None"
    waited: str = "None"
    """The last reason why it waited; accounting keeps it."""
    by: str = ""
    """Who cancelled it."""
    exit: str = "0:0"
    node: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    begin_at: float = 0.0
    restarts: int = 0
    alone: bool = False
    """It was started or requeued, and has a line of its own."""
    forgotten: bool = False
    """Taken out of the queue one by one: neither queue nor accounting keeps a record."""
    worker: Worker | None = None


@dataclass
class Job:
    """An array."""

    id: int
    token: str
    throttle: int
    folder: Path
    tasks: list[Task]
    fenced: bool = True
    """-d singleton: it waits until every earlier job of its name has ended."""
    closed: list[Task] = field(default_factory=list)
    """Accounting's records of starts that a requeue ended."""

    @property
    def lives(self) -> bool:
        return any(task.state is not ENDED for task in self.tasks)

    @property
    def runs(self) -> bool:
        return any(task.state is RUNNING for task in self.tasks)


@dataclass
class Cluster:
    """The whole place; `tick` lets time pass. It can be pickled."""

    now: float
    jobs: list[Job] = field(default_factory=list)
    zombies: list[Worker] = field(default_factory=list)
    """Workers that still write though their task is lost."""
    inbox: list[ArrayRequest] = field(default_factory=list)
    """Requests that a frozen controller carries out when it thaws."""
    next_id: int = 101
    capacity: int = 6
    run_s: float = 10.0
    queue_keeps_s: float = 40.0
    """MinJobAge: how long the queue lists what has ended."""
    lag_s: float = 0.0
    """How far the accounting is behind."""
    controller_up: bool = True
    accounting_up: bool = True
    cut_lists: bool = False
    """squeue prints lists of tasks in 64 bytes."""
    torn: set[tuple[int, int]] = field(default_factory=set)
    """Tasks that the accounting leaves out of its next answer."""
    pid: int = 1000
    twice: list[str] = field(default_factory=list)
    """Tokens of which two arrays ran at once."""

    def take(self, request: ArrayRequest) -> Job:
        """Put an array into the queue."""
        tasks = [Task(index=index, submitted_at=self.now) for index in range(request.tasks)]
        self.jobs.append(Job(self.next_id, request.token, request.throttle, request.folder, tasks))
        self.next_id += 1
        return self.jobs[-1]

    def forget(self, job: Job, *, stranger: bool) -> None:
        """Crash before the job's state is saved: it is gone, and the next job gets its id, a stranger's or one of ours."""
        self.jobs.remove(job)
        self.next_id = job.id
        if stranger:
            task = Task(index=0, submitted_at=self.now, state=RUNNING, word="RUNNING", started_at=self.now, node="n9", alone=True)
            self.jobs.append(Job(job.id, STRANGER, 1, job.folder, [task], fenced=False))
            self.next_id += 1

    def tick(self, seconds: float) -> None:
        """Let time pass: workers compute, ended tasks are noted, waiting ones start."""
        self.now += seconds
        self.torn.clear()
        for worker in [*self.zombies, *(task.worker for _, task in self.running() if task.worker)]:
            worker.step(self.now)
        self.zombies = [worker for worker in self.zombies if not worker.left]
        for _, task in list(self.running()):
            if task.worker and task.worker.left:
                self.end(task, "COMPLETED")
        if self.controller_up:
            while self.inbox:
                self.take(self.inbox.pop(0))
            self._start_tasks()

    def running(self) -> Iterator[tuple[Job, Task]]:
        return ((job, task) for job in self.jobs for task in job.tasks if task.state is RUNNING and job.token != STRANGER)

    def waiting(self) -> Iterator[tuple[Job, Task]]:
        return ((job, task) for job in self.jobs for task in job.tasks if task.state is WAITING)

    @property
    def harmed(self) -> int:
        """How many jobs of somebody else were touched."""
        return sum(job.token == STRANGER and job.tasks[0].state is not RUNNING for job in self.jobs)

    def find(self, job_id: int) -> Job | None:
        return next((job for job in self.jobs if job.id == job_id), None)

    def end(self, task: Task, word: str, *, exit: str = "0:0", by: str = "", reason: str = "None") -> None:
        """Write down the end of a task."""
        task.state, task.word, task.exit, task.by, task.reason = ENDED, word, exit, by, reason
        task.ended_at, task.worker = self.now, None

    def requeue(self, job: Job, task: Task, word: str) -> None:
        """End a start of a task with `word`, and put the task back into the queue."""
        job.closed.append(replace(task, state=ENDED, word=word, ended_at=self.now, worker=None))
        task.state, task.word, task.reason, task.waited, task.node, task.worker = WAITING, "PENDING", "BeginTime", "BeginTime", "", None
        task.started_at, task.submitted_at, task.begin_at = None, self.now, self.now + REQUEUE_DELAY_S
        task.restarts, task.alone = task.restarts + 1, True

    def preempt(self, job: Job, task: Task, *, requeue: bool, warned: bool) -> None:
        """Take the node away for a more urgent job."""
        if task.worker and warned:
            task.worker.terminate(self.now)
        if requeue:
            self.requeue(job, task, "PREEMPTED")
        else:
            self.end(task, "PREEMPTED")

    def lose_node(self, job: Job, task: Task, *, requeue: bool, zombie: bool) -> None:
        """Lose sight of a node; its processes may go on."""
        if task.worker and zombie:
            self.zombies.append(task.worker)
        if requeue:
            self.requeue(job, task, "NODE_FAIL")
        else:
            self.end(task, "NODE_FAIL", exit="1:0")

    def kill_for_memory(self, task: Task) -> None:
        self.end(task, "OUT_OF_MEMORY", exit="0:125", reason="OutOfMemory")

    def time_out(self, task: Task) -> None:
        if task.worker:
            task.worker.terminate(self.now, Cause.TIMEOUT)
        self.end(task, "TIMEOUT", reason="TimeLimit")

    def scancel(self, job: Job, indexes: set[int] | None = None, *, by: str = "0") -> None:
        """Cancel tasks, None: all. What waits and is taken out while the rest goes on leaves no record at all."""
        chosen = [task for task in job.tasks if task.state is not ENDED and (indexes is None or task.index in indexes)]
        kept = [task for task in job.tasks if task not in chosen and task.state is not ENDED]
        for task in chosen:
            if task.worker:
                task.worker.terminate(self.now)
            task.forgotten = task.state is WAITING and not task.alone and bool(kept)
            self.end(task, "CANCELLED", by=by)

    def _start_tasks(self) -> None:
        for job in sorted(self.jobs, key=lambda one: one.id):
            blocked = job.fenced and any(one.lives for one in self.jobs if one.token == job.token and one.id < job.id)
            for task in job.tasks:
                if task.state is WAITING:
                    task.reason = self._obstacle(job, task, blocked=blocked)
                    if task.reason == "None":
                        self._start(job, task)
                    else:
                        task.waited = task.reason

    def _obstacle(self, job: Job, task: Task, *, blocked: bool) -> str:
        if blocked:
            return "Dependency"
        if task.begin_at > self.now:
            return "BeginTime"
        if sum(one.state is RUNNING for one in job.tasks) >= job.throttle:
            return "JobArrayTaskLimit"
        return "Resources" if sum(1 for _ in self.running()) >= self.capacity else "None"

    def _start(self, job: Job, task: Task) -> None:
        if any(other.runs for other in self.jobs if other.token == job.token and other is not job):
            self.twice.append(job.token)
        self.pid += 1
        task.state, task.word, task.started_at, task.alone = RUNNING, "RUNNING", self.now, True
        task.node = f"n{self.pid % 4 + 1}"
        place = Place(index=task.index, restart=task.restarts, job_id=str(job.id))
        task.worker = Worker(SubmissionPaths(job.folder), place, task.node, self.pid, self.run_s)
        task.worker.step(self.now)
