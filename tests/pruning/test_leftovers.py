"""Which attempts and checkpoints nothing reads any more."""

from __future__ import annotations

import os

import pytest

from orchestrator.launch.opened import OpenGrid
from orchestrator.pruning.leftovers import QUIET_S, Saved, may_be_written, old_checkpoints, replaced, stale_attempts
from orchestrator.store.states import State
from tests.pruning.shelf import Shelf
from tests.pruning.shelf import shelf as shelf

CASES = {
    "older states of a series": (["state-000001-000000010.pt", "state-000002-000000005.pt"], ["state-000001-000000010.pt"]),
    "best ones are kept": (["best-01.pt", "best-02.pt", "Best_model_0.91.pt"], []),
    "last ones are kept": (["last-v1.ckpt", "last-v2.ckpt"], []),
    "files of their own names belong to one checkpoint": (["model.pt", "optimizer.pt", "meta.json"], []),
    "two series": (["model-1.pt", "optimizer-1.pt", "model-2.pt", "optimizer-2.pt"], ["model-1.pt", "optimizer-1.pt"]),
    "rounds of another tool": (["0_net.pth", "1_net.pth", "10_net.pth"], ["0_net.pth", "1_net.pth"]),
    "pieces of the newest are kept": (
        ["step-1-rank0.pt", "step-1-rank1.pt", "step-2-rank0.pt", "step-2-rank1.pt"],
        ["step-1-rank0.pt", "step-1-rank1.pt"],
    ),
    "pieces alone are one checkpoint": (["model-00001-of-00003.bin", "model-00002-of-00003.bin", "model-00003-of-00003.bin"], []),
    "odd names": (["a b 1'\n.pt", "a b 2'\n.pt"], ["a b 1'\n.pt"]),
    "numbers beyond any size": (["s9" + "9" * 40, "s1" + "0" * 60], ["s9" + "9" * 40]),
    "a word that ends like a piece": (["temp-1.pt", "temp-2.pt"], ["temp-1.pt"]),
    "one": (["state-1.pt"], []),
    "none": ([], []),
}


@pytest.mark.parametrize(("names", "old"), CASES.values(), ids=CASES)
def test_old_are_the_members_of_a_series_that_a_newer_one_replaced(names: list[str], old: list[str]) -> None:
    saved = [Saved(name=name, changed_ns=turn) for turn, name in enumerate(names)]
    assert sorted(replaced(saved, {})) == sorted(old)


def test_newest_is_the_one_written_last_whatever_its_number() -> None:
    saved = [Saved(name="step-9.pt", changed_ns=1), Saved(name="step-3.pt", changed_ns=2)]
    assert dict(replaced(saved, {})) == {"step-9.pt": "step-3.pt"}


def test_of_two_written_at_once_the_larger_number_is_the_newest() -> None:
    saved = [Saved(name="step-10.pt", changed_ns=1), Saved(name="step-9.pt", changed_ns=1)]
    assert dict(replaced(saved, {})) == {"step-9.pt": "step-10.pt"}


def test_link_and_what_it_points_to_are_kept() -> None:
    saved = [Saved(name=f"epoch-{turn}.pt", changed_ns=turn) for turn in range(3)] + [
        Saved(name="now", changed_ns=9, points_to="epoch-0.pt")
    ]
    assert dict(replaced(saved, {})) == {"epoch-1.pt": "epoch-2.pt"}


@pytest.fixture
def grid(shelf: Shelf) -> OpenGrid:
    return shelf.grid("g", {"x": 1})


def test_later_attempt_replaces_what_an_earlier_one_saved_but_not_its_best(shelf: Shelf, grid: OpenGrid) -> None:
    [run] = grid.manifests
    saved = {"checkpoint/state-1.pt": b"1", "checkpoint/state-2.pt": b"2", "checkpoint/best.pt": b"b"}
    shelf.attempt(grid, run, State.INTERRUPTED, written=saved)
    shelf.attempt(grid, run, State.FAILED, written={"checkpoint/state-3.pt": b"3", "checkpoint/.state-4.pt.part": b"4"})
    found = {(attempt.dir.name, name): why for attempt, name, why in old_checkpoints(grid.paths.run(run))}
    assert set(found) == {("attempt-1", "state-1.pt"), ("attempt-1", "state-2.pt")}
    assert found["attempt-1", "state-1.pt"] == "attempt-2/state-3.pt is newer"


def test_stale_are_the_attempts_that_neither_completed_nor_led_to_it(shelf: Shelf, grid: OpenGrid) -> None:
    [run] = grid.manifests
    shelf.attempt(grid, run, State.INTERRUPTED)
    shelf.attempt(grid, run, State.INTERRUPTED)
    shelf.attempt(grid, run, State.COMPLETED, resume="attempt-1")
    assert stale_attempts(grid.paths.run(run), shelf.record(grid, run)) == ["attempt-2"]


def test_nothing_is_stale_where_the_attempt_that_completed_is_not_there(shelf: Shelf, grid: OpenGrid) -> None:
    [run] = grid.manifests
    shelf.attempt(grid, run, State.INTERRUPTED)
    done = shelf.attempt(grid, run, State.COMPLETED)
    done.dir.rename(done.dir.with_name("moved by hand"))
    assert stale_attempts(grid.paths.run(run), shelf.record(grid, run)) == []


def test_attempt_of_a_lost_node_is_left_while_its_heart_beats(shelf: Shelf, grid: OpenGrid) -> None:
    [run] = grid.manifests
    zombie = shelf.attempt(grid, run, State.INTERRUPTED, written={"heartbeat": b"x"})
    zombie.end.unlink()  # Slurm told of the end, not the process
    record = shelf.record(grid, run)
    beat = zombie.heartbeat.stat().st_mtime
    assert may_be_written(zombie, record, beat + QUIET_S - 1)
    assert not may_be_written(zombie, record, beat + QUIET_S + 1)
    os.utime(zombie.heartbeat, (beat + 9999, beat + 9999))
    assert may_be_written(zombie, record, beat + QUIET_S + 1)


def test_attempt_that_nobody_saw_end_may_be_written_to(shelf: Shelf, grid: OpenGrid) -> None:
    [run] = grid.manifests
    going = shelf.attempt(grid, run, None)
    assert may_be_written(going, shelf.record(grid, run), 1e10)
    going.end.write_text("{}")
    assert not may_be_written(going, shelf.record(grid, run), 1e10)
