"""What a janitor's job runs: one round of watch. `python -P -m orchestrator.watchdog.janitor_job runs/GRID NUMBER`"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator.cluster.scheduler import TaskRow, TaskState
from orchestrator.launch.opened import OpenGrid
from orchestrator.store.errors import ClusterError, MrsweepError
from orchestrator.store.layout import GridPaths
from orchestrator.watchdog.janitor import interval_s, janitor_request, janitors
from orchestrator.watchdog.look import JANITORS, Site, janitor_name, site_of
from orchestrator.watchdog.watch import watch_once

LOG = logging.getLogger(__name__)


def work(grid: OpenGrid, site: Site, number: int) -> bool:
    """Do one round, a successor in the queue before it, so that a round that dies breaks no chain; say whether the grid is still open."""
    followed = _follow(grid, site, number)
    try:
        done = watch_once(grid, site)
    finally:
        followed = followed or _follow(grid, site, number)
    for sentence in (*done.told, *done.look.snapshot.notes):
        LOG.info("%s", sentence)
    if not (done.is_open or done.is_unsent):
        site.scheduler.cancel(_waiting(grid, site, JANITORS))  # no run can change any more without a person
    return done.is_open or done.is_unsent


def _follow(grid: OpenGrid, site: Site, number: int) -> bool:
    """Put a successor into the queue, unless one waits there; say whether one does."""
    try:
        if not _waiting(grid, site, [number]):
            site.scheduler.submit(janitor_request(grid.paths, number, begin_in_s=interval_s(site, number)))
    except ClusterError as error:  # the round is done all the same, and the scheduler asked again after it
        LOG.error("no successor: %s", error)
        return False
    return True


def _waiting(grid: OpenGrid, site: Site, numbers: Sequence[int]) -> list[TaskRow]:
    """Return the janitors of these numbers that wait in the queue."""
    now = time.time()
    snapshot = site.scheduler.snapshot([janitor_name(grid.paths, number) for number in numbers], since=now, now=now, open_tasks={})
    rows = (row for number in numbers for row in janitors(grid.paths, number, snapshot))
    return [row for row in rows if row.state is TaskState.WAITING]


def main(arguments: list[str]) -> int:
    """Run as the job does; the exit code is 1 when the round failed. What failed is tried again by the successor."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    grid = OpenGrid(GridPaths(Path(arguments[0]).absolute()))
    try:
        if grid.settings is not None:
            os.chdir(grid.settings.cwd)  # relative paths of the profile hold there
        work(grid, site_of(grid), int(arguments[1]))
    except (MrsweepError, OSError) as error:
        LOG.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
