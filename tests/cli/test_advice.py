"""What a verb says it did is what happened, what it advises leads somewhere, and one damaged grid hides no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Project

TWO = "config: {x: 1}\ngrid: {x: [1, 2]}"
UNWRITTEN = "Nothing was written (--dry-run)."


def garble(manifest: Path) -> None:
    manifest.write_text("nonsense\n" * 3)


def obstruct(manifest: Path) -> None:
    """Put in its place what cannot be read, not even by an administrator."""
    manifest.unlink()
    manifest.mkdir()


@pytest.mark.parametrize(("damage", "names"), [(garble, "manifest.jsonl:1"), (obstruct, "Is a directory.")])
def test_a_damaged_grid_is_told_and_hides_no_other(project: Project, damage: Callable[[Path], None], names: str) -> None:
    project.compute("quick", "config: {x: 1}")
    project.ok("expand", project.grid("quick", TWO, name="q"))
    damage(project.folder / "runs" / "q" / "manifest.jsonl")
    (line,) = project.lines("g").values()
    for verb in (("status",), ("status", "--json"), ("logs", line["id"], "--json")):
        done = project.ok(*verb)
        assert done.err.startswith("grid q is passed over: ") and done.err.count("\n") == 1
        assert names in done.err
    assert [grid["grid"] for grid in project.ok("status", "--json").document["grids"]] == ["g"]
    assert project.launch(project.grid("quick", TWO, name="h"))["adopted"] == 1
    for verb in (("status", "q"), ("logs", line["id"], "--grid", "q")):
        refused = project.run(*verb)
        assert (refused.code > 0, refused.out, refused.err.count("\n")) == (True, "", 1)
        assert names in refused.err


def test_prune_and_restore_say_what_they_did_and_exit_with_1_when_they_refused(project: Project) -> None:
    project.compute("quick", TWO)
    ids = {label: line["id"] for label, line in project.lines().items()}
    hindrance = project.folder / "runs" / "g" / "trash" / ids["x=2"]
    hindrance.mkdir(parents=True)
    planned = project.ok("prune", "g", "--state", "completed", "--dry-run").out
    assert "1 run to move" in planned and UNWRITTEN in planned
    pruned = project.run("prune", "g", "--state", "completed", "--yes")
    assert pruned.code == 1
    assert "Moved 1 of 1 run to" in pruned.out and "mrsweep restore g" in pruned.out
    assert ids["x=2"][:8] in pruned.err
    assert project.counts() == {"completed": 1, "pruned": 1}
    in_the_way = project.folder / "runs" / "g" / ids["x=1"][:2] / ids["x=1"]
    in_the_way.mkdir(parents=True)
    refused = project.run("restore", "g", "--yes")
    assert refused.code == 1
    assert "Brought back 0 of 1 run." in refused.out and ids["x=1"][:8] in refused.err
    in_the_way.rmdir()
    assert UNWRITTEN in project.ok("restore", "g", "--dry-run").out
    assert "Brought back 1 of 1 run." in project.ok("restore", "g", "--yes").out
    assert project.counts() == {"completed": 2}


def test_json_of_a_refused_prune_names_what_was_moved(project: Project) -> None:
    project.compute("quick", "config: {x: 1}")
    (line,) = project.lines().values()
    (project.folder / "runs" / "g" / "trash" / line["id"]).mkdir(parents=True)
    done = project.run("prune", "g", "--state", "completed", "--yes", "--json")
    assert (done.code, done.document["moved"], len(done.document["refused"])) == (1, [], 1)


def test_logs_of_a_run_whose_prepare_failed_prints_the_output_of_that(project: Project) -> None:
    project.write("make_data.py", "raise SystemExit('no disk here')")
    project.compute("quick", f"{TWO}\nprepare: python make_data.py")
    run = project.lines()["x=1"]["id"]
    assert f"mrsweep logs {run[:8]}" in project.ok("status", "g").out
    done = project.ok("logs", run[:8])
    assert done.out == "no disk here\n"
    assert "has not started" in done.err and "runs/g/prepare/" in done.err
    assert project.ok("logs", run, "--follow").out == done.out
    assert project.run("logs", run, "--attempt", "1").code == 2


def test_logs_of_a_pruned_run_reads_from_the_trash_and_names_the_way_back(project: Project) -> None:
    project.compute("quick", "config: {x: 7}")
    (line,) = project.lines().values()
    project.ok("prune", "g", "--state", "completed", "--yes")
    done = project.ok("logs", line["id"][:8])
    assert "x is 7" in done.out
    assert "mrsweep restore g" in done.err and f"trash/{line['id']}/attempt-1/log.txt" in done.err


def test_logs_of_a_run_pruned_here_and_computed_there_reads_it_there(project: Project) -> None:
    project.compute("quick", "config: {x: 7}")
    project.compute("quick", "config: {x: 7}", "--no-adopt", name="again")
    project.ok("prune", "again", "--duplicates", "--yes")
    (line,) = project.lines().values()
    assert project.ok("logs", line["id"]).err.startswith("runs/g/")
    assert "runs/again/trash/" in project.ok("logs", line["id"], "--grid", "again").err


def test_what_is_advised_names_the_runs_folder_that_was_named(project: Project) -> None:
    grid = project.grid("fussy", TWO)
    launched = project.ok("launch", grid, "--profile", "quick", "--yes", "--runs", "my runs").out
    assert "mrsweep status g --watch --runs 'my runs'" in launched and "mrsweep watch g --runs 'my runs'" in launched
    assert "mrsweep watch g --runs 'my runs'" in project.ok("status", "g", "--runs", "my runs").out
    project.ok("watch", "g", "--runs", "my runs")
    assert "--runs 'my runs')" in project.ok("status", "g", "--runs", "my runs").out
    assert "mrsweep requeue g --runs 'my runs'" in project.ok("launch", grid, "--dry-run", "--profile", "quick", "--runs", "my runs").out
    assert "launch grids/NAME.yaml --runs nowhere" in project.ok("status", "--runs", "nowhere").out


def test_requeue_says_what_it_submitted_or_why_nothing(project: Project) -> None:
    project.compute("fussy", "config: {x: 1}\ngrid: {x: [1, 2, 3]}")
    before = project.tree()
    planned = project.ok("requeue", "g", "--dry-run").out
    assert "1 run to submit again" in planned and UNWRITTEN in planned
    assert project.tree() == before
    done = project.ok("requeue", "g", "--yes").out
    (token,) = {path.name for path in (project.folder / "runs" / "g" / "submissions").iterdir()} - {
        Path(path).parts[3] for path in before if path.startswith("runs/g/submissions/")
    }
    assert f"submitted 1 run as {token}" in done and UNWRITTEN not in done
    project.watch()
    project.write("mended", "")
    project.ok("requeue", "g", "--yes")
    project.watch()
    assert "no run to submit again: 3 are completed." in project.ok("requeue", "g", "--yes").out
    assert "no run to submit again: none is selected." in project.ok("requeue", "g", "--state", "failed", "--yes").out


def test_requeue_says_that_runs_are_queued_already(project: Project) -> None:
    project.launch(project.grid("patient", TWO, name="g"))
    told = project.ok("requeue", "g", "--dry-run").out
    assert "no run to submit again: " in told and "already" in told


def test_a_launch_of_what_is_complete_points_to_the_results(project: Project) -> None:
    project.compute("quick", TWO)
    told = project.ok("launch", "grids/g.yaml", "--profile", "quick", "--yes").out
    assert "Nothing to submit." in told and "mrsweep summary g" in told
    assert "Keep it alive" not in told
    assert UNWRITTEN in project.ok("launch", "grids/g.yaml", "--profile", "quick", "--dry-run").out


def test_a_launch_beside_queued_runs_says_how_to_keep_them_alive(project: Project) -> None:
    grid = project.grid("patient", TWO)
    project.launch(grid)
    told = project.ok("launch", grid, "--profile", "quick", "--yes").out
    assert "Nothing to submit." in told and "mrsweep watch g" in told


def test_the_overview_says_how_old_each_record_is(project: Project) -> None:
    project.ok("expand", project.grid("quick", TWO, name="planned"))
    project.launch(project.grid("patient", TWO))
    told = project.ok("status").out
    assert "last recorded" in told and " s ago" in told
    assert "Runs may have moved on since" in told and "mrsweep status GRID" in told
    ages = {grid["grid"]: grid["recorded_at"] for grid in project.ok("status", "--json").document["grids"]}
    assert ages["planned"] is None and ages["g"] > 0


def test_a_selection_of_no_run_is_told_without_a_dangling_colon(project: Project) -> None:
    project.ok("expand", project.grid("quick", TWO))
    assert project.ok("status", "g", "--state", "failed").out.splitlines()[0] == "g: 0 runs"
