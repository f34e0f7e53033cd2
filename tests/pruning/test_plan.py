"""What prune chooses, what it leaves, and that what was shown is what moves: whole runs, attempts, checkpoints, output."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.grid.manifest import Need
from orchestrator.launch.opened import OpenGrid
from orchestrator.pruning.carry_out import Moved, carry_back, carry_out, plan_return, was_cut_off
from orchestrator.pruning.plan import Kind, PrunePlan, Wanted, plan_prune, weigh
from orchestrator.pruning.runs import prune
from orchestrator.results.select import Selection
from orchestrator.store.events import Adopted, Applied, Changed
from orchestrator.store.ledger import read_records, take_pen
from orchestrator.store.states import Cause, State
from tests.pruning.shelf import HOSTILE, QUIET, Killed, Shelf, kill_at, tree
from tests.pruning.shelf import shelf as shelf

EVERYTHING = frozenset({Kind.DUPLICATE, Kind.ORPHAN, Kind.ABORTED, Kind.ATTEMPT, Kind.CHECKPOINT})
STATES = {"checkpoint/state-1.pt": b"1" * 5000, "checkpoint/state-2.pt": b"2" * 5000, "checkpoint/best.pt": b"b"}


@pytest.fixture
def grid(shelf: Shelf) -> OpenGrid:
    """Runs 0 to 5: completed in its third attempt, failed, cancelled, interrupted, alive, an orphan; a twin of run 1 completed in b."""
    grid = shelf.grid("a", *({"x": number} for number in range(6)))
    ids = list(grid.manifests)
    shelf.attempt(grid, ids[0], State.INTERRUPTED, written=STATES)
    shelf.attempt(grid, ids[0], State.INTERRUPTED, written={"tb/events": b"e", "checkpoint/state-1.pt": b"1"})
    shelf.attempt(grid, ids[0], State.COMPLETED, resume="attempt-1", written=STATES | {"checkpoint/state-3.pt": b"3"})
    shelf.attempt(grid, ids[1], State.FAILED, cause=Cause.ERROR, written=STATES | dict.fromkeys(HOSTILE, b"odd"))
    shelf.attempt(grid, ids[2], State.CANCELLED, cause=Cause.CANCELLED)
    shelf.attempt(grid, ids[3], State.INTERRUPTED, cause=Cause.TIMEOUT, written=STATES)
    shelf.attempt(grid, ids[4], None, written=STATES)
    shelf.attempt(grid, ids[5], State.FAILED, cause=Cause.ERROR)
    with take_pen(grid.paths) as pen:
        pen.write(Applied(at=20.0, version=2, orphans=(ids[5],)))
    other = shelf.grid("b", {"x": 1})
    shelf.attempt(other, ids[1], State.COMPLETED)
    return grid


def ids(grid: OpenGrid) -> list[str]:
    return list(grid.manifests)


def planned(shelf: Shelf, grid: OpenGrid, *kinds: Kind, selection: Selection | None = None, **scene: object) -> PrunePlan:
    return plan_prune(shelf.scene(grid, **scene), Wanted(selection=selection or Selection(), kinds=frozenset(kinds)))


def numbers(grid: OpenGrid, plan: PrunePlan) -> dict[int, Kind]:
    """Return number of a run → its kind, for whole runs."""
    return {ids(grid).index(run): kind for run, (kind, _) in plan.runs.items()}


def parts(grid: OpenGrid, plan: PrunePlan) -> list[str]:
    """Return "number of the run: path in it" of each part."""
    return sorted(f"{ids(grid).index(item.run)}: {'/'.join(item.place.parts[2:])}" for item in plan.parts)


def act(shelf: Shelf, grid: OpenGrid, wanted: Wanted, *, shown: PrunePlan | None = None, snapshot: Snapshot = QUIET) -> Moved:
    plan = shown or weigh(plan_prune(shelf.scene(grid, snapshot), wanted), grid)
    with take_pen(grid.paths, lease_s=0.0) as pen:  # who was killed is this very process
        return carry_out(pen, shelf.scene(grid, snapshot), plan, wanted, by="ada")


def bring_all_back(grid: OpenGrid) -> Moved:
    with take_pen(grid.paths, lease_s=0.0) as pen:  # who was killed is this very process
        return carry_back(pen, plan_return(OpenGrid(grid.paths), pen.records, Selection()), by="ada")


def test_each_kind_chooses_its_own(shelf: Shelf, grid: OpenGrid) -> None:
    assert numbers(grid, planned(shelf, grid, Kind.DUPLICATE)) == {1: Kind.DUPLICATE}
    assert numbers(grid, planned(shelf, grid, Kind.ORPHAN)) == {5: Kind.ORPHAN}
    assert numbers(grid, planned(shelf, grid, Kind.ABORTED)) == {1: Kind.ABORTED, 2: Kind.ABORTED, 5: Kind.ABORTED}
    assert parts(grid, planned(shelf, grid, Kind.ATTEMPT)) == ["0: attempt-2"]
    assert parts(grid, planned(shelf, grid, Kind.CHECKPOINT)) == [
        "0: attempt-1/checkpoint/state-1.pt",
        "0: attempt-1/checkpoint/state-2.pt",
        "0: attempt-2/checkpoint/state-1.pt",
        "0: attempt-3/checkpoint/state-1.pt",
        "0: attempt-3/checkpoint/state-2.pt",
        "1: attempt-1/checkpoint/state-1.pt",
    ]


def test_kinds_combine_and_a_part_of_a_run_that_goes_is_not_named_beside_it(shelf: Shelf, grid: OpenGrid) -> None:
    plan = planned(shelf, grid, *EVERYTHING)
    assert numbers(grid, plan) == {1: Kind.DUPLICATE, 2: Kind.ABORTED, 5: Kind.ORPHAN}
    assert {item.run for item in plan.parts} == {ids(grid)[0]}
    assert plan.counts() == {Kind.DUPLICATE: 1, Kind.ORPHAN: 1, Kind.ABORTED: 1, Kind.ATTEMPT: 1, Kind.CHECKPOINT: 4}


def test_selection_bounds_every_kind(shelf: Shelf, grid: OpenGrid) -> None:
    plan = planned(shelf, grid, *EVERYTHING, selection=Selection(where="x>1"))
    assert numbers(grid, plan) == {2: Kind.ABORTED, 5: Kind.ORPHAN}
    assert plan.parts == ()
    assert numbers(grid, planned(shelf, grid, selection=Selection(states=(State.FAILED,)))) == {1: Kind.CHOSEN, 5: Kind.CHOSEN}


def test_run_that_is_taken_up_again_is_not_aborted_and_one_that_was_given_up_is(shelf: Shelf, grid: OpenGrid) -> None:
    scene = {"taken_up": frozenset({ids(grid)[1]}), "given_up": frozenset({ids(grid)[3]})}
    plan = planned(shelf, grid, Kind.ABORTED, Kind.CHECKPOINT, **scene)
    assert numbers(grid, plan) == {2: Kind.ABORTED, 3: Kind.ABORTED, 5: Kind.ABORTED}
    assert not any(item.run == ids(grid)[1] for item in plan.parts)


def test_output_of_aborted_runs_goes_and_what_a_later_attempt_reads_stays(shelf: Shelf, grid: OpenGrid) -> None:
    act(shelf, grid, Wanted(kinds=frozenset({Kind.OUTPUT})))
    left = grid.paths.run(ids(grid)[1]).attempt(1).dir
    assert sorted(os.listdir(left)) == ["checkpoint", "end.json", "start.json"]
    assert len(os.listdir(left / "checkpoint")) == 3
    assert read_records(grid.paths).get(ids(grid)[1]).state is State.FAILED


def test_plan_weighs_what_lies_on_disk(shelf: Shelf, grid: OpenGrid) -> None:
    plan = weigh(planned(shelf, grid, Kind.CHECKPOINT), grid)
    blocks = sum((grid.paths.dir / item.place).stat().st_blocks * 512 for item in plan.parts)
    assert (plan.sizes[Kind.CHECKPOINT].bytes, plan.sizes[Kind.CHECKPOINT].files) == (blocks, 6)
    assert sum(item.bytes for item in plan.parts) == blocks


@pytest.mark.parametrize("kinds", [EVERYTHING, {Kind.OUTPUT}, {Kind.CHECKPOINT}], ids=["everything", "output", "checkpoints"])
def test_restore_brings_back_every_byte_and_every_state(shelf: Shelf, grid: OpenGrid, kinds: frozenset[Kind]) -> None:
    before, states = tree(shelf.runs), {run: shelf.record(grid, run).state for run in ids(grid)}
    moved = act(shelf, grid, Wanted(kinds=frozenset(kinds)))
    assert moved.refused == () and (moved.runs or moved.parts)
    assert tree(shelf.runs) != before
    assert bring_all_back(grid).refused == ()
    assert tree(shelf.runs) == before
    assert {run: shelf.record(grid, run).state for run in ids(grid)} == states


def test_parts_and_then_the_whole_run_come_back_in_one_go(shelf: Shelf, grid: OpenGrid) -> None:
    before = tree(shelf.runs)
    act(shelf, grid, Wanted(kinds=frozenset({Kind.CHECKPOINT})))
    act(shelf, grid, Wanted(kinds=frozenset({Kind.ATTEMPT})))
    act(shelf, grid, Wanted(selection=Selection(states=(State.COMPLETED, State.FAILED))))
    assert bring_all_back(grid).refused == ()
    assert tree(shelf.runs) == before


def inventory(runs: Path) -> dict[str, bytes]:
    """Return every file of the runs, wherever it lies: those in the trash under the path that they came from."""
    found: dict[str, bytes] = {}
    for path, content in tree(runs).items():
        grid, _, inner = path.partition("/")
        if inner.startswith("trash/parts/"):
            if inner.endswith("index.json") or "/.index.json" in inner:
                continue
            inner = inner.partition("/files/")[2]
        elif inner.startswith("trash/"):
            run = inner.split("/")[1]
            inner = f"{run[:2]}/{inner.removeprefix('trash/')}"
        assert f"{grid}/{inner}" not in found, f"{inner} is there twice"
        found[f"{grid}/{inner}"] = content
    return found


def kill_points(patch: pytest.MonkeyPatch, act: object) -> Iterator[int]:
    """Let an act die before its first, second … operation; yields after each death, until it lives."""
    for turn in range(1000):
        with patch.context() as inner:
            kill_at(inner, turn)
            try:
                act()  # type: ignore[operator]
            except Killed:
                pass
            else:
                return
        yield turn


def test_kill_at_every_operation_of_a_prune_loses_nothing_and_the_next_one_finishes_it(
    shelf: Shelf, grid: OpenGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, wanted = inventory(shelf.runs), Wanted(kinds=EVERYTHING)
    act(shelf, grid, wanted)
    after, points = tree(grid.paths.dir, without=("ledger", "trash")), 0
    bring_all_back(grid)
    for _ in kill_points(monkeypatch, lambda: act(shelf, grid, wanted)):
        points += 1
        assert inventory(shelf.runs) == before
        act(shelf, grid, wanted)
        assert tree(grid.paths.dir, without=("ledger", "trash")) == after
        assert not was_cut_off(OpenGrid(grid.paths), read_records(grid.paths))
        assert bring_all_back(grid).refused == ()
        assert tree(shelf.runs) == before
    assert points > 25


def test_kill_at_every_operation_of_a_restore_loses_nothing_and_the_next_one_finishes_it(
    shelf: Shelf, grid: OpenGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, wanted = inventory(shelf.runs), Wanted(kinds=EVERYTHING)
    act(shelf, grid, wanted)
    points = 0
    for _ in kill_points(monkeypatch, lambda: bring_all_back(grid)):
        points += 1
        assert inventory(shelf.runs) == before
        assert bring_all_back(grid).refused == ()
        assert tree(shelf.runs) == before
        act(shelf, grid, wanted)
    assert points > 25


def test_second_of_two_prunes_that_showed_the_same_moves_nothing_twice(shelf: Shelf, grid: OpenGrid) -> None:
    before, wanted = inventory(shelf.runs), Wanted(kinds=EVERYTHING)
    shown = weigh(plan_prune(shelf.scene(grid), wanted), grid)
    first = act(shelf, grid, wanted, shown=shown)
    second = act(shelf, grid, wanted, shown=shown)
    assert (len(first.runs), len(first.parts)) == (3, 5)
    assert (second.runs, second.parts) == ((), ())
    assert inventory(shelf.runs) == before


def test_two_prunes_that_each_take_the_others_run_for_the_one_to_keep_leave_one(shelf: Shelf) -> None:
    for name in ("a", "b"):
        made = shelf.grid(name, {"x": 1})
        [run] = made.manifests
        shelf.attempt(made, run, State.COMPLETED)
    one, two = (OpenGrid(made.paths.__class__(shelf.runs / name)) for name in ("a", "b"))
    wanted = Wanted(kinds=frozenset({Kind.DUPLICATE}))
    shown = [plan_prune(shelf.scene(made), wanted) for made in (one, two)]
    scenes = [shelf.scene(made) for made in (one, two)]
    with take_pen(one.paths) as pen:
        assert carry_out(pen, scenes[0], shown[0], wanted, by="ada").runs == (run,)
    with take_pen(two.paths) as pen:
        duplicates = shown[1].duplicates
        [told] = prune(pen, two, {run: "twin"}, QUIET, by="ada", duplicates=duplicates)
    assert "has gone meanwhile; it is kept" in told
    assert (shelf.record(two, run).state, two.paths.run(run).dir.is_dir()) == (State.COMPLETED, True)


def needing(shelf: Shelf, grid: OpenGrid, run: str, attempt: str) -> OpenGrid:
    """Add a grid whose run starts from a checkpoint of `run`."""
    other = shelf.grid("transfer")
    path = f"{grid.paths.name}/{run[:2]}/{run}/{attempt}/checkpoint"
    shelf.add(other, {"y": 1}, needs={"weights": Need(grid=grid.paths.name, run=run, sha256="00", path=path)})
    return other


def test_checkpoint_that_another_run_starts_from_stays_and_that_is_told(shelf: Shelf, grid: OpenGrid) -> None:
    needing(shelf, grid, ids(grid)[0], "attempt-3")
    plan = planned(shelf, grid, Kind.CHECKPOINT)
    assert [part for part in parts(grid, plan) if part.startswith("0")] == [
        "0: attempt-1/checkpoint/state-1.pt",
        "0: attempt-1/checkpoint/state-2.pt",
        "0: attempt-2/checkpoint/state-1.pt",
    ]
    [told] = plan.kept
    assert "attempt-3 of run" in told and "of transfer starts from its checkpoint" in told
    whole = planned(shelf, grid, selection=Selection(states=(State.COMPLETED,)))
    assert (whole.runs, len(whole.kept)) == ({}, 1)


def test_what_a_pruned_run_started_from_is_free(shelf: Shelf, grid: OpenGrid) -> None:
    other = needing(shelf, grid, ids(grid)[0], "attempt-3")
    with take_pen(other.paths) as pen:
        pen.write(*(Changed(at=1.0, run=run, state=State.PRUNED) for run in OpenGrid(other.paths).manifests))
    assert planned(shelf, grid, Kind.CHECKPOINT).kept == ()


def test_attempt_that_another_grid_adopted_stays(shelf: Shelf, grid: OpenGrid) -> None:
    other = shelf.grid("c", {"x": 0})
    with take_pen(other.paths) as pen:
        pen.write(Adopted(at=1.0, run=ids(grid)[0], grid="a", attempt="attempt-2"))
    plan = planned(shelf, grid, Kind.ATTEMPT)
    assert plan.parts == ()
    assert "grid c has adopted its result" in plan.kept[0]


def living(token: str) -> Snapshot:
    task = TaskRow(token=token, job_id="7", index=0, state=TaskState.WAITING, word="PENDING")
    return msgspec.structs.replace(QUIET, tasks={token: {0: task}})


@pytest.mark.parametrize("attempt", [1, 3])
def test_nothing_is_taken_from_a_run_of_which_a_task_of_any_attempt_lives(shelf: Shelf, grid: OpenGrid, attempt: int) -> None:
    snapshot = living(f"t{attempt}-{ids(grid)[0][:4]}")
    plan = planned(shelf, grid, Kind.ATTEMPT, snapshot=snapshot)
    assert plan.parts == () and "still lives" in plan.kept[0]
    completed = Wanted(selection=Selection(states=(State.COMPLETED,)))
    shown = planned(shelf, grid, selection=completed.selection)  # as it stood before the task was seen
    moved = act(shelf, grid, completed, shown=shown, snapshot=snapshot)
    assert moved.runs == () and "still lives" in moved.refused[0]


def test_plan_names_the_chosen_runs_that_cannot_be_moved_now(shelf: Shelf, grid: OpenGrid) -> None:
    first = ids(grid)[0]
    plan = planned(shelf, grid, selection=Selection(runs=(first,)), snapshot=living(f"t3-{first[:4]}"))
    assert plan.runs == {} and "still lives" in plan.stuck[first]


def test_nothing_is_taken_while_the_queue_does_not_answer(shelf: Shelf, grid: OpenGrid) -> None:
    plan = planned(shelf, grid, Kind.ATTEMPT, Kind.CHECKPOINT, snapshot=msgspec.structs.replace(QUIET, queue_ok=False))
    assert plan.parts == () and all("scheduler does not say" in told for told in plan.kept)


def test_what_changed_between_the_question_and_the_answer_is_kept_and_told(shelf: Shelf, grid: OpenGrid) -> None:
    wanted = Wanted(kinds=EVERYTHING)
    shown = weigh(plan_prune(shelf.scene(grid), wanted), grid)
    shelf.attempt(grid, ids(grid)[2], None)
    moved = act(shelf, grid, wanted, shown=shown)
    assert ids(grid)[2] not in moved.runs
    assert any(ids(grid)[2][:8] in told and "changed meanwhile" in told for told in moved.refused)


def test_what_was_not_shown_is_not_moved(shelf: Shelf, grid: OpenGrid) -> None:
    wanted = Wanted(kinds=EVERYTHING)
    shown = weigh(plan_prune(shelf.scene(grid), wanted), grid)
    shelf.attempt(grid, shelf.add(grid, {"x": 6}), State.FAILED)
    (grid.paths.run(ids(grid)[0]).attempt(3).checkpoint / "state-4.pt").touch()
    moved = act(shelf, grid, wanted, shown=shown)
    assert set(moved.runs) == set(shown.runs)
    assert {item.path for item in moved.parts} == {item.path for item in shown.parts}


@pytest.mark.parametrize("link", ["run", "two digits", "attempt", "checkpoint", "checkpoint folder", "trash"])
@pytest.mark.parametrize("target", ["inside", "outside", "nowhere"])
def test_no_link_is_followed_wherever_it_lies(shelf: Shelf, grid: OpenGrid, link: str, target: str) -> None:
    run = grid.paths.run(ids(grid)[0])
    place = {
        "run": run.dir,
        "two digits": run.dir.parent,
        "attempt": run.attempt(2).dir,
        "checkpoint": run.attempt(1).checkpoint / "state-1.pt",
        "checkpoint folder": run.attempt(1).checkpoint,
        "trash": grid.paths.trash,
    }[link]
    elsewhere = (shelf.runs / "kept inside") if target == "inside" else (shelf.runs.parent / target)
    if link == "trash":
        elsewhere.mkdir()
    else:
        place.rename(elsewhere)
    if target == "nowhere":
        elsewhere.rename(shelf.runs.parent / "gone")
    place.symlink_to(elsewhere)
    guarded = [folder for folder in (elsewhere, shelf.runs.parent / "gone") if folder.is_dir()]
    before = [tree(folder) for folder in guarded]
    wanted = Wanted(kinds=frozenset({Kind.ATTEMPT, Kind.CHECKPOINT}))
    try:
        act(shelf, grid, wanted)
        act(shelf, grid, Wanted(selection=Selection(states=(State.COMPLETED, State.FAILED))))
    except Exception as error:
        assert "symbolic link" in str(error)
    assert place.is_symlink() or not os.path.lexists(place)
    if link in ("run", "two digits", "trash"):
        assert shelf.record(grid, ids(grid)[0]).state is State.COMPLETED
    assert [tree(folder) for folder in guarded] == before


def test_restore_by_state_means_the_state_that_a_pruned_run_had(shelf: Shelf, grid: OpenGrid) -> None:
    act(shelf, grid, Wanted(selection=Selection(states=(State.COMPLETED, State.CANCELLED))))
    back = plan_return(OpenGrid(grid.paths), read_records(grid.paths), Selection(states=(State.CANCELLED,)))
    assert (back.runs, back.parts) == ((ids(grid)[2],), ())
    by_trash = plan_return(OpenGrid(grid.paths), read_records(grid.paths), Selection(states=(State.FAILED,)))
    assert by_trash.runs == ()


def test_limit_of_a_restore_counts_runs_whole_or_in_parts(shelf: Shelf, grid: OpenGrid) -> None:
    act(shelf, grid, Wanted(kinds=frozenset({Kind.CHECKPOINT})))  # of runs 0 and 1
    act(shelf, grid, Wanted(selection=Selection(states=(State.CANCELLED,))))  # run 2
    for limit in (1, 2, 3):
        back = plan_return(OpenGrid(grid.paths), read_records(grid.paths), Selection(limit=limit))
        assert {*back.runs, *(item.run for item in back.parts)} == set(ids(grid)[:limit])


def test_run_whose_adopter_was_pruned_is_free(shelf: Shelf, grid: OpenGrid) -> None:
    other = shelf.grid("c", {"x": 0})
    with take_pen(other.paths) as pen:
        pen.write(Adopted(at=1.0, run=ids(grid)[0], grid="a", attempt="attempt-3"))
        pen.write(Changed(at=2.0, run=ids(grid)[0], state=State.PRUNED))
    moved = act(shelf, grid, Wanted(selection=Selection(states=(State.COMPLETED,))))
    assert (moved.runs, moved.refused) == ((ids(grid)[0],), ())


def test_checkpoint_of_the_best_step_stays_under_any_name(shelf: Shelf) -> None:
    grid = shelf.grid("g", {"x": 1})
    [run] = grid.manifests
    saved = {f"checkpoint/epoch={step}.ckpt": b"1" for step in (3, 6, 9)}
    folder = shelf.attempt(grid, run, State.COMPLETED, written=saved).checkpoint
    for step in (3, 6, 9):
        os.utime(folder / f"epoch={step}.ckpt", (step, step))
    scene = shelf.scene(grid)
    scene.records.runs[run] = msgspec.structs.replace(scene.records.get(run), best=0.9, best_step=3)
    plan = plan_prune(scene, Wanted(kinds=frozenset({Kind.CHECKPOINT})))
    assert [item.place.name for item in plan.parts] == ["epoch=6.ckpt"]
