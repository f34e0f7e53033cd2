"""Runs mrsweep and kills it with SIGKILL at a chosen moment: python killed.py MOMENT VERB ...

MOMENT: disk:N      directly before the N-th operation that changes the disk
        before:N    directly before the N-th submission is asked for
        after:N     when the N-th submission was taken, before anybody has noted it
        count       never; the number of disk operations is printed
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from orchestrator.cli.main import main
from orchestrator.cluster.local import LocalScheduler
from orchestrator.cluster.slurm import SlurmScheduler
from orchestrator.store import files


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Counter:
    """Dies at the n-th call."""

    def __init__(self, limit: int) -> None:
        self.calls = 0
        self.limit = limit

    def tick(self, *_: object) -> None:
        self.calls += 1
        if self.calls == self.limit:
            die()


def arm(moment: str) -> Counter:
    """Put the trap where `moment` says."""
    kind, _, number = moment.partition(":")
    counter = Counter(int(number or 0))
    if kind in ("disk", "count"):
        files.check_point = counter.tick
    else:
        for scheduler in (SlurmScheduler, LocalScheduler):
            scheduler.submit = trapped(scheduler.submit, counter, first=kind == "before")
    return counter


def trapped(submit: Callable[..., Any], counter: Counter, *, first: bool) -> Callable[..., Any]:
    def wrapper(*arguments: Any) -> Any:
        if first:
            counter.tick()
        answer = submit(*arguments)
        if not first:
            counter.tick()
        return answer

    return wrapper


if __name__ == "__main__":
    counter = arm(sys.argv[1])
    try:
        main(sys.argv[2:])
    finally:
        if sys.argv[1] == "count":
            sys.stderr.write(f"{counter.calls}\n")
