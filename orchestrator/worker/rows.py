"""Which row of the table a worker computes next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.store.layout import GridPaths
from orchestrator.worker.claim import Chance, look
from orchestrator.worker.place import Place
from orchestrator.worker.submission import Row, Submission


def limit(submission: Submission, place: Place) -> float:
    """Return how many runs this worker computes in all."""
    if not submission.listed:
        return 1
    return math.inf if place.is_local else submission.pack.per_task


def candidates(submission: Submission, rows: Sequence[Row], place: Place) -> Iterator[tuple[Row, Chance]]:
    """Yield the rows that this worker may take, in its order: what it was computing before Slurm restarted it comes first.

    A task of an array computes its own row; workers of a list take any.
    """
    grid = GridPaths(Path(submission.grid_dir))
    mine = rows if submission.listed else rows[place.index : place.index + 1]
    for wanted in (Chance.CONTINUE, Chance.FREE) if place.restart else (Chance.FREE,):
        for row in mine:
            if look(grid.run(row.run), row, place) is wanted:
                yield row, wanted
