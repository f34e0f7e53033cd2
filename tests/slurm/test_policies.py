"""What the policy does on a real cluster: the breaker pauses a grid, canaries go first, a silent run is taken up again."""

from __future__ import annotations

import os
import signal
import time

import pytest

from orchestrator.store.states import Cause, State
from tests.slurm.cluster_process import wait_until
from tests.slurm.project import Project

BROKEN = """
entry: broken:train
grid: {seed: {range: [0, 40]}}
resources: {gpus: 0, mem_gb: 0.1, time_min: 5, max_parallel: 2}
policy: {breaker: 3}
"""
BUG = """
import time

def train(config, run):
    time.sleep(0.5)
    raise KeyError("learning_rate")
"""
MENDED = """
def train(config, run):
    return {"loss": config["seed"]}
"""
SEEDS = """
entry: study:train
config: [{{steps: {steps}, pause: 0.3}}]
grid: {{seed: {{range: [0, {runs}]}}}}
resources: {{gpus: 0, mem_gb: 0.1, time_min: 5, max_parallel: 8}}
"""


@pytest.fixture
def project(slurm, tmp_path):
    project = Project(tmp_path / "a project", slurm)
    yield project
    project.clear()


def test_bug_that_hits_every_run_pauses_the_grid_and_what_waits_gets_the_mended_code(project):
    project.write("broken.py", BUG)
    project.grid(BROKEN)
    project.launch()
    project.watch(lambda counts: counts.get("held", 0) > 0)
    wait_until(lambda: {state for _, _, state in project.queue()} == {"PENDING"}, within_s=20, what="end of the tasks that ran")
    counts = project.look_after(rounds=2)
    assert counts["held"] >= 3
    assert counts["held"] + counts["failed"] == 40
    assert "is paused: " in project.run("launch", "grid.yaml", "--profile", project.profile, "--yes", code=2)
    time.sleep(3.0)
    assert project.look_after(rounds=2) == counts  # nothing of it starts
    project.write("broken.py", MENDED)
    project.launch("--resume")
    assert project.watch(lambda counts: not set(counts) - {"completed", "failed"})["completed"] == counts["held"]
    project.run("requeue", project.name, "--state", "failed", "--yes")
    project.watch_to_the_end(40)


def test_canaries_go_first_and_the_others_follow_without_a_person(project):
    project.grid(SEEDS.format(steps=6, runs=6))
    assert project.launch("--canary", "2")["submitted"] == 2
    assert project.status()["counts"].get("held") == 4
    project.await_status(lambda counts: counts == {"completed": 6})  # the janitor, which --canary brings along, lets them
    begun = sorted(project.read(run, "start.json")["at"] for run in project.attempts())
    assert begun[2] - begun[0] > 1.5  # the third began when the canaries were through


def test_silent_run_is_ended_and_goes_on_from_its_checkpoint(project):
    """A stopped process uses no processor and reports nothing, and its worker lives."""
    project.grid(SEEDS.format(steps=40, runs=1) + "policy: {stalled: resume}\n")
    project.launch()
    [run] = project.await_computing(1)
    os.kill(project.read(run, "seen.json")["pid"], signal.SIGSTOP)
    project.watch_to_the_end(1, within_s=240)
    [record] = project.records().runs.values()
    assert [attempt.cause for attempt in record.attempts] == [Cause.STALLED, None]
    assert record.attempts[0].state is State.INTERRUPTED
    assert project.read(run, "seen.json", "attempt-2")["first"] >= 3
