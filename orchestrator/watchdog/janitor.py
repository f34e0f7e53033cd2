"""The janitor: a tiny job on the cluster that watches a grid and keeps the next one of its kind in the queue.

Two never run at once, for their jobs have one name and `-d singleton`. What the job does is in watchdog/janitor_job.py.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import ArrayRequest, Snapshot, TaskRow, TaskState
from orchestrator.launch.commit import worker_command
from orchestrator.launch.opened import OpenGrid
from orchestrator.store.errors import ClusterError, InputError
from orchestrator.store.files import make_dir, write_atomic
from orchestrator.store.layout import GridPaths, SubmissionPaths
from orchestrator.store.ledger import Pen
from orchestrator.watchdog.look import Site, janitor_name

RESOURCES = Resources(cpus=1, mem_gb=2, time_min=15)
"""A round of 10,000 runs takes seconds, and much of the memory is Python itself."""


def janitor_request(paths: GridPaths, site: Site, *, begin_in_s: int | None) -> ArrayRequest:
    """Return what is asked of the scheduler for one janitor."""
    folder = paths.janitor
    make_dir(SubmissionPaths(folder).logs)
    return ArrayRequest(
        token=janitor_name(paths),
        tasks=1,
        throttle=1,
        resources=RESOURCES,
        folder=folder.absolute(),
        command=worker_command("orchestrator.watchdog.janitor_job", paths.dir.absolute()),
        begin_in_s=begin_in_s,
    )


def check_place(site: Site) -> None:
    """Raise InputError where no janitor can live."""
    if site.scheduler.name == "local":
        raise InputError("--janitor is a job in a queue, and local workers have none. Keep the grid alive with: mrsweep watch GRID")


def keep_janitor(pen: Pen, grid: OpenGrid, site: Site, snapshot: Snapshot) -> list[str]:
    """Put the janitor back when the queue holds none any more; returns the sentence that says so."""
    if is_missing(grid, snapshot):
        pen.check()
        job_id = site.scheduler.submit(janitor_request(grid.paths, site, begin_in_s=None)).job_id
        return [f"{janitor_name(grid.paths)}: was not in the queue any more, put back as job {job_id}"]
    return []


def is_missing(grid: OpenGrid, snapshot: Snapshot) -> bool:
    """Say whether a grid that wants a janitor has none in the queue."""
    settings = grid.settings
    if settings is None or not settings.janitor or not snapshot.queue_ok:
        return False
    return all(row.state is TaskState.ENDED for row in janitors(grid.paths, snapshot))


def janitors(paths: GridPaths, snapshot: Snapshot) -> Iterable[TaskRow]:
    """Yield the grid's janitors that the scheduler named: the one that works, and the one that waits to follow it."""
    name = janitor_name(paths)
    yield from snapshot.tasks.get(name, {}).values()
    yield from (row for row in snapshot.twins if row.token == name)


def engage(pen: Pen, grid: OpenGrid, site: Site) -> str:
    """Let a janitor watch the grid from now on; returns the sentence that says so. One that is there already is left alone."""
    settings = grid.settings
    if settings is None:
        raise InputError(f"{grid.paths.dir}: was never launched, there is nothing to watch.")
    write_atomic(grid.paths.settings, msgspec.json.encode(msgspec.structs.replace(settings, janitor=True)))
    name, now = janitor_name(grid.paths), pen.clock()
    if not is_missing(grid, site.scheduler.snapshot([name], since=now, now=now, open_tasks={})):
        return f"{name} watches the grid already"
    pen.check()
    try:
        job_id = site.scheduler.submit(janitor_request(grid.paths, site, begin_in_s=None)).job_id
    except ClusterError as error:  # the runs are in the queue all the same, and the next round of watch tries again
        return f"{name}: is not in the queue: {error}"
    return f"{name}: job {job_id} watches the grid every {site.profile.janitor_min:g} minutes until no run is open"
