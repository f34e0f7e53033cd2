"""The runs of several grids as they are this moment, put side by side: what a table or figure about more than one is made from."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.launch.opened import OpenGrid
from orchestrator.results.select import Selection, check_where
from orchestrator.tables.study import Study
from orchestrator.watchdog.look import site_of
from orchestrator.watchdog.study import take_study


def take_studies(grids: Sequence[OpenGrid], profile: str | None, selection: Selection) -> list[Study]:
    """Return the selected runs of each grid. Raises SelectionError for an expression that selects none of any."""
    if len(grids) > 1:
        check_where({run_id: manifest for grid in grids for run_id, manifest in grid.manifests.items()}, selection.where)
    sites = [site_of(grid, profile, reading=True) for grid in grids]
    return [take_study(grid, site, selection, may_be_empty=len(grids) > 1) for grid, site in zip(grids, sites, strict=True)]
