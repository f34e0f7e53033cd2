"""The model as a scheduler: squeue, sacct, scancel and scontrol print what Slurm prints, and the product's own parser reads it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Protocol

from orchestrator.cluster.command import Answer
from orchestrator.cluster.profile import Profile
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.sacct import read_id
from orchestrator.cluster.scheduler import Accepted, ArrayRequest, Limits
from orchestrator.cluster.slurm import SlurmScheduler
from orchestrator.store.errors import SubmitRefused, SubmitUnknown
from tests.faults.model import ENDED, WAITING, Cluster, Job, Task

PRINTED = 64
"""Bytes of a list of tasks that squeue prints, without SLURM_BITSTR_LEN=0."""


class Caller(Protocol):
    """Who asks the scheduler."""

    def on_call(self, operation: str) -> str:
        """Return how this call is answered: yes, no, lost, silence, late, forgotten, reused."""
        ...

    def after_call(self) -> None:
        """Hear that the scheduler has done what it was asked."""
        ...

    def on_nodes(self) -> AbstractContextManager[None]:
        """Return what surrounds that which others do."""
        ...


class Desk(SlurmScheduler):
    """Asks the model, by the product's own commands, and lets the product's own parser read the answers."""

    def __init__(self, profile: Profile, cluster: Cluster, caller: Caller, *, max_array: int = 1001) -> None:
        super().__init__(profile, environment={})
        self.cluster, self._caller, self._max_tasks = cluster, caller, max_array

    def limits(self) -> Limits:
        return Limits(max_array_size=self._max_tasks)

    def ask_ahead(self) -> None:
        pass

    def check(self, resources: Resources) -> tuple[str, ...]:
        return ()

    def preview(self, request: ArrayRequest) -> str:
        return f"#!/bin/sh\n# {request.token}\n"

    def facts(self) -> tuple[()]:
        return ()

    def submit(self, request: ArrayRequest) -> Accepted:
        how = self._caller.on_call("sbatch")
        if how == "late":
            self.cluster.controller_up = False
            self.cluster.inbox.append(request)
        if not self.cluster.controller_up or how == "silence":
            raise SubmitUnknown(f"{request.token}: sbatch timed out.")
        if how == "no":
            raise SubmitRefused(f"{request.token}: sbatch refused: the queue is closed.")
        job = self.cluster.take(request)
        if how in ("forgotten", "reused"):
            self.cluster.forget(job, stranger=how == "forgotten")
        self._caller.after_call()
        if how == "lost":
            raise SubmitUnknown(f"{request.token}: sbatch timed out.")
        return Accepted(job_id=str(job.id))

    def _ask(self, *argv: str, deadline_s: float = 30.0) -> Answer:
        how = self._caller.on_call(argv[0])
        if how == "silence" or not (self.cluster.accounting_up if argv[0] == "sacct" else self.cluster.controller_up):
            return Answer(command=argv[0], code=1, out="", err=f"{argv[0]}: error: Socket timed out on send/recv operation")
        if how == "no":
            return Answer(command=argv[0], code=1, out="", err=f"{argv[0]}: error: Access/permission denied")
        out = {"squeue": self._squeue, "sacct": self._sacct, "scancel": self._scancel, "scontrol": self._scontrol}[argv[0]](argv)
        self._caller.after_call()
        if how == "lost":
            return Answer(command=argv[0], code=1, out="", err=f"{argv[0]}: error: Socket timed out on send/recv operation")
        return Answer(command=argv[0], code=0, out=out, err="")

    def _squeue(self, argv: tuple[str, ...]) -> str:
        if "--array" in argv:
            return "".join(f"{job.id}_{task.index}\n" for job, task in [*self.cluster.waiting(), *self.cluster.running()])
        return "".join(queue_lines(self.cluster))

    def _sacct(self, argv: tuple[str, ...]) -> str:
        return "".join(accounting_lines(self.cluster))

    def _scancel(self, argv: tuple[str, ...]) -> str:
        chosen: dict[int, set[int]] = defaultdict(set)
        for text in argv[2:]:
            ids = read_id(text)
            assert ids is not None, text
            chosen[int(ids.job_id)] |= set(ids.indexes)
        for job_id, indexes in chosen.items():
            job = self.cluster.find(job_id)
            if job is not None:
                with self._caller.on_nodes():
                    self.cluster.scancel(job, indexes)
        return ""

    def _scontrol(self, argv: tuple[str, ...]) -> str:
        values = dict(text.partition("=")[::2] for text in argv[2:])
        for job_id in values["JobId"].split(","):
            job = self.cluster.find(int(job_id))
            if job is not None and "Dependency" in values:
                job.fenced = False
            if job is not None and "ArrayTaskThrottle" in values:
                job.throttle = int(values["ArrayTaskThrottle"])
        return ""


def queue_lines(cluster: Cluster) -> Iterator[str]:
    """Yield what `squeue --states=all` prints: one line for the waiting tasks of an array that never started, one for each other."""
    for job in cluster.jobs:
        together = [task for task in job.tasks if task.state is WAITING and not task.alone]
        for reason, tasks in groupby(together, key=lambda task: task.reason):
            yield _queue_line(job, f"{job.id}_[{_listed([task.index for task in tasks], cluster, job)}]", together[0], reason)
        for task in job.tasks:
            if task in together or (task.state is ENDED and not _still_listed(task, cluster)):
                continue
            yield _queue_line(job, f"{job.id}_{task.index}", task, task.reason)


def _still_listed(task: Task, cluster: Cluster) -> bool:
    return not task.forgotten and task.ended_at is not None and cluster.now - task.ended_at < cluster.queue_keeps_s


def _queue_line(job: Job, name: str, task: Task, reason: str) -> str:
    start, end = _time(task.started_at, "N/A"), _time(task.ended_at, "N/A")
    return f"{name}|{task.word}|{task.submitted_at:.0f}|{start}|{end}|{task.node}|{reason}|{job.token}\n"


def _listed(indexes: list[int], cluster: Cluster, job: Job) -> str:
    text = ",".join(map(str, indexes))
    whole = f"{text}%{job.throttle}"
    return f"{text[: PRINTED // 16]}..." if cluster.cut_lists and len(indexes) > 1 else whole


def accounting_lines(cluster: Cluster) -> Iterator[str]:
    """Yield what `sacct --duplicates` prints: it lags, and leaves out what it is just writing."""
    for job in cluster.jobs:
        yield from (_record(job, task, f"{job.id}_{task.index}") for task in job.closed)
        together = [task.index for task in job.tasks if task.state is WAITING and not task.alone]
        if together:
            yield _record(job, job.tasks[together[0]], f"{job.id}_[{','.join(map(str, together))}%{job.throttle}]")
        for task in job.tasks:
            if task.index in together or task.forgotten or (job.id, task.index) in cluster.torn:
                continue
            yield from _lagging(job, task, cluster)


def _lagging(job: Job, task: Task, cluster: Cluster) -> Iterator[str]:
    name, seen_at = f"{job.id}_{task.index}", cluster.now - cluster.lag_s
    if cluster.lag_s and task.ended_at is not None and task.ended_at > seen_at:
        if task.started_at is not None and task.started_at <= seen_at:
            yield _fields(job, task, name, word="RUNNING", ended_at=None)
        return
    if cluster.lag_s and max(task.started_at or 0.0, task.submitted_at) > seen_at:
        return  # a requeued task whose new record is not written yet, or one that has just begun
    yield _record(job, task, name)


def _record(job: Job, task: Task, name: str) -> str:
    word = f"CANCELLED by {task.by}" if task.word == "CANCELLED" and task.by else task.word
    line = _fields(job, task, name, word=word, ended_at=task.ended_at)
    if task.started_at is None:
        return line
    ended_badly = re.match("TIMEOUT|CANCELLED|PREEMPTED|NODE_FAIL", word)
    step, code = ("CANCELLED", "0:15") if ended_badly else (word, task.exit)
    times = f"{task.started_at:.0f}|{task.started_at:.0f}|{_time(task.ended_at, 'Unknown')}"
    return f"{line}{name}.batch|{step}|{code}||{times}|{task.node}||batch\n"


def _fields(job: Job, task: Task, name: str, *, word: str, ended_at: float | None) -> str:
    times = f"{task.submitted_at:.0f}|{_time(task.started_at, 'Unknown')}|{_time(ended_at, 'Unknown')}"
    reason = "None" if task.started_at is None else task.waited
    return f"{name}|{word}|{task.exit}|0:0|{times}|{task.node or 'None assigned'}|{reason}|{job.token}\n"


def _time(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:.0f}"
