"""The chosen runs of a grid as they are this moment, with what they reported: what tables, reports and figures are made from."""

from __future__ import annotations

import msgspec

from orchestrator.launch.opened import OpenGrid
from orchestrator.metrics.reading import read_history
from orchestrator.results.select import Selection, select
from orchestrator.store.states import State
from orchestrator.tables.study import Study
from orchestrator.watchdog.look import Look, Site, look


def take_study(grid: OpenGrid, site: Site, selection: Selection, *, seen: Look | None = None) -> Study:
    """Return the selected runs and their reports; what lies in the trash only where it is asked for. `seen` is a look already taken."""
    records = (seen or look(grid, site)).records
    pairs = select(grid.manifests, records, msgspec.structs.replace(selection, limit=None))
    kept = [pair for pair in pairs if pair[1].state is not State.PRUNED or State.PRUNED in selection.states][: selection.limit]
    history = read_history(grid.paths, (record for _, record in kept))
    return Study(grid=grid.paths.name, objective=grid.spec.objective, pairs=kept, history=history)
