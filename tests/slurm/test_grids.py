"""Grids on the real cluster, from the file to the table, through the command line."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.slurm.project import Project

ROOT = Path(__file__).parents[2]

SIX = """
entry: study:train
config: [{steps: 3, pause: 0.1, gate: go}]
grid: {seed: {range: [0, 6]}}
resources: {gpus: 1, cpus: 1, mem_gb: 0.2, time_min: 5, max_parallel: 3}
metrics: {objective: loss, mode: min}
"""
LEARN = """
entry: study:learn
grid: {lr: [1e-2], seed: [1, 2]}
resources: {gpus: 1, cpus: 2, mem_gb: 1, time_min: 5, max_parallel: 2}
metrics: {objective: loss, mode: min}
"""
SHELL = """
command: sh measure.sh {seed} "{label}"
grid: {seed: [1, 2], label: ["it's", "$(touch oops) {{a b}}"]}
resources: {gpus: 0, mem_gb: 0.1, time_min: 5, max_parallel: 4}
metrics: {objective: loss, mode: min}
"""
MEASURE = """
echo "measuring seed $1 with label $2"
echo "{\\"step\\": 1, \\"loss\\": $1.5}" >> "$MRSWEEP_RUN_DIR/metrics.jsonl"
"""
PLAIN = """
command: python train.py --lr {optim.lr}
grid: {optim.lr: [1e-1, 1e-2]}
resources: {gpus: 0, mem_gb: 0.2, time_min: 5, max_parallel: 2}
metrics: {objective: loss, mode: min}
"""
PREPARED = """
entry: study:nothing
prepare: python make.py {root}
grid: {root: [good, bad], seed: [1, 2]}
resources: {gpus: 0, mem_gb: 0.1, time_min: 5, max_parallel: 4}
"""
MANY_CLASSES = """
entry: study:nothing
grid: {seed: {range: [0, 30]}, size: [1, 2]}
resources: {gpus: 0, mem_gb: {by: size, 1: 0.1, 2: 0.2}, time_min: 5, max_parallel: 8}
"""

TIMES = {"commit", "seconds", "runtime_s", "spent_s", "peak_mem_gb", "peak_gpu_gb", "node", "job_id"}
"""Columns of the summary that differ from one computation to the next."""


@pytest.fixture
def project(slurm, tmp_path):
    project = Project(tmp_path / "it's my project", slurm)
    yield project
    project.clear()


@pytest.fixture(params=["slurm-test", "local"])
def anywhere(request, slurm, tmp_path):
    """A project on the cluster, and one on this machine."""
    project = Project(tmp_path / "it's my project", slurm, profile=request.param)
    yield project
    project.clear()


@pytest.fixture
def at_home(slurm, tmp_path):
    """The same project, on this machine."""
    return Project(tmp_path / "at home", slurm, profile="local")


def summary(project: Project) -> list[dict[str, str]]:
    """Return the rows of summary.csv without what depends on the machine."""
    project.run("summary", project.name, "-o", "summary.csv")
    with open(project.folder / "summary.csv", newline="") as stream:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(stream)]


def test_a_grid_runs_as_one_array_with_a_gpu_each_and_its_states_move(project):
    project.grid(SIX)
    launched = project.launch()
    assert launched["arrays"] == [{"runs": 6, "tasks": 6, "throttle": 3}]
    assert len({job for job, _, _ in project.queue()}) == 1
    project.await_status(lambda counts: counts.get("running", 0) == 3)
    assert sum(state == "RUNNING" for _, _, state in project.queue()) == 3
    assert project.cluster.command("squeue", "-h", "-o", "%E", "-j", project.queue()[0][0]).split() == ["(null)"] * 4  # no fence is left
    project.open_gate()
    project.await_status(lambda counts: counts == {"completed": 6})
    project.watch_to_the_end(6)
    assert {project.read(run, "seen.json")["gpus"] for run in project.attempts()} <= {"0", "1"}
    assert [float(row["loss"]) for row in summary(project)] == [pytest.approx(seed + 1 / 3) for seed in range(6)]


def test_launching_again_submits_what_is_missing_and_nothing_twice(project):
    project.open_gate()
    project.grid(SIX)
    project.launch()
    assert project.launch()["submitted"] == 0
    project.grid(SIX.replace("[0, 6]", "[1, 8]"))
    again = project.launch()
    assert (again["new"], again["kept"], again["orphans"], again["submitted"] + again["later"]) == (2, 5, 1, 2)
    project.watch_to_the_end(8)
    project.assert_each_run_was_computed_once(8)


def test_the_cluster_and_this_machine_compute_the_same_numbers(project, at_home):
    for place in (project, at_home):
        place.grid(LEARN)
        place.launch()
    for place in (project, at_home):
        place.watch_to_the_end(2, within_s=180)
    rows = summary(project)
    assert rows == summary(at_home)
    assert len({row["loss"] for row in rows}) == 2
    assert {row["threads"] for row in rows} == {"2"}


def test_a_shell_script_is_an_entry_and_its_arguments_stay_arguments(anywhere):
    project = anywhere
    project.write("measure.sh", MEASURE)
    project.grid(SHELL)
    project.launch()
    project.watch_to_the_end(4)
    assert sorted(row["loss"] for row in summary(project)) == ["1.5", "1.5", "2.5", "2.5"]
    logs = {project.run("logs", run) for run in project.attempts()}
    assert any("label $(touch oops) {a b}" in log for log in logs)
    assert not list(project.folder.rglob("oops"))


def test_a_plain_training_script_is_an_entry(anywhere):
    project = anywhere
    shutil.copy(ROOT / "grids" / "examples" / "train.py", project.folder / "train.py")
    project.grid(PLAIN)
    project.launch()
    project.watch_to_the_end(2)
    rows = summary(project)
    assert [row["optim.lr"] for row in rows] == ["0.1", "0.01"]
    assert all(float(row["loss"]) > 0 for row in rows)


def test_runs_wait_for_their_prepare_command_and_are_blocked_when_it_fails(project):
    project.write("make.py", "import sys; print('making', sys.argv[1]); sys.exit(sys.argv[1] == 'bad')")
    project.grid(PREPARED)
    project.launch()
    project.watch(lambda counts: counts == {"completed": 2, "blocked": 2})
    lines = project.lines().values()
    assert {line["label"][:9] for line in lines if line["state"] == "blocked"} == {"root=bad "}
    assert all("making bad" in line["note"] for line in lines if line["state"] == "blocked")


def test_classes_are_cut_into_arrays_that_fit_and_drain_together(project):
    project.environment["MRSWEEP_MAX_ARRAY"] = "12"
    project.grid(MANY_CLASSES)
    arrays = project.launch()["arrays"]
    assert [array["tasks"] for array in arrays] == [10] * 6  # 30 runs of each class: three arrays of 10, not 12 + 12 + 6
    assert sum(array["throttle"] for array in arrays) == 8
    project.watch_to_the_end(60, within_s=180)
    project.assert_each_run_was_computed_once(60)


def test_a_failure_tells_its_reason_and_is_taken_up_by_requeue_alone(project):
    project.write("study.py", "def train(config, run):\n    return {'x': 1 / config['seed']}\n")
    project.grid("entry: study:train\ngrid: {seed: [0, 1]}\nresources: {gpus: 0, mem_gb: 0.1, time_min: 5, max_parallel: 2}\n")
    project.launch()
    project.watch(lambda counts: counts == {"completed": 1, "failed": 1})
    [failure] = project.status()["failures"]
    assert (failure["cause"], failure["message"]) == ("error", "ZeroDivisionError: division by zero")
    assert project.launch()["submitted"] == 0
    project.write("study.py", "def train(config, run):\n    return {'x': 1.0}\n")
    [run] = project.document("requeue", project.name, "--state", "failed", "--yes")["runs"]
    project.watch_to_the_end(2)
    assert project.attempts()[run] == ["attempt-1", "attempt-2"]


@pytest.mark.slow
def test_the_shipped_grid_gives_the_same_table_on_the_cluster_and_here(project, at_home):
    for place in (project, at_home):
        for name in ("models", "data", "grids"):
            shutil.copytree(ROOT / name, place.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        place.name = "quickstart@smoke"
        profile = "slurm-test" if place is project else "local"
        place.document("launch", "grids/quickstart.yaml", "--variant", "smoke", "--profile", profile, "--set", "train.threads=1", "--yes")
    for place in (project, at_home):
        place.watch_to_the_end(8, within_s=400)
    rows = summary(project)
    assert rows == summary(at_home)
    assert len({row["val/ssim"] for row in rows}) == 8
    assert json.loads((project.paths.dir / "launch.json").read_text())["profile"] == "slurm-test"
