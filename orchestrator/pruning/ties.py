"""What other runs hold on to: results that another grid adopted, and checkpoints that a run starts from."""

from __future__ import annotations

from pathlib import PurePosixPath

import msgspec

from orchestrator.launch.opened import OpenGrid, known_grids
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import read_records
from orchestrator.store.records import Records
from orchestrator.store.states import State


class Ties(msgspec.Struct, frozen=True, kw_only=True):
    """What of one grid others refer to."""

    adopted: dict[str, tuple[str, str]] = {}
    """Run id → the grid that adopted its result, and the attempt's folder name."""
    needed: dict[str, dict[str, str]] = {}
    """Run id → folder name of an attempt → who starts from its checkpoint: "run 3fa9c1d2… of mtl_knee"."""

    def of_run(self, run_id: str) -> str:
        """Return why a whole run is kept, empty when nothing refers to it."""
        if run_id in self.adopted:
            return f"grid {self.adopted[run_id][0]} has adopted its result; it is kept"
        needed = self.needed.get(run_id)
        return f"{next(iter(needed.values()))} starts from its checkpoint; it is kept" if needed else ""

    def of_attempt(self, run_id: str, attempt: str) -> str:
        """Return why an attempt is kept, empty when nothing refers to it."""
        grid, adopted = self.adopted.get(run_id, ("", ""))
        if adopted == attempt:
            return f"grid {grid} has adopted its result; it is kept"
        needed = self.needed.get(run_id, {}).get(attempt, "")
        return f"{needed} starts from its checkpoint; it is kept" if needed else ""


def find_ties(paths: GridPaths) -> Ties:
    """Read what all grids of the runs folder refer to in this one.

    Damage in any of them stops us: what it adopted or starts from is not known. Runs that are in the trash hold on to nothing.
    """
    ties = Ties()
    for name in known_grids(paths.dir.parent):
        other = OpenGrid(GridPaths(paths.dir.parent / name))
        records = read_records(other.paths)
        if other.paths.dir != paths.dir:
            _note_adopted(ties, paths.name, name, records)
        _note_needed(ties, paths.name, other, records)
    return ties


def _note_adopted(ties: Ties, grid: str, other: str, records: Records) -> None:
    for run_id, record in records.runs.items():
        if record.adopted_from == grid and record.state is not State.PRUNED:
            ties.adopted[run_id] = (other, record.adopted_attempt)


def _note_needed(ties: Ties, grid: str, other: OpenGrid, records: Records) -> None:
    for run_id, manifest in other.manifests.items():
        for need in manifest.needs.values():
            if need.grid == grid and records.get(run_id).state is not State.PRUNED:
                attempt = PurePosixPath(need.path).parent.name
                ties.needed.setdefault(need.run, {})[attempt] = f"run {run_id[:8]}… of {other.paths.name}"
