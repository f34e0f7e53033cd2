"""Move runs to the trash and back; nothing is deleted here."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from orchestrator.cluster.scheduler import Snapshot, TaskState
from orchestrator.launch.opened import OpenGrid, known_grids
from orchestrator.pruning.duplicates import Duplicate, still_kept
from orchestrator.store.errors import StoreError
from orchestrator.store.events import Changed
from orchestrator.store.files import move_below
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import Pen, read_records
from orchestrator.store.records import Record, Records, SubmissionRecord
from orchestrator.store.states import State

LOG = logging.getLogger(__name__)


def adopters(grid: OpenGrid, run_ids: Sequence[str]) -> dict[str, str]:
    """Return run id → name of a grid that has adopted its result."""
    found = {}
    for name in known_grids(grid.paths.dir.parent):
        records = read_records(GridPaths(grid.paths.dir.parent / name))  # damage stops us: what it adopted is not known
        for run_id in run_ids:
            if records.get(run_id).adopted_from == grid.paths.name and records.get(run_id).state is not State.PRUNED:
                found[run_id] = name
    return found


def prune(
    pen: Pen,
    grid: OpenGrid,
    chosen: Mapping[str, str],
    snapshot: Snapshot,
    *,
    by: str,
    duplicates: Mapping[str, Duplicate] | None = None,
) -> list[str]:
    """Move runs (id → why) to the trash; returns what was refused and why.

    The event comes first: a prune that was cut off between the two is finished by the next. Of `duplicates` (by run id) the other
    one is looked for once more after the event: of two prunes that each take the other's for the one that is kept, one gives way.
    """
    refused = _finish_earlier(pen)
    adopted = adopters(grid, list(chosen))  # under the pen: an adoption may have come since the runs were chosen
    moving = []
    for run_id, why in chosen.items():
        record = pen.records.get(run_id)
        told = obstacle(pen.paths, pen.records, record, snapshot) or _adopted_by(adopted.get(run_id))
        if told:
            refused.append(f"run {run_id[:8]}…: {told}")
            continue
        pen.write(Changed(at=pen.clock(), run=run_id, state=State.PRUNED, cause=record.cause, reason=why, by=by))
        moving.append(run_id)
    named = {run_id: duplicates[run_id] for run_id in moving if run_id in duplicates} if duplicates else {}
    orphaned = named.keys() - still_kept(grid, named.values())
    for run_id in orphaned:
        _take_back(pen, run_id, by)
        refused.append(f"run {run_id[:8]}…: its like in {named[run_id].other_grid} has gone meanwhile; it is kept")
    return refused + [told for run_id in moving if run_id not in orphaned and (told := _move_away(pen.paths, run_id))]


def _take_back(pen: Pen, run_id: str, by: str) -> None:
    record = pen.records.get(run_id)
    pen.write(Changed(at=pen.clock(), run=run_id, state=record.before, cause=record.cause, reason="restored", by=by))


def _finish_earlier(pen: Pen) -> list[str]:
    """Move the folders of runs that are pruned and lie where they were; returns what still could not be moved."""
    pruned = [record.id for record in pen.records.runs.values() if record.state is State.PRUNED]
    waiting = [run_id for run_id in pruned if not os.path.lexists(pen.paths.trash / run_id)]
    return [told for run_id in waiting if (told := _move_away(pen.paths, run_id))]


def place_of(paths: GridPaths, run_id: str) -> PurePosixPath:
    """Return where a run lies, relative to its grid's folder."""
    return PurePosixPath(paths.run(run_id).dir.relative_to(paths.dir))


def place_in_trash(paths: GridPaths, run_id: str) -> PurePosixPath:
    """Return where a pruned run lies, relative to its grid's folder."""
    return PurePosixPath((paths.trash / run_id).relative_to(paths.dir))


def _move_away(paths: GridPaths, run_id: str) -> str:
    """Move a run's folder to the trash; returns why it stays, empty when it is away or was never there."""
    if not os.path.lexists(paths.run(run_id).dir):
        return ""
    return _move(paths, run_id, place_of(paths, run_id), place_in_trash(paths, run_id))


