"""The loop of one array task: take runs, start a child for each, watch them, record how they end."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from orchestrator.cluster.resources import task_resources
from orchestrator.grid.manifest import Manifest
from orchestrator.store.errors import StoreError
from orchestrator.store.events import Arrived, Ended, Left, Ready, Started
from orchestrator.store.layout import GridPaths, SubmissionPaths
from orchestrator.store.process import current_process
from orchestrator.store.states import Cause, State
from orchestrator.worker.claim import Chance, Claimant, Claims, StartFile
from orchestrator.worker.diary import Diary
from orchestrator.worker.environment import available_threads
from orchestrator.worker.outcome import read_end
from orchestrator.worker.place import Place
from orchestrator.worker.prepared import is_done
from orchestrator.worker.processes import BLOCKED, Exit, Guard, exit_of, signal_group, spawn
from orchestrator.worker.rows import candidates, limit
from orchestrator.worker.running import Running
from orchestrator.worker.starting import preload, read_manifest, settle_memory, wait_for, why_not_fork
from orchestrator.worker.submission import Row, Submission
from orchestrator.worker.task import Task
from orchestrator.worker.telemetry import oom_counter
from orchestrator.worker.timeleft import finished_s, may_start
from orchestrator.worker.verdict import Stop

LOG = logging.getLogger(__name__)

EARLY_S = 60.0
"""Slurm may send its warning this much earlier than asked (sbatch(1), --signal)."""
ECHO_S = 0.3
"""A signal that Slurm sends to every process of a task may reach a run before it reaches the worker."""
LAST_TRIES = 5
"""Seconds that a worker waits for a full disk before it leaves with lines unwritten."""


class Forked(BaseException):
    """Raised in a forked child to leave the worker's stack, so that the child ends as an interpreter does."""

    def __init__(self, task: Task, close: tuple[int, ...]) -> None:
        super().__init__()
        self.task = task
        self.close = close


