"""The overview of a grid as it is this moment: one look, and the latest metrics of the runs that compute."""

from __future__ import annotations

from orchestrator.launch.opened import OpenGrid
from orchestrator.results.metrics import Latest, read_latest
from orchestrator.results.overview import Overview, make_overview
from orchestrator.results.select import Selection, select
from orchestrator.store.records import Records
from orchestrator.store.states import State
from orchestrator.watchdog.look import Look, Site, look


def take_picture(grid: OpenGrid, site: Site, selection: Selection, *, seen: Look | None = None) -> Overview:
    """Return what status shows; writes nothing. `seen` is a look that was taken already."""
    seen = seen or look(grid, site)
    pairs = select(grid.manifests, seen.records, selection)
    slots = min(grid.spec.max_parallel, site.workers or grid.spec.max_parallel)
    latest = read_running(grid, seen.records)
    return make_overview(grid.paths.name, pairs, seen.records, seen.snapshot, latest=latest, objective=grid.spec.objective, slots=slots)


def read_running(grid: OpenGrid, records: Records) -> dict[str, Latest]:
    """Return run id → newest report, for the runs that compute now."""
    found = {}
    for record in records.runs.values():
        attempt = record.current
        if record.state is not State.RUNNING or attempt is None:
            continue
        latest = read_latest(grid.paths.run(record.id).attempt(attempt.number, attempt.restart))
        if latest is not None:
            found[record.id] = latest
    return found
