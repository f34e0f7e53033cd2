"""The grids that a verb was given, as tables and figures see them."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.cli.options import Target, open_grid
from orchestrator.results.select import Selection
from orchestrator.tables.study import Study
from orchestrator.watchdog import studies


def take_studies(targets: Sequence[Target], selection: Selection) -> list[Study]:
    """Return the selected runs of each grid; refuse an expression that selects none of any."""
    opened = [open_grid(target.grid, target.runs, variant=target.variant) for target in targets]
    return studies.take_studies(opened, targets[0].profile, selection)
