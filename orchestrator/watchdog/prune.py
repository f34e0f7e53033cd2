"""Move runs to the trash and back; nothing is deleted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec

from orchestrator.cluster.scheduler import Snapshot, TaskState
from orchestrator.grid.manifest import Manifest
from orchestrator.launch.opened import OpenGrid, known_grids
from orchestrator.store.errors import StoreError
from orchestrator.store.events import Changed
from orchestrator.store.files import move_into
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import Pen, read_records
from orchestrator.store.records import Record, Records
from orchestrator.store.states import State

LOG = logging.getLogger(__name__)


class Duplicate(msgspec.Struct, frozen=True, kw_only=True):
    """A run whose like another grid has completed."""

    run: str
    other_grid: str
    other_run: str
    why: str


def find_duplicates(grid: OpenGrid, records: Records) -> list[Duplicate]:
    """Return the runs of this grid whose result another grid of the same runs folder has.

    The like: the same id, or the same entry and complete config under another id (made by an older version).
    Kept is what is complete; where both are, this grid's is the duplicate, for it is the one that was named.
    Runs that are alive, pruned, adopted, or adopted by another grid are never duplicates.
    """
    found: list[Duplicate] = []
    candidates = {run_id: manifest for run_id, manifest in grid.manifests.items() if _can_be_pruned(records.get(run_id))}
    for name in known_grids(grid.paths.dir.parent):
        other = OpenGrid(GridPaths(grid.paths.dir.parent / name))
        if other.paths.dir == grid.paths.dir:
            continue
        try:
            found.extend(_duplicates_in(candidates, other, grid.paths.name))
        except StoreError as error:
            LOG.warning("grid %s is passed over: %s", name, error)
        for duplicate in found:
            candidates.pop(duplicate.run, None)
    return found


def _can_be_pruned(record: Record) -> bool:
    return not record.is_alive and record.state is not State.PRUNED and not record.adopted_from and record.attempt > 0


def _duplicates_in(candidates: dict[str, Manifest], other: OpenGrid, ours: str) -> list[Duplicate]:
    records = read_records(other.paths)
    complete = {
        run_id: manifest
        for run_id, manifest in other.manifests.items()
        if records.get(run_id).state is State.COMPLETED and not records.get(run_id).adopted_from
    }
    adopted = {run_id for run_id, record in records.runs.items() if record.adopted_from == ours}
    same_config = {_content(manifest): run_id for run_id, manifest in complete.items()}
    found = []
    for run_id, manifest in candidates.items():
        if run_id in adopted:
            continue
        twin = run_id if run_id in complete else same_config.get(_content(manifest))
        if twin is not None:
            why = "same id" if twin == run_id else "same entry and complete config"
            found.append(Duplicate(run=run_id, other_grid=other.paths.name, other_run=twin, why=why))
    return found


def _content(manifest: Manifest) -> bytes:
    return msgspec.json.encode((manifest.entry, manifest.command, manifest.config), order="sorted")


def adopters(grid: OpenGrid, run_ids: Sequence[str]) -> dict[str, str]:
    """Return run id → name of a grid that has adopted its result."""
    found = {}
    for name in known_grids(grid.paths.dir.parent):
        records = read_records(GridPaths(grid.paths.dir.parent / name))  # damage stops us: what it adopted is not known
        for run_id in run_ids:
            if records.get(run_id).adopted_from == grid.paths.name:
                found[run_id] = name
    return found


def prune(pen: Pen, run_ids: Sequence[str], snapshot: Snapshot, *, reason: str, by: str) -> list[str]:
    """Move runs to the trash; the event comes first, so that a cut-off can be taken up. Returns what was refused and why."""
    refused = []
    for run_id in run_ids:
        record = pen.records.get(run_id)
        if record.is_alive:
            refused.append(f"run {run_id[:8]}…: is {record.state.value}; cancel it first")
            continue
        if _may_be_taken(pen.records, record, snapshot):
            refused.append(f"run {run_id[:8]}…: a task that could compute it still lives; prune it when that has ended")
            continue
        folder = pen.paths.run(run_id).dir
        if folder.is_symlink():
            refused.append(f"run {run_id[:8]}…: {folder} is a symbolic link and is left alone")
            continue
        pen.write(Changed(at=pen.clock(), run=run_id, state=State.PRUNED, cause=record.cause, reason=reason, by=by))
        if folder.exists():
            move_into(folder, pen.paths.trash)
    return refused


def _may_be_taken(records: Records, record: Record, snapshot: Snapshot) -> bool:
    """Say whether a worker could claim the run's attempt anew once its folder is gone."""
    for submission in records.submissions.values():
        if (record.id, record.attempt) not in submission.runs:
            continue
        rows = snapshot.tasks.get(submission.token, {})
        mine = rows.values() if submission.listed else [rows[record.index]] if record.index in rows else []
        if any(row.state is not TaskState.ENDED for row in mine):
            return True
    return False


def restore(pen: Pen, run_ids: Sequence[str], *, by: str) -> list[str]:
    """Bring runs back from the trash, to the state that they had; returns what was refused and why."""
    refused = []
    for run_id in run_ids:
        record = pen.records.get(run_id)
        source, target = pen.paths.trash / run_id, pen.paths.run(run_id).dir
        if source.exists() and target.exists():
            refused.append(f"run {run_id[:8]}…: {target} exists already; move it away first")
            continue
        if source.exists():
            _bring_back(source, target.parent)
        pen.write(Changed(at=pen.clock(), run=run_id, state=record.before, cause=record.cause, reason="restored", by=by))
    return refused


def _bring_back(source: Path, folder: Path) -> None:
    if source.is_symlink():
        raise StoreError(f"{source}: is a symbolic link and is not restored.")
    move_into(source, folder)
