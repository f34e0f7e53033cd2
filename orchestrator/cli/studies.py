"""The grids that a verb was given, as tables and figures see them."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.cli.options import Target, open_grid
from orchestrator.results.select import Selection, check_where
from orchestrator.tables.study import Study
from orchestrator.watchdog.look import site_of
from orchestrator.watchdog.study import take_study


def take_studies(targets: Sequence[Target], selection: Selection) -> list[Study]:
    """Return the selected runs of each grid; refuse an expression that selects none of any."""
    opened = [open_grid(target.grid, target.runs, variant=target.variant) for target in targets]
    if len(opened) > 1:
        check_where({run_id: manifest for grid in opened for run_id, manifest in grid.manifests.items()}, selection.where)
    sites = [site_of(grid, target.profile, reading=True) for grid, target in zip(opened, targets, strict=True)]
    return [take_study(grid, site, selection, may_be_empty=len(opened) > 1) for grid, site in zip(opened, sites, strict=True)]
