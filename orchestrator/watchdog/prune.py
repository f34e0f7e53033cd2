"""Move runs to the trash and back; nothing is deleted."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from orchestrator.cluster.scheduler import Snapshot, TaskState
from orchestrator.grid.manifest import Manifest, content
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
        except (StoreError, OSError) as error:
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
    same_config = {content(manifest): run_id for run_id, manifest in complete.items()}
    found = []
    for run_id, manifest in candidates.items():
        if run_id in adopted:
            continue
        twin = run_id if run_id in complete else same_config.get(content(manifest))
        if twin is not None:
            why = "same id" if twin == run_id else "same entry and complete config"
            found.append(Duplicate(run=run_id, other_grid=other.paths.name, other_run=twin, why=why))
    return found


def adopters(grid: OpenGrid, run_ids: Sequence[str]) -> dict[str, str]:
    """Return run id → name of a grid that has adopted its result."""
    found = {}
    for name in known_grids(grid.paths.dir.parent):
        records = read_records(GridPaths(grid.paths.dir.parent / name))  # damage stops us: what it adopted is not known
        for run_id in run_ids:
            if records.get(run_id).adopted_from == grid.paths.name:
                found[run_id] = name
    return found


def prune(pen: Pen, grid: OpenGrid, chosen: Mapping[str, str], snapshot: Snapshot, *, by: str) -> list[str]:
    """Move runs (id → why) to the trash; returns what was refused and why.

    The event comes first: a prune that was cut off between the two is finished by the next.
    """
    _finish_earlier(pen)
    adopted = adopters(grid, list(chosen))  # under the pen: an adoption may have come since the runs were chosen
    refused = []
    for run_id, why in chosen.items():
        record = pen.records.get(run_id)
        obstacle = _obstacle(pen, record, snapshot, adopted.get(run_id, ""))
        if obstacle:
            refused.append(f"run {run_id[:8]}…: {obstacle}")
            continue
        pen.write(Changed(at=pen.clock(), run=run_id, state=State.PRUNED, cause=record.cause, reason=why, by=by))
        _move_away(pen.paths, run_id)
    return refused


def _finish_earlier(pen: Pen) -> None:
    """Move the folders of runs that are pruned and lie where they were."""
    for record in pen.records.runs.values():
        if record.state is State.PRUNED and not (pen.paths.trash / record.id).exists():
            _move_away(pen.paths, record.id)


def _move_away(paths: GridPaths, run_id: str) -> None:
    folder = paths.run(run_id).dir
    if folder.exists():
        move_into(folder, paths.trash)


def _obstacle(pen: Pen, record: Record, snapshot: Snapshot, adopter: str) -> str:
    """Return why a run cannot be moved to the trash, and what to do; empty when it can."""
    folder, trash = pen.paths.run(record.id).dir, pen.paths.trash / record.id
    if record.is_alive:
        return f"is {record.state.value}; cancel it first"
    if record.token and not snapshot.queue_ok:
        return "the scheduler does not say whether one of its tasks lives; prune it when it answers"
    if _may_be_taken(pen.records, record, snapshot):
        return "a task that could compute it still lives; prune it when that has ended"
    if adopter:
        return f"grid {adopter} has adopted its result; it is kept"
    if folder.is_symlink():
        return f"{folder} is a symbolic link and is left alone"
    if folder.exists() and folder.stat().st_uid != os.getuid():
        return f"{folder} belongs to user {folder.stat().st_uid} and is left alone"
    if folder.exists() and trash.exists():
        return f"{trash} is there from an earlier prune; move it away first"
    return ""


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
        if not source.exists() and not target.exists():
            refused.append(
                f"run {run_id[:8]}…: its files are neither in {source.parent} nor where they were; there is nothing to bring back"
            )
            continue
        if source.exists():
            _bring_back(source, target.parent)
        pen.write(Changed(at=pen.clock(), run=run_id, state=record.before, cause=record.cause, reason="restored", by=by))
    return refused


def _bring_back(source: Path, folder: Path) -> None:
    if source.is_symlink():
        raise StoreError(f"{source}: is a symbolic link and is not restored.")
    move_into(source, folder)
