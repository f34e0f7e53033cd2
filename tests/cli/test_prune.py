"""prune and restore as they are typed: every kind goes and comes back, the trash is emptied, old TensorBoard trees are cleaned."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import MRSWEEP, Project

TWO = "config: {x: 1}\ngrid: {x: [1, 2]}"
EVENTS = """
import sys
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
writer = EventFileWriter(sys.argv[1])
for step in map(int, sys.argv[3:]):
    value = Summary.Value(tag="loss", simple_value=0.5)
    writer.add_event(Event(wall_time=float(sys.argv[2]) + step, step=step, summary=Summary(value=[value])))
writer.close()
"""


def files(folder: Path) -> dict[str, bytes]:
    """Return path → content of what runs wrote."""
    found = (path for path in folder.rglob("*") if path.is_file() and "ledger" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_aborted_runs_old_checkpoints_and_stale_attempts_go_and_come_back(project: Project) -> None:
    project.compute("fussy", TWO)
    lines = {line["state"]: line["id"] for line in project.lines().values()}
    done = project.attempt(lines["completed"])
    for number in (1, 2):
        (done / "checkpoint").mkdir(exist_ok=True)
        (done / "checkpoint" / f"step-{number}.pt").write_bytes(b"x" * 100_000)
        os.utime(done / "checkpoint" / f"step-{number}.pt", (number, number))
    (done.with_name("attempt-9")).mkdir()
    (done.with_name("attempt-9") / "end.json").write_text("{}")
    runs = project.folder / "runs" / "g"
    before = files(runs)
    kinds = ("--aborted", "--checkpoints", "--stale-attempts")
    told = project.ok("prune", "g", *kinds, "--dry-run").out
    assert "1 run and 2 parts of 1 run to move" in told and "old checkpoint" in told and "kB" in told
    assert files(runs) == before
    pruned = project.ok("prune", "g", *kinds, "--yes", "--json").document
    assert pruned["moved"] == [lines["failed"]]
    assert [path.rpartition("/")[2] for path in pruned["moved_parts"]] == ["attempt-9", "step-1.pt"]
    assert pruned["kinds"]["old checkpoint"]["bytes"] >= 100_000
    assert project.counts() == {"completed": 1, "pruned": 1}
    assert "1 run and 2 parts of runs to bring back" in project.ok("restore", "g", "--dry-run").out
    assert "Brought back 1 of 1 run and 2 of 2 parts." in project.ok("restore", "g", "--yes").out
    assert files(runs) == before


def test_trash_is_emptied_of_what_is_old_and_of_nothing_else(project: Project) -> None:
    project.compute("quick", TWO)
    project.ok("prune", "g", "--where", "x=1", "--yes")
    trash = project.folder / "runs" / "g" / "trash"
    young = project.ok("prune", "g", "--empty-trash", "--yes").out
    assert "Too young to be deleted: 1 thing" in young and len(list(trash.iterdir())) == 1
    assert project.run("prune", "g", "--empty-trash", "--older-than", "0d").code == 2  # nobody is there to be asked
    assert "1 run to delete" in project.ok("prune", "g", "--empty-trash", "--older-than", "0d", "--dry-run").out
    assert "Deleted 1 run" in project.ok("prune", "g", "--empty-trash", "--older-than", "0d", "--yes").out
    assert list(trash.iterdir()) == []
    gone = project.run("restore", "g", "--yes")
    assert (gone.code, "there is nothing to bring back" in gone.err) == (1, True)
    assert project.counts() == {"completed": 1, "pruned": 1}


def test_differences_of_a_duplicate_are_told(project: Project) -> None:
    project.compute("quick", "config: {x: 1, workers: 2}\nruntime: [workers]")
    project.compute("quick", "config: {x: 1, workers: 8}\nruntime: [workers]", "--no-adopt", name="again")
    told = project.ok("prune", "again", "--duplicates", "--dry-run").out
    assert "same id in g; that one is completed too" in told
    assert "Ignored in 1 run: workers is 8 here and 2 there (a runtime key)." in told


def test_two_prunes_at_once_move_each_run_once(project: Project) -> None:
    project.compute("quick", TWO)
    command = [MRSWEEP, "prune", "g", "--state", "completed", "--yes", "--json"]
    both = [
        subprocess.Popen(command, cwd=project.folder, env=project.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    documents = [json.loads(process.communicate(timeout=120)[0]) for process in both]
    moved = [run for document in documents for run in document["moved"]]
    assert sorted(moved) == sorted(path.name for path in (project.folder / "runs" / "g" / "trash").iterdir())
    assert len(moved) == 2


def events(folder: Path, at: float, *steps: int) -> None:
    """Let a script of its own write an event file, as training does."""
    subprocess.run([sys.executable, "-c", EVENTS, folder, str(at), *map(str, steps)], check=True)


def test_old_tensorboard_tree_is_cleaned_and_restored(project: Project) -> None:
    logs = project.folder / "old 'logs'"
    for at, steps in ((1000.0, (1, 2)), (2000.0, (1, 2, 3))):
        events(logs / "a run" / "deep", at, *steps)
    before = files(logs)
    told = project.ok("prune", "--tensorboard", logs.name, "--dry-run").out
    assert "1 file to move" in told and "is more complete: step 3, 3 scalars; this one: step 2, 2 scalars" in told
    assert files(logs) == before
    assert "Moved 1 of 1 file" in project.ok("prune", "--tensorboard", logs.name, "--yes").out
    assert len([path for path in files(logs) if "tfevents" in path]) == 1
    assert "Brought back 1 of 1 file." in project.ok("restore", "--tensorboard", logs.name, "--yes").out
    assert files(logs) == before
    largest = project.ok("prune", "--tensorboard", logs.name, "--keep", "largest", "--json", "--dry-run").document
    assert [move["why"].endswith("is larger, or as large and newer") for move in largest["moves"]] == [True]


def test_options_that_do_not_go_together_are_refused_in_one_line(project: Project) -> None:
    project.compute("quick", TWO)
    for wrong in (
        ("prune", "g", "--tensorboard", "logs"),
        ("prune", "g", "--empty-trash", "--aborted"),
        ("prune", "g", "--empty-trash", "--older-than", "soon"),
        ("prune", "g", "--keep-checkpoints"),
        ("prune", "--aborted"),
        ("prune", "--tensorboard", "not there"),
        ("restore",),
        ("restore", "g", "--tensorboard", "logs"),
    ):
        done = project.run(*wrong)
        assert (done.code, done.err.count("\n"), done.out) == (2, 1, ""), wrong


def test_run_that_cannot_be_moved_is_named_before_and_leaves_exit_code_1(project: Project) -> None:
    project.compute("quick", TWO)
    first = project.attempt(next(iter(project.lines().values()))["id"]).parent
    first.rename(project.folder / "elsewhere")
    first.symlink_to(project.folder / "elsewhere")
    dry = project.ok("prune", "g", "--state", "completed", "--dry-run")
    assert "is a symbolic link and is left alone" in dry.err and "1 run to move" in dry.out
    acted = project.run("prune", "g", "--state", "completed", "--yes")
    assert acted.code == 1 and "Moved 1 of 1 run to the trash." in acted.out
