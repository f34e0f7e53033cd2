"""What emptying the trash deletes, and all that it leaves."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.launch.opened import OpenGrid
from orchestrator.pruning.carry_out import carry_back, plan_return
from orchestrator.pruning.emptying import empty, plan_emptying
from orchestrator.pruning.plan import Kind, Wanted, plan_prune, weigh
from orchestrator.pruning.runs import prune, restore
from orchestrator.pruning.trash import Item, held, throw
from orchestrator.results.select import Selection
from orchestrator.store import files
from orchestrator.store.errors import StoreError
from orchestrator.store.ledger import take_pen
from orchestrator.store.states import Cause, State
from tests.pruning.shelf import QUIET, Killed, Shelf, kill_at, tree
from tests.pruning.shelf import make_deep as make_deep
from tests.pruning.shelf import shelf as shelf


@pytest.fixture
def grid(shelf: Shelf) -> OpenGrid:
    """Two failed runs, of which the first is pruned at 100, and a checkpoint of the second at 200."""
    grid = shelf.grid("g", {"x": 1}, {"x": 2})
    runs = list(grid.manifests)
    for run in runs:
        shelf.attempt(grid, run, State.FAILED, written={"checkpoint/state-1.pt": b"1" * 9000})
    (grid.paths.run(runs[0]).attempt(1).dir / "way out").symlink_to(shelf.runs.parent)
    (grid.paths.run(runs[0]).attempt(1).dir / "home").symlink_to(grid.paths.run(runs[1]).dir)
    with take_pen(grid.paths, clock=lambda: 100.0) as pen:
        assert prune(pen, grid, {runs[0]: "failed"}, QUIET, by="ada") == []
    place = grid.paths.run(runs[1]).attempt(1).checkpoint.relative_to(grid.paths.dir)
    throw(grid.paths.parts, [Item(path=f"{place}/state-1.pt", kind="old checkpoint", why="", run=runs[1])], by="ada", at=200.0)
    return grid


def emptied(grid: OpenGrid, before: float) -> list[str]:
    shown = plan_emptying(grid.paths, before=before)
    with take_pen(grid.paths, lease_s=0.0) as pen:
        return empty(pen, shown, before=before)


def in_trash(grid: OpenGrid) -> tuple[bool, bool]:
    """Say whether the run lies in the trash, and whether the checkpoint does."""
    return (grid.paths.trash / next(iter(grid.manifests))).exists(), bool(list(held(grid.paths.parts)))


@pytest.mark.parametrize(
    ("before", "left"), [(99.0, (True, True)), (100.0, (False, True)), (199.0, (False, True)), (200.0, (False, False))]
)
def test_only_what_was_moved_long_ago_is_deleted(grid: OpenGrid, before: float, left: tuple[bool, bool]) -> None:
    assert emptied(grid, before) == []
    assert in_trash(grid) == left


def test_plan_says_what_is_old_and_what_too_young_and_writes_nothing(grid: OpenGrid) -> None:
    content = tree(grid.paths.dir, without=())
    found = plan_emptying(grid.paths, before=150.0)
    assert [(one.is_run, one.at) for one in found.old] == [(True, 100.0)]
    assert [(one.is_run, one.at, one.count) for one in found.young] == [(False, 200.0, 1)]
    assert found.old[0].size.bytes >= 9000
    assert tree(grid.paths.dir, without=()) == content


def test_what_was_not_shown_is_not_deleted(grid: OpenGrid) -> None:
    shown = plan_emptying(grid.paths, before=150.0)
    with take_pen(grid.paths) as pen:
        assert empty(pen, shown, before=1000.0) == []
    assert in_trash(grid) == (False, True)


def test_nothing_outside_the_trash_is_deleted(shelf: Shelf, grid: OpenGrid) -> None:
    (shelf.runs.parent / "precious").write_text("precious")
    before = tree(grid.paths.run(list(grid.manifests)[1]).dir)
    assert emptied(grid, 1000.0) == []
    assert (shelf.runs.parent / "precious").exists()
    assert tree(grid.paths.run(list(grid.manifests)[1]).dir) == before


def test_kill_in_the_middle_leaves_nothing_that_is_half_restored(grid: OpenGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    run = next(iter(grid.manifests))
    for turn in range(100):
        with monkeypatch.context() as patch:
            kill_at(patch, turn)
            try:
                emptied(grid, 150.0)
                break
            except Killed:
                pass
        whole = (grid.paths.trash / run).exists()
        if whole:
            assert (grid.paths.trash / run / "attempt-1" / "checkpoint" / "state-1.pt").exists()
        else:
            with take_pen(grid.paths, lease_s=0.0) as pen:
                assert "nothing to bring back" in restore(pen, [run], by="ada")[0]
    assert turn > 5
    assert not os.path.lexists(grid.paths.condemned)
    assert in_trash(grid) == (False, True)


def brought_back(grid: OpenGrid, run: str, at: float, patch: pytest.MonkeyPatch, turn: int = 1000) -> bool:
    """Restore a run; says whether it lived beyond so many operations."""
    with take_pen(grid.paths, clock=lambda: at, lease_s=0.0) as pen, patch.context() as inner:
        kill_at(inner, turn)
        try:
            return restore(pen, [run], by="ada") == []
        except Killed:
            return False


def test_run_whose_restore_was_killed_at_any_operation_is_not_deleted(grid: OpenGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    run = next(iter(grid.manifests))
    before = tree(grid.paths.trash / run)
    for turn in range(1, 100):  # before the first operation nothing has begun
        month = 1000.0 * turn
        done = brought_back(grid, run, month + 500, monkeypatch, turn)
        with take_pen(grid.paths, clock=lambda now=month + 600: now, lease_s=0.0) as pen:
            assert prune(pen, grid, {}, QUIET, by="policy") == []  # what was cut off goes back to the trash
        assert emptied(grid, month + 499) == []
        is_back = grid.paths.run(run).dir.exists()
        assert tree(grid.paths.run(run).dir if is_back else grid.paths.trash / run) == before
        if done:
            break
        assert is_back or brought_back(grid, run, month + 700, monkeypatch)
        with take_pen(grid.paths, clock=lambda now=month + 1000: now, lease_s=0.0) as pen:
            assert prune(pen, grid, {run: "failed"}, QUIET, by="ada") == []
    assert turn > 3


def test_run_with_a_very_deep_folder_is_weighed_and_pruned(shelf: Shelf, make_deep: Callable[[Path], None]) -> None:
    grid = shelf.grid("deep", {"x": 1})
    [run] = grid.manifests
    make_deep(shelf.attempt(grid, run, State.FAILED, cause=Cause.ERROR).dir)
    wanted = Wanted(kinds=frozenset({Kind.ABORTED}))
    assert weigh(plan_prune(shelf.scene(grid), wanted), grid).sizes[Kind.ABORTED].files == 3
    with take_pen(grid.paths, clock=lambda: 100.0) as pen:
        assert prune(pen, grid, {run: "failed"}, QUIET, by="ada") == []
    [old] = plan_emptying(grid.paths, before=100.0).old
    assert (old.is_run, old.size.files) == (True, 3)


def test_what_could_not_be_deleted_is_told_and_tried_again(grid: OpenGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    def hold(operation: str, path: Path) -> None:
        if operation == "unlink" and Path(path).name == "state-1.pt":
            raise OSError(16, "Device or resource busy")

    with monkeypatch.context() as patch:
        patch.setattr(files, "check_point", hold)
        [told] = emptied(grid, 150.0)
    assert "Device or resource busy" in told
    assert plan_emptying(grid.paths, before=0.0).condemned.files == 1
    assert emptied(grid, 0.0) == []
    assert not grid.paths.condemned.exists()
    assert in_trash(grid) == (False, True)


def test_what_prune_did_not_put_there_is_left_and_told(grid: OpenGrid) -> None:
    (grid.paths.trash / "notes.txt").write_text("mine")
    assert plan_emptying(grid.paths, before=1000.0).unknown == ("notes.txt",)
    emptied(grid, 1000.0)
    assert (grid.paths.trash / "notes.txt").read_text() == "mine"


def test_what_was_restored_meanwhile_is_not_deleted(grid: OpenGrid) -> None:
    shown = plan_emptying(grid.paths, before=1000.0)
    with take_pen(grid.paths) as pen:
        carry_back(pen, plan_return(grid, pen.records, Selection()), by="ada")
    before = tree(grid.paths.dir)
    with take_pen(grid.paths) as pen:
        assert empty(pen, shown, before=1000.0) == []
    assert tree(grid.paths.dir) == before


@pytest.mark.parametrize("target", ["outside", "nowhere"])
def test_trash_that_is_a_link_is_not_emptied(shelf: Shelf, grid: OpenGrid, target: str) -> None:
    outside = shelf.runs.parent / "outside"
    grid.paths.trash.rename(outside)
    grid.paths.trash.symlink_to(shelf.runs.parent / target)
    before = tree(outside)
    with pytest.raises(StoreError, match="symbolic link"):
        plan_emptying(grid.paths, before=1000.0)
    assert tree(outside) == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a file away")
def test_file_of_another_user_is_left_and_told(grid: OpenGrid) -> None:
    theirs = grid.paths.trash / next(iter(grid.manifests)) / "attempt-1" / "log.txt"
    os.chown(theirs, 12345, -1)
    [told] = emptied(grid, 150.0)
    assert "belongs to user 12345" in told
    assert [path.name for path in grid.paths.condemned.rglob("*") if path.is_file()] == ["log.txt"]
