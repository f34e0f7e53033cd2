"""The janitors: three tiny jobs on the cluster that watch a grid. Each keeps a successor in the queue, and puts the others back.

One would do, until its node cannot start it: Slurm then holds it for ever, and nobody is there to notice. Two may be due at once after an
outage, and go to the same bad node; a third comes later. Two of one number never run at once, for their jobs have one name and
`-d singleton`. What the job does is in watchdog/janitor_job.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import ArrayRequest, Snapshot, TaskRow, TaskState
from orchestrator.launch.commit import worker_command
from orchestrator.launch.opened import OpenGrid
from orchestrator.store.errors import ClusterError, InputError
from orchestrator.store.files import make_dir, write_atomic
from orchestrator.store.layout import GridPaths, SubmissionPaths
from orchestrator.store.ledger import Pen
from orchestrator.watchdog.look import JANITORS, Site, janitor_name
from orchestrator.watchdog.stuck import is_stuck

RESOURCES = Resources(cpus=1, mem_gb=2, time_min=15)
"""A round of 10,000 runs takes seconds, and much of the memory is Python itself."""

LESS_OFTEN = 3
"""Each further janitor comes so much more seldom than the one before: it is there for the others' sake."""


def interval_s(site: Site, number: int) -> int:
    """Return how long after a janitor's round its next one begins."""
    return round(60 * site.profile.janitor_min * float(LESS_OFTEN) ** (number - 1))


def janitor_request(paths: GridPaths, number: int, *, begin_in_s: int | None) -> ArrayRequest:
    """Return what is asked of the scheduler for one janitor."""
    folder = paths.janitor(number)
    make_dir(SubmissionPaths(folder).logs)
    return ArrayRequest(
        token=janitor_name(paths, number),
        tasks=1,
        throttle=1,
        resources=RESOURCES,
        folder=folder.absolute(),
        command=(*worker_command("orchestrator.watchdog.janitor_job", paths.dir.absolute()), str(number)),
        begin_in_s=begin_in_s,
    )


def check_place(site: Site) -> None:
    """Raise InputError where no janitor can live."""
    if site.scheduler.name == "local":
        raise InputError("--janitor is a job in a queue, and local workers have none. Keep the grid alive with: mrsweep watch GRID")


def missing_janitors(grid: OpenGrid, snapshot: Snapshot) -> list[int]:
    """Return the numbers of the janitors that a grid wants and that the queue holds no more, or holds and cannot start.

    Behind one that Slurm holds its successor waits for ever, for they have one name.
    """
    settings = grid.settings
    if settings is None or not settings.janitor or not snapshot.queue_ok:
        return []
    return [number for number in JANITORS if not _will_work(list(janitors(grid.paths, number, snapshot)))]


def _will_work(rows: Sequence[TaskRow]) -> bool:
    return any(row.state is not TaskState.ENDED for row in rows) and not any(map(is_stuck, rows))


def janitors(paths: GridPaths, number: int, snapshot: Snapshot) -> Iterable[TaskRow]:
    """Yield the jobs of one janitor that the scheduler named: the one that works, and the one that waits to follow it."""
    name = janitor_name(paths, number)
    yield from snapshot.tasks.get(name, {}).values()
    yield from (row for row in snapshot.twins if row.token == name)


def keep_janitors(pen: Pen, grid: OpenGrid, site: Site, snapshot: Snapshot) -> list[str]:
    """Put back janitors that are gone or stuck; returns a sentence for each. What the scheduler refuses, the next round tries again."""
    return [_put_back(pen, grid, site, snapshot, number) for number in missing_janitors(grid, snapshot)]


def _put_back(pen: Pen, grid: OpenGrid, site: Site, snapshot: Snapshot, number: int) -> str:
    name = janitor_name(grid.paths, number)
    rows = [row for row in janitors(grid.paths, number, snapshot) if row.state is not TaskState.ENDED]
    stuck = [row for row in rows if is_stuck(row)]
    begin_in_s = None if number == 1 else interval_s(site, number)
    pen.check()
    try:
        if stuck:
            site.scheduler.cancel(stuck)
        if len(stuck) < len(rows):
            return f"{name}: goes on, as what Slurm could not start is taken out of the queue"
        job_id = site.scheduler.submit(janitor_request(grid.paths, number, begin_in_s=begin_in_s)).job_id
    except ClusterError as error:
        return f"{name}: is not in the queue: {error}"
    return f"{name}: is in the queue as job {job_id}"


def engage(pen: Pen, grid: OpenGrid, site: Site) -> list[str]:
    """Let janitors watch the grid from now on; returns what is to be told. Those that are there already are left alone."""
    settings = grid.settings
    if settings is None:
        raise InputError(f"{grid.paths.dir}: was never launched, there is nothing to watch.")
    write_atomic(grid.paths.settings, msgspec.json.encode(msgspec.structs.replace(settings, janitor=True)))
    names, now = [janitor_name(grid.paths, number) for number in JANITORS], pen.clock()
    snapshot = site.scheduler.snapshot(names, since=now, now=now, open_tasks={})
    if not snapshot.queue_ok:
        return [f"{names[0]}: the queue does not answer; the next round of watch puts it there"]
    told = keep_janitors(pen, OpenGrid(grid.paths), site, snapshot)
    return [*told, f"{names[0]} looks after the grid every {site.profile.janitor_min:g} minutes, until no run is open"]
