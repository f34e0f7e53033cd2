"""Runs that people cancel through mrsweep, and workers that are killed."""

from __future__ import annotations

import os
import signal

import pytest

from tests.slurm.project import Project

SLOW_STEPS = """
entry: study:train
config: [{steps: 400, pause: 0.1}]
grid: {seed: {range: [0, 4]}}
resources: {gpus: 0, mem_gb: 0.2, time_min: 10, max_parallel: 2}
metrics: {objective: loss, mode: min}
"""
GATED = SLOW_STEPS.replace("steps: 400", "steps: 10, gate: go")


@pytest.fixture
def project(slurm, tmp_path):
    project = Project(tmp_path / "a project", slurm)
    yield project
    project.clear()


def running(count):
    return lambda counts: counts.get("running", 0) == count


def test_cancelled_runs_end_and_queued_ones_never_start(project):
    project.grid(SLOW_STEPS)
    project.launch()
    project.await_status(running(2))
    project.run("cancel", project.name, "--yes")
    project.watch(lambda counts: counts == {"cancelled": 4})
    causes = sorted(line["cause"] for line in project.lines().values())
    assert causes == ["cancelled", "cancelled", "cancelled_before_start", "cancelled_before_start"]
    assert sorted(map(len, project.attempts().values())) == [0, 0, 1, 1]
    assert project.queue() == []
    assert project.launch()["submitted"] == 0


def test_one_cancelled_run_leaves_the_others_alone(project):
    project.grid(GATED)
    project.launch()
    project.await_status(running(2))
    project.run("cancel", project.name, "--where", "seed=1 or seed=3", "--yes")
    project.watch(lambda counts: counts.get("cancelled") == 2)
    project.open_gate()
    project.watch(lambda counts: counts == {"completed": 2, "cancelled": 2})
    assert {line["label"] for line in project.lines().values() if line["state"] == "cancelled"} == {"seed=1", "seed=3"}


def test_runs_of_a_worker_killed_without_a_word_are_resumed_by_watch(packed):
    project = packed
    project.grid(GATED if project.per_task == 1 else GATED.replace("[0, 4]", "[0, 6]"))
    runs = project.launch()["submitted"]
    begun = project.await_computing(2)
    workers = {project.read(run, "start.json")["pid"] for run in begun}
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    project.watch(lambda _: not set(begun) & set(project.computing()))
    project.open_gate()
    project.watch_to_the_end(runs)
    assert len(workers) == (2 if project.per_task == 1 else 1)
    assert [project.ends()[label] for label in ("seed=0", "seed=1")] == [["lost", "completed"]] * 2
    assert all(project.read(run, "seen.json", "attempt-2")["first"] >= 3 for run in begun)
    project.assert_each_run_has_one_result(runs)