def _move(paths: GridPaths, run_id: str, source: PurePosixPath, target: PurePosixPath) -> str:
    try:
        move_below(paths.dir, source, target)
    except StoreError as error:
        return f"run {run_id[:8]}…: {error}"
    except OSError as error:
        return f"run {run_id[:8]}…: {paths.dir / source} stays where it is ({error.strerror}); the next prune tries it again"
    return ""


def _adopted_by(grid: str | None) -> str:
    return f"grid {grid} has adopted its result; it is kept" if grid else ""


def obstacle(paths: GridPaths, records: Records, record: Record, snapshot: Snapshot) -> str:
    """Return why a run cannot be moved to the trash, and what to do; empty when it can. It looks at the run's folder."""
    folder, trash = paths.run(record.id).dir, paths.trash / record.id
    lives = why_not_now(records, record, snapshot)
    if lives:
        return lives
    for link in (folder, folder.parent, paths.trash):
        if link.is_symlink():
            return f"{link} is a symbolic link and is left alone"
    if folder.exists() and folder.stat().st_uid != os.getuid():
        return f"{folder} belongs to user {folder.stat().st_uid} and is left alone"
    if folder.exists() and os.path.lexists(trash):
        return f"{trash} is there from an earlier prune; move it away first"
    return ""


def why_not_now(records: Records, record: Record, snapshot: Snapshot) -> str:
    """Return why a run, or a part of it, must not be moved while things are as they are; empty when it may."""
    if record.is_alive:
        return f"is {record.state.value}; cancel it first"
    if record.token and not snapshot.queue_ok:
        return "the scheduler does not say whether one of its tasks lives; prune it when it answers"
    if any(submission.is_open and _rows(submission, record) for submission in records.submissions.values()):
        return "nobody knows yet whether the scheduler took it; watch finds out, prune it then"
    if _may_be_taken(records.submissions.values(), record, snapshot):
        return "a task that could compute it still lives; prune it when that has ended"
    return ""


def _may_be_taken(submissions: Iterable[SubmissionRecord], record: Record, snapshot: Snapshot) -> bool:
    """Say whether a worker may compute the run, or could claim one of its attempts anew once its folder is gone."""
    for submission in submissions:
        living = {index for index, row in snapshot.tasks.get(submission.token, {}).items() if row.state is not TaskState.ENDED}
        if living and any(submission.listed or row in living for row in _rows(submission, record)):
            return True
    return False


def _rows(submission: SubmissionRecord, record: Record) -> list[int]:
    return [row for row, (run_id, _) in enumerate(submission.runs) if run_id == record.id]


def _had_files(record: Record) -> bool:
    """Say whether a run has a folder of its own to lose: one that was adopted or never submitted may have none."""
    return record.attempt > 0 and not record.adopted_from


def restore(pen: Pen, run_ids: Sequence[str], *, by: str) -> list[str]:
    """Bring runs back from the trash, to the state that they had; returns what was refused and why."""
    refused = []
    for run_id in run_ids:
        source, target = pen.paths.trash / run_id, pen.paths.run(run_id).dir
        in_trash, in_place = os.path.lexists(source), os.path.lexists(target)
        told = ""
        if in_trash and in_place:
            told = f"run {run_id[:8]}…: {target} exists already; move it away first"
        elif not in_trash and not in_place and _had_files(pen.records.get(run_id)):
            told = f"run {run_id[:8]}…: its files are neither in {source.parent} nor where they were; there is nothing to bring back"
        elif in_trash:
            record = pen.records.get(run_id)  # the event renews its age: cut off here, the next prune takes it back to the trash
            pen.write(Changed(at=pen.clock(), run=run_id, state=State.PRUNED, cause=record.cause, reason=record.reason))
            told = _move(pen.paths, run_id, place_in_trash(pen.paths, run_id), place_of(pen.paths, run_id))
        if told:
            refused.append(told)
        else:
            _take_back(pen, run_id, by)
    return refused
