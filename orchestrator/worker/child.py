"""The process of one run, forked by the worker or a fresh interpreter: `python -P -m orchestrator.worker.child`."""

from __future__ import annotations

import atexit
import os
import signal
import sys

import msgspec

from orchestrator.worker.attempt import Attempt
from orchestrator.worker.leaving import let_go
from orchestrator.worker.processes import BLOCKED, die_with, volunteer_for_oom
from orchestrator.worker.surroundings import handle_signals, redirect_output
from orchestrator.worker.task import Task


def compute(task: Task, close: tuple[int, ...] = ()) -> int:
    """Turn this fresh process, forked or spawned by the worker, into the run's own; returns its exit code."""
    for descriptor in close:
        os.close(descriptor)
    if os.getpid() != os.getsid(0):
        os.setsid()
    die_with(task.parent)
    volunteer_for_oom()
    attempt = Attempt(task)
    try:
        redirect_output(task.paths.log)
    except OSError as error:
        return attempt.fail(error)
    handle_signals(attempt.run.request_stop, hard=True)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
    return attempt.compute()


def main() -> None:
    """Compute the task that standard input describes."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    atexit.register(let_go, task.roots)  # registered first, called last; Python's own exit loses what some modules hold
    sys.exit(compute(msgspec.structs.replace(task, environ=dict(os.environ))))


if __name__ == "__main__":
    main()
