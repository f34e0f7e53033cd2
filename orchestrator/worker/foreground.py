"""Compute one manifest here and now, as `mrsweep run` does: a worker's child, its log copied to the terminal."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from orchestrator.grid.manifest import Manifest
from orchestrator.store.errors import Busy
from orchestrator.store.events import Ended
from orchestrator.store.files import make_dir
from orchestrator.store.layout import AttemptPaths, GridPaths
from orchestrator.store.process import current_process
from orchestrator.store.states import Cause, State
from orchestrator.worker.claim import Claimant, Claims, StartFile
from orchestrator.worker.environment import available_threads
from orchestrator.worker.outcome import attempts, read_end, write_end
from orchestrator.worker.place import Place
from orchestrator.worker.processes import BLOCKED, Guard, exit_of, signal_group
from orchestrator.worker.running import Running
from orchestrator.worker.submission import Row, Submission
from orchestrator.worker.task import Task
from orchestrator.worker.telemetry import oom_counter
from orchestrator.worker.verdict import Stop
from orchestrator.worker.worker import spawn_child

FOLLOW_S = 0.1
TRIES = 10
TRACEBACK = b"Traceback (most recent call last):"
HOLD_S = 1.0
"""A traceback is passed on after this time when the run goes on [s]."""


def foreground(
    manifest: Manifest, submission: Submission, *, write: Callable[[bytes], object], environ: Mapping[str, str], resume: str = ""
) -> Ended:
    """Compute a run in a fresh interpreter and return how it ended; its output goes to log.txt and to `write`.

    It becomes the run's next attempt, below submission.grid_dir; `resume` names the attempt folder whose checkpoint
    is continued. Ctrl-C asks the run to stop, a second one ends it. Raises Busy when others keep claiming the run.
    """
    start = _claim(manifest, submission, resume)
    task = Task(
        manifest=manifest,
        submission=submission,
        attempt=start.attempt,
        resume=start.resume,
        threads=available_threads(submission.resources.cpus),
        parent=os.getpid(),
    )
    before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    guard = Guard()
    try:
        pid = spawn_child(task, environ)
        guard.watch(pid)
        running = Running(task, pid, shared=False, oom_counter=oom_counter())
        return _follow(running, guard, write)
    finally:
        guard.dismiss()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _claim(manifest: Manifest, submission: Submission, resume: str) -> StartFile:
    run = GridPaths(Path(submission.grid_dir)).run(manifest.id)
    make_dir(run.dir)
    claims = Claims(Claimant(process=current_process(), place=Place(index=0), token=submission.token), run.dir)
    for _ in range(TRIES):
        number = max((number for number, _ in attempts(run)), default=0) + 1
        start = claims.take(run, Row(run=manifest.id, attempt=number, resume=resume), time.time())
        if start is not None:
            return start
    claims.discard()
    raise Busy(f"run {manifest.id}: other processes keep starting it. See: mrsweep status")


def _follow(running: Running, guard: Guard, write: Callable[[bytes], object]) -> Ended:
    """Copy the log while the run lives, then conclude."""
    echo = _Echo(running.task.paths, write)
    told: signal.Signals | None = None
    while (exit_ := exit_of(running.pid)) is None:
        taken = signal.sigtimedwait(BLOCKED, FOLLOW_S)
        if taken is not None and taken.si_signo != signal.SIGCHLD:
            told = told or signal.Signals(taken.si_signo)
            _stop(running)
        for _ in running.tend():
            pass
        echo.go_on()
    signal_group(running.pid, signal.SIGKILL)
    guard.forget(running.pid)
    os.waitpid(running.pid, 0)
    ended = running.conclude(exit_, host=os.uname().nodename)
    echo.finish(ended.cause)
    return ended if told is None or ended.state is State.COMPLETED else _stopped_by(told, ended, running.task.paths)


def _stop(running: Running) -> None:
    if running.why is None:
        running.terminate(Stop.PREEMPTED)
    else:
        running.cancel(Stop.CANCEL)


def _stopped_by(told: signal.Signals, ended: Ended, paths: AttemptPaths) -> Ended:
    """Say, also in end.json, who stopped the run: here it is no scheduler."""
    message = "you stopped it" if told is signal.SIGINT else f"{told.name} stopped it"
    end = read_end(paths)
    if end is not None:
        write_end(paths, msgspec.structs.replace(end, cause=Cause.CANCELLED, message=message))
    return msgspec.structs.replace(ended, cause=Cause.CANCELLED, message=message)


class _Echo:
    """Passes on what the log grows by. A traceback waits for the end of the run: for bad input, one line tells the cause."""

    def __init__(self, paths: AttemptPaths, write: Callable[[bytes], object]) -> None:
        self._paths = paths
        self._write = write
        self._read = 0
        self._held = b""
        self._held_since = 0.0

    def go_on(self) -> None:
        """Pass on what is new; a traceback that the run outlives is passed on a little later."""
        self._take()
        if self._held and time.monotonic() - self._held_since > HOLD_S and not self._paths.end.exists():
            self._release()

    def finish(self, cause: Cause | None) -> None:
        """Pass on the rest; of a run that ended for bad input without its traceback, which stays in the log."""
        self._take()
        if cause is not Cause.BAD_INPUT:
            self._release()

    def _take(self) -> None:
        content = b""
        if self._paths.log.exists():
            with open(self._paths.log, "rb") as stream:
                stream.seek(self._read)
                content = stream.read()
        self._read += len(content)
        shown, mark, rest = (b"", b"", content) if self._held else content.partition(TRACEBACK)
        if mark:
            self._held_since = time.monotonic()
        self._held += mark + rest
        if shown:
            self._write(shown)

    def _release(self) -> None:
        if self._held:
            self._write(self._held)
        self._held = b""
