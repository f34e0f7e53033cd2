"""What prune refuses, and that a prune which was cut off is finished by the next."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from orchestrator.cli.options import Target
from orchestrator.cli.prune import command
from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.launch.opened import OpenGrid
from orchestrator.pruning.runs import prune, restore
from orchestrator.results.failures import group_failures
from orchestrator.store import files
from orchestrator.store.events import Adopted, Applied, Changed, Ended, Intent, Started, Submitted
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import read_records, take_pen
from orchestrator.store.records import Record
from orchestrator.store.states import Cause, State
from tests.pruning.shelf import QUIET, Shelf
from tests.pruning.shelf import shelf as shelf
from tests.watchdog.study import Study

RUN = "0123456789abcdef"


@pytest.fixture
def grid(tmp_path: Path) -> OpenGrid:
    """A grid whose only run failed."""
    paths = GridPaths(tmp_path / "runs" / "g")
    with take_pen(paths) as pen:
        pen.write(
            Applied(at=1.0, version=1, added=1),
            Intent(at=1.0, token="t1", runs=((RUN, 1),), tasks=1, max_parallel=1),
            Submitted(at=2.0, token="t1", job_id="7"),
            Started(at=3.0, run=RUN, attempt=1, token="t1", index=0, host="n1"),
            Ended(at=4.0, run=RUN, attempt=1, state=State.FAILED, cause=Cause.ERROR, message="ValueError: 3 > 2", signature="f.py:g"),
        )
    (paths.dir / "manifest.jsonl").touch()
    paths.run(RUN).attempt(1).dir.mkdir(parents=True)
    return OpenGrid(paths)


def pruned(grid: OpenGrid, snapshot: Snapshot = QUIET) -> list[str]:
    with take_pen(grid.paths) as pen:
        return prune(pen, grid, {RUN: "by hand"}, snapshot, by="me")


def record(grid: OpenGrid) -> Record:
    return read_records(grid.paths).get(RUN)


def state(grid: OpenGrid) -> State:
    return record(grid).state


def brought_back(grid: OpenGrid) -> list[str]:
    with take_pen(grid.paths) as pen:
        return restore(pen, [RUN], by="me")


def folders(grid: OpenGrid) -> tuple[bool, bool]:
    """Say whether the run lies in its place, and whether in the trash."""
    return grid.paths.run(RUN).dir.exists(), (grid.paths.trash / RUN).exists()


def what_it_was(grid: OpenGrid) -> tuple[object, ...]:
    one = record(grid)
    return one.state, one.cause, one.reason, dict(one.tally), one.signature, one.attempt, one.attempts


def test_run_moves_to_the_trash_and_back(grid: OpenGrid) -> None:
    before = what_it_was(grid)
    assert before[:5] == (State.FAILED, Cause.ERROR, "ValueError: 3 > 2", {Cause.ERROR: 1}, "f.py:g")
    for _ in range(2):  # neither way adds to the tally
        assert pruned(grid) == []
        assert (state(grid), folders(grid)) == (State.PRUNED, (False, True))
        assert brought_back(grid) == []
        assert (what_it_was(grid), folders(grid)) == (before, (True, False))


def test_restored_run_belongs_to_the_group_of_failures_that_it_was_in(grid: OpenGrid) -> None:
    before = group_failures([record(grid)])
    assert (pruned(grid), brought_back(grid)) == ([], [])
    assert group_failures([record(grid)]) == before
    assert before[0].message == "ValueError: 3 > 2"


@pytest.mark.parametrize("is_adopted", [True, False], ids=["adopted", "never launched"])
def test_run_without_a_folder_of_its_own_is_pruned_and_restored(shelf: Shelf, is_adopted: bool) -> None:
    grid = shelf.grid("g", {"x": 1})
    [run] = grid.manifests
    with take_pen(grid.paths) as pen:
        pen.write(*([Adopted(at=5.0, run=run, grid="other", attempt="attempt-1")] if is_adopted else []))
        before = pen.records.get(run)
        assert prune(pen, grid, {run: "by hand"}, QUIET, by="me") == []
        assert pen.records.get(run).state is State.PRUNED
        assert restore(pen, [run], by="me") == []
        after = pen.records.get(run)
    assert (after.state, after.adopted_from) == (before.state, before.adopted_from)


def test_run_that_the_policy_pruned_and_a_person_restored_is_not_pruned_again(study: Study) -> None:
    study.more = ["policy: {error: prune}"]
    study.launch(1)
    study.end(1, state=State.FAILED, cause=Cause.ERROR)
    study.scheduler.move(study.job_of(1), 0, state=TaskState.ENDED, word="COMPLETED")
    study.watch()
    assert study.states(1) == [State.PRUNED]
    with study.pen() as pen:
        assert restore(pen, [study.manifest(1).id], by="me") == []
    study.clock.wait(1000)
    study.watch()
    assert study.states(1) == [State.FAILED]


def test_prune_that_was_cut_off_before_the_move_is_finished_by_the_next(grid: OpenGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(operation: str, path: Path) -> None:
        if operation == "rename":
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "check_point", die)
    with pytest.raises(KeyboardInterrupt):
        pruned(grid)
    assert (state(grid), folders(grid)) == (State.PRUNED, (True, False))
    monkeypatch.undo()
    with take_pen(grid.paths) as pen:
        assert prune(pen, grid, {}, QUIET, by="me") == []
    assert (state(grid), folders(grid)) == (State.PRUNED, (False, True))


def link(grid: OpenGrid) -> None:
    folder = grid.paths.run(RUN).dir
    folder.rename(grid.paths.dir / "elsewhere")
    folder.symlink_to(grid.paths.dir / "elsewhere")


def adopt(grid: OpenGrid) -> None:
    other = GridPaths(grid.paths.dir.parent / "other")
    with take_pen(other) as pen:
        pen.write(Adopted(at=5.0, run=RUN, grid="g", attempt="attempt-1"))
    (other.dir / "manifest.jsonl").touch()


def submit_again(grid: OpenGrid) -> None:
    with take_pen(grid.paths) as pen:
        pen.write(Intent(at=5.0, token="t2", runs=((RUN, 2),), tasks=1, max_parallel=1))


def leave_in_trash(grid: OpenGrid) -> None:
    (grid.paths.trash / RUN).mkdir(parents=True)


OBSTACLES = [
    (link, "symbolic link"),
    (adopt, "grid other has adopted"),
    (submit_again, "is queued; cancel it first"),
    (leave_in_trash, "earlier prune"),
]


@pytest.mark.parametrize(("happens", "told"), OBSTACLES)
def test_obstacle_is_told_before_anything_is_written(grid: OpenGrid, happens: Callable[[OpenGrid], None], told: str) -> None:
    happens(grid)
    before = state(grid)
    [refused] = pruned(grid)
    assert told in refused
    assert state(grid) is before
    assert folders(grid)[0]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a folder away")
def test_folder_of_another_user_is_left_alone(grid: OpenGrid) -> None:
    os.chown(grid.paths.run(RUN).dir, 12345, -1)
    assert "belongs to user 12345" in pruned(grid)[0]
    assert state(grid) is State.FAILED


def test_run_whose_task_lives_on_is_kept(grid: OpenGrid) -> None:
    task = TaskRow(token="t1", job_id="7", index=0, state=TaskState.RUNNING, word="RUNNING")
    lives = Snapshot(taken_at=9.0, queue_ok=True, accounting_ok=True, tasks={"t1": {0: task}})
    assert "still lives" in pruned(grid, lives)[0]


def test_run_is_kept_while_the_scheduler_does_not_say_whether_its_task_lives(grid: OpenGrid) -> None:
    silent = msgspec.structs.replace(QUIET, queue_ok=False)
    assert "the scheduler does not say" in pruned(grid, silent)[0]
    assert (state(grid), folders(grid)) == (State.FAILED, (True, False))


def test_run_is_kept_while_its_submission_has_no_answer(grid: OpenGrid) -> None:
    with take_pen(grid.paths) as pen:
        pen.write(Intent(at=2.0, token="t2", runs=(("0" * 16, 1), (RUN, 2)), tasks=2, max_parallel=2))
        pen.write(Changed(at=3.0, run=RUN, state=State.CANCELLED))
    assert "nobody knows yet whether the scheduler took it" in pruned(grid)[0]
    assert folders(grid) == (True, False)


def test_prune_asks_about_the_task_of_a_run_that_has_ended_for_us(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study.launch(1)
    with study.pen() as pen:
        pen.write(Changed(at=1.0, run=study.manifest(1).id, state=State.CANCELLED))  # and the scancel failed
    monkeypatch.setattr(Target, "open", lambda target: (study.grid, study.site))
    done = CliRunner().invoke(command, ["g", "--state", "cancelled", "--yes"])
    assert "still lives" in done.output
    assert study.states(1) == [State.CANCELLED]


def test_run_without_files_is_not_restored(grid: OpenGrid) -> None:
    assert pruned(grid) == []
    shutil.rmtree(grid.paths.trash)
    with take_pen(grid.paths) as pen:
        [refused] = restore(pen, [RUN], by="me")
    assert "nothing to bring back" in refused
    assert state(grid) is State.PRUNED


def test_blocked_run_that_was_pruned_is_blocked_again_after_restore(grid: OpenGrid) -> None:
    with take_pen(grid.paths) as pen:
        pen.write(Changed(at=5.0, run=RUN, state=State.BLOCKED, reason="prepare failed"))
    assert pruned(grid) == []
    with take_pen(grid.paths) as pen:
        restore(pen, [RUN], by="me")
    assert state(grid) is State.BLOCKED
