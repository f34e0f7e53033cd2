"""A grid as tables and figures see it: its chosen runs, where they stand, and what they reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from orchestrator.grid.manifest import Manifest
from orchestrator.grid.objective import Objective
from orchestrator.metrics.history import EMPTY, History, RunHistory
from orchestrator.store.records import Record


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one grid that a table or figure is about."""

    grid: str
    """Name of its folder."""
    objective: Objective | None
    pairs: Sequence[tuple[Manifest, Record]]
    """In the order of the manifest."""
    history: History
    commits: Mapping[str, str] = {}
    """Submission → the commit of its code, with "-dirty" where files had been changed since."""

    def reported(self, run_id: str) -> RunHistory:
        """Return what a run reported, by its id."""
        return self.history.get(run_id, EMPTY)
