"""This machine as a scheduler: W detached workers a submission, known by their journals and by /proc."""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from orchestrator.cluster.command import clean_environment
from orchestrator.cluster.job_ids import local_job_id, read_job_id
from orchestrator.cluster.options import refuse_odd_text
from orchestrator.cluster.profile import Profile
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import Accepted, ArrayRequest, Fact, Limits, Snapshot, TaskRow, TaskState, Verdict
from orchestrator.cluster.workers import INDEX_VARIABLE, identity_of, journalled_workers, live_workers
from orchestrator.store.errors import SubmitRefused
from orchestrator.store.process import is_alive

if TYPE_CHECKING:
    from orchestrator.cluster.detached import DetachedExecutor

LOG = logging.getLogger(__name__)

_GPUS = "CUDA_VISIBLE_DEVICES"
_POLL_S = 0.05
_LARGEST_ARRAY = 1_000_000

_WAIT = 'for pid in $1; do tail --pid="$pid" -f /dev/null; done; sleep "$2"; shift 2; exec "$@"'
"""Waits for other workers to end, then for a time, then becomes the worker: same process, same session."""


class LocalScheduler:
    """Workers on this machine. submissions: the folder that holds the submissions' folders, by token.

    environment: what workers inherit, by default that of this process.
    """

    name = "local"

    def __init__(self, profile: Profile, submissions: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.profile = profile
        self._submissions = submissions.absolute()
        self._environment = clean_environment(os.environ if environment is None else environment)
        self._children: list[subprocess.Popen[bytes]] = []

    def limits(self) -> Limits:
        """No limit but one that no grid reaches: tasks beyond the workers are taken from the list."""
        at_once, memory_gb = self.profile.workers or len(os.sched_getaffinity(0)), psutil.virtual_memory().total / 2**30
        return Limits(max_array_size=_LARGEST_ARRAY, at_once=at_once, node_mem_gb=memory_gb)

    def ask_ahead(self) -> None:
        """Do nothing: this machine is asked as quickly as it is used."""

    def check(self, resources: Resources) -> tuple[str, ...]:
        """Refuse nothing, as nothing is reserved here; return a note where the machine has less than the runs ask for."""
        notes = []
        memory_gb = psutil.virtual_memory().total / 2**30
        if resources.nodes > 1:
            notes.append(f"resources.nodes is {resources.nodes}; local workers use this machine alone")
        if resources.mem_gb > memory_gb:
            notes.append(f"resources.mem_gb is {resources.mem_gb:g}; this machine has {memory_gb:.0f}, and holds nobody to it")
        if resources.gpus > len(self._gpus()):
            notes.append(f"resources.gpus is {resources.gpus}; this machine shows {len(self._gpus())}, runs get those")
        return tuple(notes)

    def workers(self, request: ArrayRequest) -> int:
        """Return how many workers the request gets: what the grid and the profile allow, and cores and GPUs suffice for."""
        needs = request.resources
        room = len(os.sched_getaffinity(0)) // max(1, needs.cpus)
        gpus = len(self._gpus())
        if needs.gpus and gpus:
            room = min(room, gpus // needs.gpus)
        return max(1, min(request.tasks, request.throttle, self.profile.workers or room))

    def preview(self, request: ArrayRequest) -> str:
        """Return the command lines of the workers, with what each finds in its environment."""
        refuse_odd_text(request)
        return "".join(self._line(request, index) for index in range(self.workers(request)))

    def submit(self, request: ArrayRequest) -> Accepted:
        """Start the workers and return at once; those that an earlier call for the same token started are left as they are.

        The job id is that of worker 0. Raises SubmitRefused for what this machine cannot do.
        """
        from orchestrator.cluster.detached import DetachedExecutor  # imports submitit, which only a submission needs

        refuse_odd_text(request)
        command = _command(request)
        executor = DetachedExecutor(folder=request.folder)
        started = {index: row.job_id for index, row in self._rows({request.token: request.folder}, {}).get(request.token, {}).items()}
        for index in range(self.workers(request)):
            if index not in started:
                environment = self._environment | self._settings(request, index)
                try:
                    started[index] = self._start(executor, index, (command, environment))
                except OSError as error:
                    if not started:
                        raise SubmitRefused(f"{request.token}: no worker can be started here: {error}.") from error
                    LOG.warning("%s: only %d of its workers could be started: %s", request.token, len(started), error)
                    break  # those that run compute the whole list
        return Accepted(job_id=started[min(started)])

    def snapshot(
        self, tokens: Iterable[str], *, since: float, now: float, open_tasks: Mapping[str, Collection[int]] | None = None
    ) -> Snapshot:
        """Look once at the journals of `tokens` and at the processes of this host."""
        self._children = [child for child in self._children if child.poll() is None]  # buries those that ended
        notes: dict[str, None] = {}
        tasks = self._rows({token: self._submissions / token for token in tokens}, notes)
        return Snapshot(taken_at=now, queue_ok=not notes, accounting_ok=not notes, tasks=tasks, notes=tuple(notes))

    def count_queued(self) -> int:
        """Return 0: this machine has no queue that others fill."""
        return 0

    def cancel(self, tasks: Iterable[TaskRow]) -> None:
        """Ask these workers to end (SIGTERM); end them and their children by force when `kill_wait_s` has passed."""
        doomed = [identity for row in tasks if (identity := identity_of(row, self._submissions / row.token))]
        for identity in filter(is_alive, doomed):
            _send(identity.pid, signal.SIGTERM)
        deadline = time.monotonic() + self.profile.kill_wait_s
        while any(map(is_alive, doomed)) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        for identity in filter(is_alive, doomed):
            for pid in _family(identity.pid):
                _send(pid, signal.SIGKILL)

    def hold(self, tasks: Iterable[TaskRow]) -> None:
        """Do nothing: no local worker waits; those that run look whether the grid is paused before they start a run."""

    def lift_fences(self, jobs: Mapping[str, tuple[str, ...]]) -> None:
        """Do nothing: workers are not fenced, a claim is all that counts."""

    def set_throttle(self, job_id: str, tasks: int) -> None:
        """Do nothing: no local worker waits, they all start at once and take runs from one list."""

    def facts(self) -> tuple[Fact, ...]:
        """Return what doctor says of this machine."""
        gpus = self._gpus()
        memory = psutil.virtual_memory().total / 2**30
        return (
            Fact(name="cores", value=str(len(os.sched_getaffinity(0)))),
            Fact(name="memory", value=f"{memory:.0f} GB"),
            Fact(name="GPUs", value=", ".join(gpus) or "none", verdict=Verdict.OK if gpus else Verdict.NOTE),
        )

    def _rows(self, folders: Mapping[str, Path], notes: dict[str, None]) -> dict[str, dict[int, TaskRow]]:
        """Return token → index → row: the journals say what was, the processes what is."""
        tasks: dict[str, dict[int, TaskRow]] = {}
        for token, folder in folders.items():
            tasks[token] = {row.index: row for row in journalled_workers(folder, token, notes)}
        for row in live_workers(folders):
            known = tasks[row.token].get(row.index)
            if known is None or known.state is not TaskState.RUNNING:
                tasks[row.token][row.index] = row
        return {token: rows for token, rows in tasks.items() if rows}

    def _start(self, executor: DetachedExecutor, index: int, what: tuple[Sequence[str], Mapping[str, str]]) -> str:
        process = executor.submit_worker(index, *what)
        self._children.append(process)
        return local_job_id(os.uname().nodename, process.pid)

    def _gpus(self) -> tuple[str, ...]:
        """Return the GPUs that workers may use: those of the profile, else of CUDA_VISIBLE_DEVICES, else of the machine."""
        if self.profile.visible_gpus is not None:
            return self.profile.visible_gpus
        named = self._environment.get(_GPUS)
        if named is not None:
            return tuple(part for part in named.split(",") if part)
        return tuple(sorted(name.removeprefix("/dev/nvidia") for name in glob.glob("/dev/nvidia[0-9]*")))

    def _settings(self, request: ArrayRequest, index: int) -> dict[str, str]:
        """Return what sets worker `index` apart. Runs that ask for no GPU see none, as in Slurm."""
        gpus, wanted = self._gpus(), request.resources.gpus
        own = [gpus[(index * wanted + k) % len(gpus)] for k in range(min(wanted, len(gpus)))]
        return {INDEX_VARIABLE: str(index), _GPUS: ",".join(own)}

    def _line(self, request: ArrayRequest, index: int) -> str:
        settings = " ".join(f"{name}={value}" for name, value in self._settings(request, index).items())
        return f"{settings} {shlex.join(request.command)}\n"


def _command(request: ArrayRequest) -> tuple[str, ...]:
    """Return the worker's command line, behind a wait where the request asks for one."""
    if not request.after and not request.begin_in_s:
        return request.command
    pids = [str(_pid_here(job_id, request.token)) for job_id in request.after]
    return ("/bin/sh", "-c", _WAIT, "wait", " ".join(pids), str(request.begin_in_s or 0), *request.command)


def _pid_here(job_id: str, token: str) -> int:
    named = read_job_id(job_id)
    if named is None or named[0] != os.uname().nodename:
        raise SubmitRefused(f"{token}: waits for {job_id[:60]!a}, which is no process of this machine. Launch where that runs.")
    return named[1]


def _family(pid: int) -> list[int]:
    """Return the process and all that it started, itself first: it cannot start more then."""
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return [pid]


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
