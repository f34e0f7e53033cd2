"""What happens over several commands: kills, edits, adoption, changed defaults, runs that wait for others."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Project, poll

SCHEMA = "import msgspec\nclass Config(msgspec.Struct, forbid_unknown_fields=True):\n    x: int = 1\n    lr: float = {lr}\n"


def worker_of(project: Project, run: str) -> int:
    """Return the process id of the worker that computes a run."""
    return json.loads((project.attempt(run) / "start.json").read_text())["pid"]


def running(project: Project, number: int) -> list[dict[str, Any]]:
    """Wait until so many runs compute and have written their checkpoint; return their lines."""

    def look() -> list[dict[str, Any]]:
        lines = [line for line in project.lines().values() if line["state"] == "running" and line["step"]]
        return lines if len(lines) == number else []

    found: list[dict[str, Any]] = poll(look)
    return found


def test_a_killed_worker_is_noticed_and_its_run_resumes_from_its_checkpoint(project: Project) -> None:
    project.launch(project.grid("patient", "config: {x: 1}\ngrid: {x: [1, 2, 3]}"))
    victim = running(project, 2)[0]
    os.kill(worker_of(project, victim["id"]), signal.SIGKILL)
    poll(lambda: project.counts().get("interrupted"))
    assert project.lines()[victim["label"]]["cause"] == "lost"
    (project.folder / "go").touch()
    told = project.watch().out
    assert f"run {victim['id'][:8]}…: requeued as attempt 2" in told
    assert project.counts() == {"completed": 3}
    assert "resumed after step 1" in (project.attempt(victim["id"], 2) / "log.txt").read_text()
    row = next(row for row in summary(project) if row["id"] == victim["id"])
    assert (row["attempts"], row["resumed"]) == (2, 1)


def summary(project: Project, grid: str = "g") -> list[dict[str, Any]]:
    return project.ok("summary", grid, "--json").document["rows"]


def test_a_run_that_is_killed_again_and_again_is_given_up_when_its_budget_is_spent(project: Project) -> None:
    project.launch(project.grid("patient", "config: {x: 1}\npolicy: {lost: {attempts: 2}}"))

    def running_as(number: int) -> list[dict[str, Any]]:
        return [line for line in project.lines().values() if (line["attempt"], line["state"]) == (number, "running")]

    for number in range(1, 3):
        (line,) = poll(lambda number=number: running_as(number))
        start = json.loads((project.attempt(line["id"], number) / "start.json").read_text())
        os.kill(start["pid"], signal.SIGKILL)
        poll(lambda number=number: "requeued" in project.ok("watch", "g", "--once").out or number == 2)
    project.watch()  # does not wait for ever for a run that it has given up
    (line,) = project.lines().values()
    assert (line["state"], line["attempt"]) == ("failed", 2)
    (project.folder / "go").touch()
    project.ok("requeue", "g", "--yes")
    project.watch()
    assert project.counts() == {"completed": 1}


def test_launching_twice_launches_nothing_new(project: Project) -> None:
    grid = project.grid("quick", "config: {x: 1}\ngrid: {x: [1, 2]}")
    assert project.launch(grid)["submitted"] == 2
    assert project.launch(grid)["submitted"] == 0
    project.watch()
    again = project.launch(grid)
    assert (again["submitted"], again["kept"], again["tokens"]) == (0, 2, [])
    assert "Nothing to submit" in project.ok("launch", "g", "--yes").out


def test_an_edited_grid_launches_only_the_new_configurations(project: Project) -> None:
    project.compute("quick", "config: {x: 1}\ngrid: {x: [1, 2]}")
    before = project.lines()
    launched = project.launch(project.grid("quick", "config: {x: 1}\ngrid: {x: [2, 3, 4]}"))
    assert (launched["new"], launched["kept"], launched["orphans"]) == (2, 1, 1)
    project.watch()
    after = project.lines()
    assert project.counts() == {"completed": 4}
    assert after["x=2"]["id"] == before["x=2"]["id"]
    assert after["x=2"]["attempt"] == 1
    assert sorted(path.name for path in (project.folder / "runs" / "g").glob("grid-*.yaml")) == ["grid-1.yaml", "grid-2.yaml"]
    assert "1 runs are no longer in the grid file" in project.ok("status", "g").out or "1 run is no longer" in project.ok("status", "g").out


def test_a_grid_in_another_name_adopts_what_is_complete(project: Project) -> None:
    project.compute("quick", "config: {x: 1}\ngrid: {x: [1, 2]}")
    launched = project.launch(project.grid("quick", "config: {x: 1}\ngrid: {x: [2, 3]}", name="h"))
    assert (launched["adopted"], launched["submitted"]) == (1, 1)
    project.watch("h")
    assert project.counts("h") == {"completed": 2}
    rows = {row["x"]: row for row in summary(project, "h")}
    assert (rows[2]["adopted_from"], rows[2]["twice"]) == ("g", 4)
    assert not project.attempt(rows[2]["id"], grid="h").exists()


def test_no_adopt_computes_again(project: Project) -> None:
    project.compute("quick", "config: {x: 1}\ngrid: {x: [1, 2]}")
    launched = project.launch(project.grid("quick", "config: {x: 1}\ngrid: {x: [2, 3]}", name="h"), "--no-adopt")
    assert (launched["adopted"], launched["submitted"]) == (0, 2)


def test_a_changed_default_stops_the_launch_until_it_is_accepted(project: Project) -> None:
    project.write("schema.py", SCHEMA.format(lr=0.1))
    rest = "schema: schema:Config\ngrid: {x: [1, 2]}"
    project.compute("quick", rest)
    project.write("schema.py", SCHEMA.format(lr=0.2))
    grid = project.grid("quick", rest.replace("[1, 2]", "[1, 2, 3]"))
    before = project.tree()
    done = project.run("launch", grid, "--profile", "quick", "--yes")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "lr: 0.1 → 0.2 in 2 runs" in done.err
    assert "--accept-defaults" in done.err
    assert project.tree() == before
    assert project.launch(grid, "--accept-defaults")["submitted"] == 1


def test_a_new_option_with_a_default_changes_no_id(project: Project) -> None:
    project.write("schema.py", SCHEMA.format(lr=0.1))
    project.compute("quick", "schema: schema:Config\ngrid: {x: [1, 2]}")
    project.write("schema.py", SCHEMA.format(lr=0.1) + "    clip: float = 1.0\n")
    done = project.run("launch", "grids/g.yaml", "--profile", "quick", "--yes")
    assert "clip" in done.err and "--accept-defaults" in done.err
    assert project.launch("grids/g.yaml", "--accept-defaults")["kept"] == 2


def test_runs_that_need_a_result_wait_until_watch_finds_it(project: Project) -> None:
    project.launch(project.grid("patient", "config: {x: 3}\ngrid: {seed: [1, 2]}", name="teacher"))
    needs = 'config: {x: 1}\ngrid: {x: [1, 2]}\nneeds: {weights: {grid: teacher, where: "seed={x}"}}'
    launched = project.launch(project.grid("pupil", needs, name="pupil"))
    assert (launched["submitted"], launched["waiting"]) == (0, ["2 runs wait for results of teacher"])
    segments = len(list((project.folder / "runs" / "pupil" / "ledger").iterdir()))
    assert project.ok("watch", "pupil", "--once", "--json").document["waiting"] == ["2 runs wait for results of teacher"]
    assert len(list((project.folder / "runs" / "pupil" / "ledger").iterdir())) == segments  # nothing new, nothing written
    (project.folder / "go").touch()
    project.watch("teacher")
    assert "2 runs have now what was waited for" in project.watch("pupil").out
    assert project.counts("pupil") == {"completed": 2}


def test_a_failed_prepare_blocks_its_runs_and_says_why_until_the_cause_is_mended(project: Project) -> None:
    project.write("make_data.py", "import sys, pathlib\nif not pathlib.Path('disk').exists(): sys.exit('no disk here')\nprint('made')\n")
    grid = project.grid("quick", "config: {x: 1}\ngrid: {x: [1, 2]}\nprepare: python make_data.py")
    launched = project.launch(grid)
    assert launched["submitted"] == 2
    poll(lambda: project.counts() == {"blocked": 2})
    told = project.ok("status", "g").out
    assert "prepare failed, exit code 1: no disk here" in told
    poll(lambda: not project.workers())
    assert project.launch(grid)["submitted"] == 2  # a launch tries again, and it is as bad as before
    poll(lambda: project.counts() == {"blocked": 2})
    project.write("disk", "")
    poll(lambda: not project.workers())
    assert project.launch(grid)["submitted"] == 2
    project.watch()
    assert project.counts() == {"completed": 2}


def test_an_interrupted_launch_is_taken_up_by_the_next(project: Project) -> None:
    """A launch that died after its intent and before sbatch leaves nothing but that intent."""
    grid = project.grid("quick", "config: {x: 1}\ngrid: {x: [1, 2]}")
    project.launch(grid)
    project.watch()
    segments = sorted((project.folder / "runs" / "g" / "ledger").glob("*.jsonl"))
    lines = segments[0].read_text().splitlines(keepends=True)
    cut = next(place for place, line in enumerate(lines) if '"t":"submitted"' in line)
    segments[0].write_text("".join(lines[:cut]))
    for later in segments[1:]:
        later.unlink()
    assert project.launch(grid)["submitted"] == 0  # the workers' journals tell what became of it
    project.watch()
    assert project.counts() == {"completed": 2}
    assert len(list((project.folder / "runs" / "g").glob("??/*/attempt-*"))) == 2


def test_a_grid_keeps_its_profile_and_refuses_another_place_while_runs_live(project: Project) -> None:
    project.stand_in_cluster()
    grid = project.grid("patient", "config: {x: 1}\ngrid: {x: [1, 2, 3]}")
    project.launch(grid)
    running(project, 2)
    done = project.run("launch", grid, "--profile", "slurm-cpu", "--yes")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "3 runs of g may be alive where profile quick put them" in done.err
    project.ok("launch", project.grid("patient", "config: {x: 1}\ngrid: {x: [1, 2, 3, 4]}"), "--yes")
    assert json.loads((project.folder / "runs" / "g" / "launch.json").read_text())["profile"] == "quick"


NAMES = ["a b", "it's", 'say "hi"', "two\nlines", "../../up", "$(touch hacked)", "x" * 300, "\u202egnp.exe", "-rf", "a;b", "`id`", "é"]


@pytest.mark.parametrize("name", NAMES)
def test_no_odd_name_reaches_a_path_or_a_script(project: Project, name: str) -> None:
    """As the name of grid or variant it is refused; as a value of the config it stays a value."""
    quoted = json.dumps(name)
    project.write("odd.yaml", f"name: {quoted}\nentry: trial:quick\n")
    refused = project.run("launch", "odd.yaml", "--profile", "quick", "--yes")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert all(char.isprintable() for char in refused.err.strip())
    assert project.run("launch", project.grid("quick", "config: {x: 1}"), "--variant", name, "--yes").code == 2
    assert not (project.folder / "runs").exists()
    project.compute("quick", f"config: {{x: 1, note: {quoted}}}\ngrid: {{note: [{quoted}, plain]}}")
    assert project.counts() == {"completed": 2}
    assert name in {row["note"] for row in summary(project)}
    shown = project.ok("status", "g").out
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert not (project.folder / "hacked").exists()
    paths = [path.relative_to(project.folder / "runs") for path in (project.folder / "runs").rglob("*") if "code" not in path.parts]
    assert [path for path in paths if not set(str(path)) <= set(ALLOWED)] == []
    scripts = (project.folder / "runs" / "g" / "submissions").glob("*/script.sh")
    assert [script for script in scripts if name in script.read_text()] == []


ALLOWED = "abcdefghijklmnopqrstuvwxyz0123456789-_./"


def test_a_command_gets_odd_values_as_arguments_and_never_as_shell_text(project: Project) -> None:
    project.write("show.py", "import json, os, sys\nprint(json.dumps(sys.argv[1:]))\n")
    values = json.dumps(NAMES)
    text = f"name: g\ncommand: python show.py --note {{note}}\npreload: []\nresources: {{gpus: 0, mem_gb: 1}}\ngrid: {{note: {values}}}\n"
    project.write("grids/g.yaml", text)
    project.launch("grids/g.yaml")
    project.watch()
    assert project.counts() == {"completed": len(NAMES)}
    printed = [json.loads(log.read_text().splitlines()[-1]) for log in (project.folder / "runs" / "g").glob("??/*/attempt-1/log.txt")]
    assert sorted(note for _, note in printed) == sorted(NAMES)
    assert not Path(project.folder, "hacked").exists()
