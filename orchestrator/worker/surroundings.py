"""The process of a run, around the run's code: output, signals, folder, module path and threads."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator.store.files import check_point
from orchestrator.worker.task import Task


class Stopped(BaseException):
    """Raised in the run's code, from a signal handler, when it has to end at once; BaseException: few catch it."""


def redirect_output(log: Path) -> None:
    """Send standard output and error, of C libraries too, to the attempt's log; standard input is empty."""
    flush_output()
    check_point("write", log)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    empty = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((empty, 0), (descriptor, 1), (descriptor, 2)):
        os.dup2(source, target)
    os.close(descriptor)
    os.close(empty)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]


def flush_output() -> None:
    """Flush what Python holds back; a full disk is found out elsewhere."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            continue


def handle_signals(warn: Callable[[], None], *, hard: bool) -> None:
    """Let SIGUSR1 and SIGTERM call `warn`; let SIGUSR2 raise Stopped in the run's code if `hard`.

    SIGTERM is a warning too: Slurm sends it to every process of a task, and the run shall have the time that is left
    (KillWait) to save a checkpoint. Processes that the run forks end by it, as they would without a handler.
    """
    me = os.getpid()

    def on_warning(number: int, _: object) -> None:
        if os.getpid() == me:
            warn()
        elif number == signal.SIGTERM:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    def on_stop(_: int, __: object) -> None:
        if os.getpid() == me and hard:
            warn()
            raise Stopped

    signal.signal(signal.SIGUSR1, on_warning)
    signal.signal(signal.SIGTERM, on_warning)
    signal.signal(signal.SIGUSR2, on_stop)


def enter_project(task: Task, environ: Mapping[str, str]) -> None:
    """Set environment, folder, module path and threads as the run expects them."""
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(task.submission.cwd)
    roots = [str(root) for root in task.roots]
    sys.path[:] = roots + [path for path in sys.path if path not in roots]
    importlib.invalidate_caches()
    set_threads(task.threads)
    if "numpy.random" in sys.modules:  # forked twins would draw the same numbers
        sys.modules["numpy.random"].seed()


def set_threads(threads: int) -> None:
    """Set the threads of a torch that the worker has preloaded with one; one that is imported later reads OMP_NUM_THREADS."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
