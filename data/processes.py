"""Many pieces of work at once: a process for each, a few of them at a time, and the first error ends it all."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class ProcessEnded(Exception):
    """A process was ended by something else than its work."""


def as_they_end(work: Callable[[Piece], Result], pieces: Sequence[Piece], *, workers: int) -> Iterator[Result]:
    """Do `work` on each piece, `workers` at a time, and yield the results in the order in which they come.

    One worker is this process itself. Raises the first error after what was begun has ended, and ProcessEnded where a process is killed.
    With more than one, `work`, pieces and results are pickled.
    """
    if workers == 1:
        yield from map(work, pieces)
        return
    # not forked: libraries with threads of their own may hang in a forked child
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_use_one_thread) as pool:
        try:
            yield from _results({pool.submit(work, piece) for piece in pieces})
        except BrokenProcessPool as error:
            raise ProcessEnded("a process was ended from outside, perhaps for memory. Call again with fewer --workers.") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _use_one_thread() -> None:
    """Let the processes share the cores, one each; read by numpy and torch when they are imported, which is later."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _results(running: set[Future[Result]]) -> Iterator[Result]:
    while running:
        over, running = wait(running, return_when=FIRST_COMPLETED)
        for future in over:
            yield future.result()
