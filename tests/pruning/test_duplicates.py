"""Which of two runs of one science is kept, and what is said of the keys that differ."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from orchestrator.grid.manifest import Need
from orchestrator.launch.opened import OpenGrid
from orchestrator.pruning import duplicates
from orchestrator.pruning.duplicates import Duplicate, find_duplicates, still_kept
from orchestrator.store.events import Adopted, Changed
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import read_records, take_pen
from orchestrator.store.records import Records
from orchestrator.store.states import State
from tests.pruning.shelf import Shelf
from tests.pruning.shelf import shelf as shelf

DONE, FAILED = State.COMPLETED, State.FAILED


def found(grid: OpenGrid) -> list[Duplicate]:
    again = OpenGrid(grid.paths)
    return find_duplicates(again, read_records(grid.paths))


KEPT = {
    "the other completed": ((FAILED, 90, 5.0), (DONE, 50, 4.0), "is completed"),
    "ours completed": ((DONE, 50, 4.0), (FAILED, 90, 5.0), ""),
    "both completed: the named one goes": ((DONE, 50, 9.0), (DONE, 50, 4.0), "is completed too"),
    "both completed, ours came further": ((DONE, 60, 4.0), (DONE, 50, 9.0), ""),
    "the other came further": ((FAILED, 10, 9.0), (FAILED, 40, 4.0), "came to step 40, not 10"),
    "ours came further": ((FAILED, 40, 4.0), (FAILED, 10, 9.0), ""),
    "as far, the other is newer": ((FAILED, 10, 4.0), (FAILED, 10, 9.0), "is newer"),
    "as far, ours is newer": ((FAILED, 10, 9.0), (FAILED, 10, 4.0), ""),
    "steps unknown, the other is newer": ((FAILED, None, 4.0), (FAILED, None, 9.0), "is newer"),
}


@pytest.mark.parametrize(("ours", "theirs", "kept"), KEPT.values(), ids=KEPT)
def test_completed_is_kept_before_furthest_before_newest(shelf: Shelf, ours: Any, theirs: Any, kept: str) -> None:
    for name, (state, step, at) in (("a", ours), ("b", theirs)):
        grid = shelf.grid(name, {"x": 1})
        [run] = grid.manifests
        shelf.attempt(grid, run, state, step=step, at=at)
    told = [duplicate.kept for duplicate in found(OpenGrid(grid.paths.__class__(shelf.runs / "a")))]
    assert told == ([kept] if kept else [])


def complete(shelf: Shelf, *grids: OpenGrid) -> None:
    for grid in grids:
        for run in grid.manifests:
            shelf.attempt(grid, run, DONE)


def test_same_id_tells_of_runtime_keys_and_changed_defaults(shelf: Shelf) -> None:
    ours = shelf.grid("a", {"x": 1, "workers": 2}, runtime=("workers",))
    theirs = shelf.grid("b", {"x": 1, "workers": 8}, runtime=("workers",))
    [run] = ours.manifests
    shelf.add(theirs, {"x": 1, "workers": 8, "clip": 0.5}, identity=run)  # a default that came later
    complete(shelf, ours, theirs)
    [duplicate] = found(ours)
    assert (duplicate.match, duplicate.other_run) == ("same id", run)
    assert duplicate.differences == (
        "clip is 0.5 there and not named here (a default of the schema when it was made)",
        "workers is 2 here and 8 there (a runtime key)",
    )


def test_runtime_keys_of_one_of_the_grids_do_not_count(shelf: Shelf) -> None:
    ours = shelf.grid("a", {"x": 1, "workers": 2})
    theirs = shelf.grid("b", {"x": 1, "workers": 8}, runtime=("workers",))
    complete(shelf, ours, theirs)
    [duplicate] = found(ours)
    assert duplicate.match == "same entry, and same config but for runtime keys"
    assert duplicate.differences[-1] == "the ids differ: workers is a runtime key of only one of the grids"


def test_same_config_of_an_older_canonical_form_is_found_and_explained(shelf: Shelf) -> None:
    ours = shelf.grid("a", {"x": 1.0, "é": "é"})
    theirs = shelf.grid("b")
    shelf.add(theirs, {"é": "é", "x": 1}, identity="0123456789abcdef")
    complete(shelf, ours, theirs)
    [duplicate] = found(ours)
    assert duplicate.match == "same entry and complete config"
    assert duplicate.differences == (
        "x is 1.0 here and 1 there (the same value)",
        "the ids differ: one was made from an older canonical form",
    )


@pytest.mark.parametrize(
    "theirs",
    [
        lambda shelf: shelf.grid("b", {"x": 2}),
        lambda shelf: shelf.grid("b", {"x": "1"}),
        lambda shelf: shelf.grid("b", {"x": True}),
        lambda shelf: shelf.grid("b", {"x": 1, "y": None}),
        lambda shelf: shelf.grid("b", {"x": 1}, entry="study:other"),
    ],
)
def test_another_science_is_no_duplicate(shelf: Shelf, theirs: Any) -> None:
    ours = shelf.grid("a", {"x": 1})
    complete(shelf, ours, theirs(shelf))
    assert found(ours) == []


def test_run_that_starts_from_another_result_is_no_duplicate(shelf: Shelf) -> None:
    ours, theirs = shelf.grid("a"), shelf.grid("b")
    for grid, sha256 in ((ours, "aa"), (theirs, "bb")):
        shelf.add(grid, {"x": 1}, needs={"weights": Need(grid="stl", run="0" * 16, sha256=sha256, path="stl/00/x/attempt-1/checkpoint")})
    complete(shelf, ours, theirs)
    assert found(ours) == []


@pytest.mark.parametrize("happens", ["pruned", "alive", "adopted by it", "adopted from us", "files gone", "never started"])
def test_run_has_no_duplicate_in_a_grid_that_does_not_hold_it_itself(shelf: Shelf, happens: str) -> None:
    ours, theirs = shelf.grid("a", {"x": 1}), shelf.grid("b", {"x": 1})
    [run] = ours.manifests
    complete(shelf, ours)
    if happens == "alive":
        shelf.attempt(theirs, run, None)
    elif happens.startswith("adopted"):
        grid = theirs if happens == "adopted by it" else ours
        with take_pen(theirs.paths) as pen:
            pen.write(Adopted(at=1.0, run=run, grid=grid.paths.name if grid is ours else "a", attempt="attempt-1"))
    elif happens != "never started":
        complete(shelf, theirs)
    if happens == "pruned":
        with take_pen(theirs.paths) as pen:
            pen.write(Changed(at=11.0, run=run, state=State.PRUNED))
    if happens == "files gone":
        shutil.rmtree(theirs.paths.run(run).dir)
    assert found(ours) == []


def test_grid_that_cannot_be_read_is_passed_over(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    ours, broken, theirs = shelf.grid("a", {"x": 1}), shelf.grid("b", {"x": 1}), shelf.grid("c", {"x": 1})
    complete(shelf, ours, broken, theirs)
    broken.paths.manifest.write_text("not json\nnot json\n\n")
    assert [duplicate.other_grid for duplicate in found(ours)] == ["c"]
    assert "grid b is passed over" in caplog.text


def test_other_grid_is_read_once_however_many_runs_it_holds_again(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = (shelf.grid(name, *({"x": number} for number in range(5))) for name in ("a", "b"))
    complete(shelf, ours, theirs)
    twins, read = found(ours), list[str]()

    def read_and_count(paths: GridPaths) -> Records:
        read.append(paths.name)
        return read_records(paths)

    monkeypatch.setattr(duplicates, "read_records", read_and_count)
    shutil.rmtree(theirs.paths.run(twins[0].run).dir)
    assert still_kept(ours, twins) == {twin.run for twin in twins[1:]}
    assert (len(twins), read) == (5, ["b"])
