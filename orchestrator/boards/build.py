"""Build runs/NAME/tensorboard: a folder a run, named by what varies, so that plain `tensorboard --logdir` shows the grid."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath

import msgspec

from orchestrator.boards.cut import cut_file, find_limits, read_curves
from orchestrator.boards.event_file import check_tensorboard
from orchestrator.boards.names import board_names
from orchestrator.boards.plan import OURS, BoardRun, Entry, entries_of, stale_runs
from orchestrator.boards.sources import find_sources
from orchestrator.grid.manifest import Manifest
from orchestrator.metrics.history import EMPTY
from orchestrator.metrics.reading import read_history
from orchestrator.store.errors import StoreError
from orchestrator.store.files import (
    check_point,
    make_dir,
    opened_below,
    read_whole,
    refuse_link,
    remove_below,
    remove_empty_below,
    write_atomic,
    write_plain,
)
from orchestrator.store.layout import BoardPaths, GridPaths
from orchestrator.store.records import Record
from orchestrator.store.states import State


class Boards(msgspec.Struct, frozen=True, kw_only=True):
    """The folder for TensorBoard, and what was done to bring it up to date."""

    dir: Path
    names: Mapping[str, str]
    """Run id → its folder, for each run that has been started."""
    made: int = 0
    removed: int = 0
    notes: tuple[str, ...] = ()
    """Sentences on what was left alone."""


def build_boards(paths: GridPaths, pairs: Sequence[tuple[Manifest, Record]]) -> Boards:
    """Bring the folder up to date for these runs, which are all of the grid; a second call does only what has changed since.

    Nothing but what this module made is ever removed or replaced. Raises InputError without tensorboard, StoreError where
    the folder is a link.
    """
    check_tensorboard()
    runs = _started(paths, pairs)
    with _writing(paths.boards), opened_below(paths.dir, PurePath(paths.boards.name), make=True):
        marks = _marks(paths)
        obsolete = sorted(marks.keys() - {run.name for run in runs})
        left = [sentence for name in obsolete for sentence in _clear(paths, paths.board(name), keep=())]
        stale = stale_runs(runs, marks)
        left += _make(paths, stale)
    return Boards(
        dir=paths.boards,
        names={run.manifest.id: run.name for run in runs},
        made=len(stale),
        removed=len(obsolete),
        notes=tuple(left),
    )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Tell what the system refuses in a sentence with a way out."""
    try:
        yield
    except OSError as error:
        told = f"{error.filename or folder}: cannot be written ({error.strerror})."
        raise StoreError(f"{told} The folder is made by whom the grid belongs to; free some space where that is lacking.") from error


def _started(paths: GridPaths, pairs: Iterable[tuple[Manifest, Record]]) -> list[BoardRun]:
    pairs = list(pairs)
    names = board_names(manifest for manifest, _ in pairs)
    there = [(manifest, record) for manifest, record in pairs if _has_files(record)]
    return [BoardRun(name=names[run.id], manifest=run, record=record, sources=find_sources(paths, record)) for run, record in there]


def _has_files(record: Record) -> bool:
    return record.state is not State.PRUNED and bool(record.attempts or record.adopted_from)


def _marks(paths: GridPaths) -> dict[str, bytes]:
    """Return folder name → mark of the folders that are ours."""
    found = {}
    with os.scandir(paths.boards) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    for name in names:
        try:
            found[name] = read_whole(paths.board(name).mark)
        except OSError:
            continue
    return found


def _make(paths: GridPaths, stale: Sequence[BoardRun]) -> list[str]:
    """Make the folders of these runs."""
    history = read_history(paths, [run.record for run in stale])
    left = []
    for run in stale:
        board = paths.board(run.name)
        limits = find_limits(run.sources, read_curves) if run.has_event_files else {}
        entries = entries_of(run, board, history.get(run.manifest.id, EMPTY), limits, cut_file)
        left += _put_all(paths, board, entries, run.mark)
    return left


def _put_all(paths: GridPaths, board: BoardPaths, entries: Mapping[Path, Entry], mark: bytes) -> list[str]:
    """Make a run's folder hold these entries; the mark comes last, so that what is cut off here is done again."""
    _make_inner(board.dir, board.dir)
    left = _clear(paths, board, keep=entries.keys())
    for path, entry in entries.items():
        _make_inner(board.dir, path.parent)
        _put_link(path, entry) if isinstance(entry, str) else _put_file(path, entry)
    write_atomic(board.mark, mark, durable=False)
    return left


def _make_inner(top: Path, folder: Path) -> None:
    if folder != top:
        _make_inner(top, folder.parent)
    refuse_link(folder)
    make_dir(folder)


def _put_link(path: Path, target: str) -> None:
    if path.is_symlink() and os.readlink(path) == target:
        return
    check_point("symlink", path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _put_file(path: Path, content: bytes) -> None:
    """Write a file of our own; one that has only grown is written in place, for a TensorBoard that is reading it goes on there."""
    old = b"" if path.is_symlink() or not path.exists() else read_whole(path)
    if old == content:
        return
    if old and content.startswith(old):
        write_plain(path, content)
    else:
        write_atomic(path, content, durable=False)


def _clear(paths: GridPaths, board: BoardPaths, *, keep: Iterable[Path]) -> list[str]:
    """Remove from a folder of ours what we put there and is not kept; returns a sentence for what stays all the same."""
    kept, left = set(keep), []
    for folder, _, names in os.walk(board.dir, topdown=False):
        for path in (Path(folder, name) for name in names if OURS.match(name)):
            if path not in kept:
                left += remove_below(paths.dir, path.relative_to(paths.dir))
    if not kept:
        remove_empty_below(paths.dir, board.dir.relative_to(paths.dir))
        left += [f"{board.dir}: holds files of somebody else, and stays"] if board.dir.exists() else []
    return left
