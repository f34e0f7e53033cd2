"""`mrsweep run`: the first point of a grid file, a run of a grid, what is refused, and how its end is told."""

from __future__ import annotations

import signal
import subprocess

from tests.cli.conftest import MRSWEEP, Project, poll

SCHEMA = "import msgspec\n\n\nclass Config(msgspec.Struct, forbid_unknown_fields=True):\n    x: int\n    file: str = 'made.txt'\n"
FALLING = """

def falling(config, run):
    for step, loss in enumerate((0.5, 0.25, float("nan")), start=1):
        run.report(step, loss=loss)
"""
PREPARED = "schema: shape:Config\ngrid: {x: [3, 4]}\nprepare: python -c \"open('made.txt', 'a').write('data')\""


def test_run_computes_the_first_point_of_a_grid_file_after_its_prepare_command(project: Project) -> None:
    project.write("shape.py", SCHEMA)
    grid = project.grid("reader", PREPARED)
    for _ in range(2):
        assert project.ok("run", grid, "--json").document["ended"]["metrics"] == {"bytes": 4}  # made once
    assert not (project.folder / "runs" / "g").exists()


def test_run_of_a_grid_file_takes_variant_and_set(project: Project) -> None:
    grid = project.grid("quick", "config: {x: 1}\ngrid: {seed: [1, 2]}\nvariants: {smoke: {config: {x: 6}}}")
    assert "x is 6" in project.ok("run", grid, "--variant", "smoke").out
    assert "x is 9" in project.ok("run", grid, "--set", "x=9").out


def test_run_ends_by_telling_the_objective_as_a_table_would(project: Project) -> None:
    grid = project.grid("falling", "config: {x: 1}")
    project.write("trial.py", (project.folder / "trial.py").read_text() + FALLING)
    assert project.ok("run", grid).out.splitlines()[-1] == "loss, the objective: lowest 0.25 at step 2; nan at its end"
    silent = project.grid("reader", "config: {file: trial.py}", name="h")
    assert project.ok("run", silent).out.splitlines()[-1] == "loss, the objective: not reported, or no number"
    assert "objective" not in project.ok("run", "trial:quick", "--set", "x=2").out  # no grid file names one


def test_a_config_that_the_schema_refuses_is_told_in_one_line(project: Project) -> None:
    project.write("shape.py", SCHEMA)
    project.compute("quick", "schema: shape:Config\ngrid: {x: [3]}")
    run = next(iter(project.lines().values()))["id"]
    for target in ("grids/g.yaml", run):
        done = project.run("run", target, "--set", "y=3")
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
        assert "y" in done.err and "x" in done.err


def test_a_prepare_command_that_fails_is_told_with_its_last_line(project: Project) -> None:
    done = project.run("run", project.grid("quick", "config: {x: 1}\nprepare: python -c \"raise SystemExit('no disk')\""))
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "no disk" in done.err


def test_bad_input_shows_no_traceback_and_the_log_keeps_it(project: Project) -> None:
    done = project.run("run", "trial:reader", "--set", "file=nothing.txt")
    assert done.code == 1
    assert "Traceback" not in done.out + done.err
    assert "bad_input" in done.err and ". See " in done.err
    (log,) = (project.folder / "runs" / "foreground").glob("??/*/attempt-1/log.txt")
    assert "Traceback" in log.read_text()


def test_another_error_shows_its_traceback_and_ends_with_a_sentence(project: Project) -> None:
    done = project.run("run", "trial:fussy", "--set", "x=2")
    assert "Traceback" in done.out
    assert "x must not be 2. See " in done.err


def test_ctrl_c_is_told_as_what_it_is(project: Project) -> None:
    process = subprocess.Popen(
        [MRSWEEP, "run", "trial:patient"],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    poll(lambda: list((project.folder / "runs").glob("foreground/??/*/attempt-1/metrics.jsonl")))
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "interrupted (cancelled): you stopped it. See " in error


def test_an_id_that_another_grid_adopted_means_the_one_that_was_computed(project: Project) -> None:
    project.compute("quick", "config: {x: 1}")
    project.launch(project.grid("quick", "config: {x: 1}", name="a"))
    run = next(iter(project.lines().values()))["id"]
    assert "x is 1" in project.ok("logs", run).out
    assert "has not started in a" in project.run("logs", run, "--grid", "a").err


def test_an_id_that_two_grids_computed_asks_for_the_grid(project: Project) -> None:
    project.compute("quick", "config: {x: 1}")
    project.compute("quick", "config: {x: 1}", "--no-adopt", name="h")
    run = next(iter(project.lines().values()))["id"]
    for verb in ("logs", "run"):
        done = project.run(verb, run[:5])
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "--grid g" in done.err
        assert "x is 1" in project.ok(verb, run[:5], "--grid", "h").out
    assert "Did you mean h?" in project.run("logs", run, "--grid", "hh").err
