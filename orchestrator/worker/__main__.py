"""Run one array task: `python -P -m orchestrator.worker <submission folder>`."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

from orchestrator.store.errors import MrsweepError
from orchestrator.store.layout import SubmissionPaths
from orchestrator.worker.child import compute
from orchestrator.worker.environment import PARENT
from orchestrator.worker.leaving import leave
from orchestrator.worker.place import read_place
from orchestrator.worker.processes import BLOCKED
from orchestrator.worker.starting import read_submission
from orchestrator.worker.worker import Forked, Worker

LOG = logging.getLogger("orchestrator")


def log_to_stderr() -> None:
    """Show our own log lines; the root logger stays as it is, for the runs' code to set up."""
    LOG.addHandler(logging.StreamHandler(sys.stderr))
    LOG.setLevel(logging.INFO)
    LOG.propagate = False


def main(argv: list[str]) -> int:
    """Work, or, in a forked child, compute the run; returns the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    log_to_stderr()
    if len(argv) != 1:
        LOG.error("usage: python -P -m orchestrator.worker SUBMISSION_FOLDER")
        return 2
    environ = dict(os.environ)
    os.environ.update(PARENT)
    try:
        place = read_place(environ)
        paths = SubmissionPaths(Path(argv[0]).absolute())
        submission, rows = read_submission(paths)
        return Worker(submission, rows, paths, place=place, environ=environ).work()
    except MrsweepError as error:
        LOG.error("mrsweep worker: %s", error)
        return error.exit_code
    except Forked as forked:
        task, close = forked.task, forked.close
    return leave(compute(task, close), task.roots)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