class Worker:
    """One array task, or one local worker. It has one thread, and no `finally`: a forked child unwinds through it."""

    def __init__(
        self, submission: Submission, rows: Sequence[Row], paths: SubmissionPaths, *, place: Place, environ: Mapping[str, str]
    ) -> None:
        self._submission = submission
        self._paths = paths
        self._place = place
        self._environ = dict(environ)
        self._grid = GridPaths(Path(submission.grid_dir))
        self._first = rows[0]
        self._me = current_process()
        self._diary = Diary(paths.journal(place.index, place.restart))
        self._claims = Claims(Claimant(process=self._me, place=place, token=submission.token), paths.dir)
        self._rows = candidates(submission, rows, place)
        self._at_a_time = max(1, min(submission.pack.per_gpu, submission.pack.per_task))
        self._ends_at = _end_time(submission, place)
        self._oom_counter = oom_counter()
        self._running: list[Running] = []
        self._begun = 0
        self._failed = False
        self._warning: Stop | None = None
        self._leaving = ""

    def work(self) -> int:
        """Compute runs until none is left; return the exit code: 1 when a run failed or a prepare command did.

        Raises Forked in each child.
        """
        self._guard = Guard()
        self._arrive()
        self._prepare()
        self._fill()
        while self._running:
            self._wait(min(running.due for running in self._running) - time.monotonic())
            self._reap()
            for running in self._running:
                for line in running.tend():
                    self._diary.write(line, durable=False)
            self._diary.catch_up()
            self._fill()
        return self._leave()

    def _arrive(self) -> None:
        """Say that we are there, preload, and decide how children are started."""
        arrived = Arrived(
            at=time.time(),
            host=self._me.host,
            boot_id=self._me.boot_id,
            pid=self._me.pid,
            start_time=self._me.start_time,
            index=self._place.index,
            restart=self._place.restart,
            job_id=self._place.job_id,
            gpus=tuple(filter(None, self._environ.get("CUDA_VISIBLE_DEVICES", "").split(","))),
        )
        self._diary.write(arrived)  # before the libraries are loaded: others may look for us meanwhile
        first = self._manifest(self._first.run)
        loaded = {} if first is None or first.command else preload(self._submission.preload)
        obstacle = why_not_fork() if self._submission.start == "fork" else "the grid asks for it"
        self._fork = not obstacle
        settle_memory()
        ready = Ready(at=time.time(), preloaded=loaded, start=f"spawn: {obstacle}" if obstacle else "fork")
        self._diary.write(ready, durable=False)

    def _prepare(self) -> None:
        """On this machine, run the prepare command that the runs wait for; on Slurm a job of its own has."""
        first = self._manifest(self._first.run)
        if first is None or not first.prepare or not self._place.is_local:
            return
        paths = self._grid.prepare(first.prepare)
        if is_done(paths):
            return
        pid = spawn([sys.executable, "-P", "-m", "orchestrator.worker.prepare", str(paths.dir)], self._environ)
        self._guard.watch(pid)
        while exit_of(pid) is None:
            self._wait(math.inf)
            if self._leaving:
                signal_group(pid, signal.SIGKILL)
        self._bury(pid)
        if not self._leaving and not is_done(paths):
            self._leaving = f"prepare {first.prepare} failed"
            self._failed = True

    def _fill(self) -> None:
        """Start runs while there is room, time and something to compute."""
        while not self._leaving and len(self._running) < self._at_a_time:
            if self._begun >= limit(self._submission, self._place):
                self._leaving = "computed its runs"
            elif self._grid.paused.exists():
                self._leaving = "the grid is paused"
            elif self._begun and not self._has_time():
                self._leaving = "no time for another run"
            elif not self._try_next():
                self._leaving = self._leaving or "nothing left to compute"

    def _try_next(self) -> bool:
        try:
            return self._start_next()
        except (OSError, StoreError) as error:
            self._give_up(error)
            return False

    def _has_time(self) -> bool:
        left_s = self._ends_at - time.time()
        limit_s = 60 * self._submission.resources.time_min
        return may_start(left_s, limit_s, finished_s(self._paths) if left_s < limit_s else ())

    def _start_next(self) -> bool:
        """Claim the next row and start its child; say whether there was one."""
        for row, chance in self._rows:
            manifest = self._manifest(row.run)
            if manifest is None:
                LOG.error("run %s: has no manifest in %s; it is passed over", row.run, self._grid.dir)
                continue
            restart = self._place.restart if chance is Chance.CONTINUE else 0
            start = self._claims.take(self._grid.run(row.run), row, time.time(), restart=restart)
            if start is not None:
                self._start(manifest, row, start)
                return True
        return False

    def _give_up(self, error: Exception) -> None:
        """Start no more runs, and let those that run go on: the disk is full, or this machine starts no process."""
        self._failed = True
        self._leaving = f"cannot start a run: {error}"
        LOG.error("%s", self._leaving)

    def _start(self, manifest: Manifest, row: Row, start: StartFile) -> None:
        task = Task(
            manifest=manifest,
            submission=self._submission,
            attempt=start.attempt,
            restart=start.restart,
            resume=start.resume,
            overrides=row.config,
            threads=available_threads(self._submission.resources.cpus),
            environ=self._environ if self._fork else {},
            parent=self._me.pid,
        )
        self._diary.write(
            Started(
                at=start.at,
                run=start.run,
                attempt=start.attempt,
                restart=start.restart,
                token=start.token,
                index=start.index,
                host=start.host,
                node=self._place.node,
                job_id=start.job_id,
            )
        )
        try:
            pid = self._child(task)
        except OSError as error:
            self._record(not_started(start, error))
            raise
        self._guard.watch(pid)
        self._begun += 1
        self._running.append(Running(task, pid, shared=self._at_a_time > 1, oom_counter=self._oom_counter))

    def _child(self, task: Task) -> int:
        """Start the run's process, forked or fresh; return its pid."""
        if not self._fork:
            return spawn_child(task, self._environ)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            raise Forked(task, close=(self._guard.descriptor,))
        return pid

    def _wait(self, timeout_s: float) -> None:
        """Sleep until a signal, or until something is due."""
        timeout_s = max(0.0, min(timeout_s, 3600.0))
        taken = signal.sigtimedwait(BLOCKED, timeout_s)
        while taken is not None:
            self._take_signal(taken.si_signo)
            taken = signal.sigtimedwait(BLOCKED, 0)

    def _take_signal(self, number: int) -> None:
        """Pass a warning on to the runs; start no more of them."""
        if number == signal.SIGCHLD:
            return
        near = self._ends_at - time.time() <= self._submission.timing.warning_s + EARLY_S
        self._warning = Stop.TIMEOUT if near else Stop.PREEMPTED
        self._leaving = f"got {signal.Signals(number).name}"
        for running in self._running:
            if number in (signal.SIGUSR1, signal.SIGUSR2):
                running.warn(self._warning)
            elif not running.obey_wish():
                running.terminate(self._warning)

    def _reap(self) -> None:
        """Record the runs whose process has ended."""
        for running in list(self._running):
            exit_ = exit_of(running.pid)
            if exit_ is not None:
                self._await_echo(running, exit_)
                self._bury(running.pid)
                self._running.remove(running)
                self._record(running.conclude(exit_, host=self._me.host))
                if running.why is Stop.NEWER:  # the scheduler takes this task for gone, and another computes in its place
                    self._leaving = self._leaving or "another worker has taken over"

    def _await_echo(self, running: Running, exit_: Exit) -> None:
        """Wait a moment for the signal that ended a run, when Slurm sent it to the worker as well."""
        if running.why is not None:
            return
        end = read_end(running.task.paths)
        if exit_.signal == signal.SIGTERM or (end is not None and end.warned):
            self._wait(ECHO_S)
            running.why = running.why or self._warning

    def _bury(self, pid: int) -> None:
        """Kill what a child left behind in its group, then reap it: in this order its number cannot name another."""
        signal_group(pid, signal.SIGKILL)
        self._guard.forget(pid)
        os.waitpid(pid, 0)

    def _record(self, ended: Ended) -> None:
        self._failed = self._failed or ended.state is State.FAILED
        self._diary.write(ended)
        cause = f", {ended.cause.value}: {ended.message}" if ended.cause else ""
        LOG.info("run %s: attempt %d %s after %.1f s%s", ended.run, ended.attempt, ended.state.value, ended.runtime_s, cause)

    def _leave(self) -> int:
        self._diary.write(Left(at=time.time(), reason=self._leaving))
        for _ in range(LAST_TRIES):
            if self._diary.catch_up():
                break
            time.sleep(1.0)
        self._claims.discard()
        self._guard.dismiss()
        return int(self._failed or not self._diary.catch_up())

    def _manifest(self, run_id: str) -> Manifest | None:
        return wait_for(lambda: read_manifest(self._grid, run_id), self._submission.timing.visible_s)


def spawn_child(task: Task, environ: Mapping[str, str]) -> int:
    """Start a fresh interpreter that computes `task`; return its pid."""
    return spawn([sys.executable, "-P", "-m", "orchestrator.worker.child"], environ, stdin=msgspec.json.encode(task))


def not_started(start: StartFile, error: OSError) -> Ended:
    """Return the end of an attempt whose process this machine could not start."""
    message = f"its process could not be started: {error.strerror}"
    return Ended(
        at=time.time(),
        run=start.run,
        attempt=start.attempt,
        restart=start.restart,
        state=State.INTERRUPTED,
        cause=Cause.LOST,
        message=message,
        host=start.host,
    )


def _end_time(submission: Submission, place: Place) -> float:
    """Return when the task will be ended [s since 1970]: as Slurm says, or as was asked for; never, on this machine."""
    if place.is_local:
        return math.inf
    return place.end_time or time.time() + 60 * task_resources(submission.resources, submission.pack).time_min
