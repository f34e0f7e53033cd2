"""What a cluster does to runs, and what people do: memory, preemption, lost nodes, time limits, cancelling."""

from __future__ import annotations

import os
import signal

import pytest

from orchestrator.store.events import Intent
from tests.slurm.project import Project

SLOW_STEPS = """
entry: study:train
config: [{steps: 400, pause: 0.1}]
grid: {seed: {range: [0, 4]}}
resources: {gpus: 0, mem_gb: 0.2, time_min: 10, max_parallel: 2}
metrics: {objective: loss, mode: min}
"""
GATED = SLOW_STEPS.replace("steps: 400", "steps: 10, gate: go")
LONE = SLOW_STEPS.replace("[0, 4]", "[0, 1]")
LONE_GATED = GATED.replace("[0, 4]", "[0, 1]")
HUNGRY = """
entry: study:hungry
grid: {mb: [100, 4]}
resources: {gpus: 0, mem_gb: 0.15, time_min: 5, max_parallel: 2}
"""


@pytest.fixture
def project(slurm, tmp_path):
    project = Project(tmp_path / "a project", slurm)
    yield project
    project.clear()


def running(count):
    return lambda counts: counts.get("running", 0) == count


def has_step(project: Project, least: int):
    """Return a truth: every running run reported at least so many steps."""

    def truth(counts) -> bool:
        lines = [line for line in project.lines().values() if line["state"] == "running"]
        return bool(lines) and all((line["step"] or 0) >= least for line in lines)

    return truth


# --- what people do


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


def test_an_array_that_a_person_scancelled_stays_cancelled_until_requeue(project):
    project.grid(GATED)
    project.launch()
    project.await_status(has_step(project, 1))
    [job] = {job for job, _, _ in project.queue()}
    project.cluster.command("scancel", job)
    project.watch(lambda counts: counts == {"cancelled": 4})
    for _ in range(3):
        assert project.document("watch", project.name, "--once")["counts"] == {"cancelled": 4}
    assert len(project.events(Intent)) == 1
    requeued = project.document("requeue", project.name, "--state", "cancelled", "--yes")
    assert len(requeued["runs"]) == 4
    project.open_gate()
    project.watch_to_the_end(4)


def test_a_single_task_that_a_person_scancelled_is_cancelled(project):
    project.grid(GATED)
    project.launch()
    project.await_status(has_step(project, 1))
    job = project.queue()[0][0]
    project.cluster.command("scancel", f"{job}_0", f"{job}_3")
    project.watch(lambda counts: counts.get("cancelled") == 2)
    project.open_gate()
    project.watch(lambda counts: counts == {"completed": 2, "cancelled": 2})
    assert {line["label"] for line in project.lines().values() if line["state"] == "cancelled"} == {"seed=0", "seed=3"}


# --- what the cluster does


def test_a_run_without_enough_memory_fails_and_completes_with_more(project):
    if not project.cluster.memory_limits:
        pytest.skip("this machine cannot limit memory")
    project.grid(HUNGRY)
    project.launch()
    project.watch(lambda counts: counts == {"completed": 1, "failed": 1})
    [failed] = [line for line in project.lines().values() if line["state"] == "failed"]
    assert (failed["cause"], failed["label"]) == ("host_oom", "mb=100")
    assert project.document("watch", project.name, "--once")["told"] == []
    project.run("requeue", project.name, "--cause", "host_oom", "--set", "resources.mem_gb=0.5", "--yes")
    project.watch_to_the_end(2)


def test_a_preempted_run_goes_on_as_the_same_attempt_and_is_not_submitted_twice(slurm_alone, project):
    project.grid(LONE_GATED)
    project.launch()
    project.await_status(has_step(project, 5))
    urgent = slurm_alone.command("sbatch", "--parsable", "-p", "high", "-N4", "--exclusive", "--output=/dev/null", "--wrap=sleep 3").strip()
    project.watch(lambda counts: not counts.get("running"))
    project.open_gate()
    for _ in range(5):
        project.document("watch", project.name, "--once")
    project.watch_to_the_end(1)
    [(run, names)] = project.attempts().items()
    assert names == ["attempt-1", "attempt-1.1"]
    assert project.read(run, "seen.json", "attempt-1.1")["first"] >= 5
    assert len(project.events(Intent)) == 1
    assert project.lines()[run]["attempt"] == 1
    slurm_alone.command("scancel", "-Q", urgent)


def test_a_worker_killed_without_a_word_is_interrupted_and_resumed_by_watch(project):
    project.grid(LONE_GATED)
    project.launch()
    project.await_status(has_step(project, 3))
    [run] = project.attempts()
    os.kill(project.read(run, "start.json")["pid"], signal.SIGKILL)
    project.watch(lambda _: len(project.attempts()[run]) == 2)
    project.open_gate()
    project.watch_to_the_end(1)
    names = project.attempts()[run]
    assert names == ["attempt-1", "attempt-2"]
    assert project.read(run, "seen.json", "attempt-2")["first"] >= 3


@pytest.mark.slow
def test_a_run_on_a_lost_node_starts_over_elsewhere_and_only_its_newest_attempt_counts(slurm_alone, project):
    project.grid(LONE.replace("steps: 400", "steps: 300"))
    project.launch()
    project.await_status(has_step(project, 5))
    [node] = slurm_alone.command("squeue", "-h", "-t", "R", "-o", "%N", "-n", project.events(Intent)[0].token).split()
    slurm_alone.lose_node(node)
    try:
        project.watch(has_step(project, 10))
        project.watch_to_the_end(1)
    finally:
        slurm_alone.return_node(node)
    [(run, names)] = project.attempts().items()
    assert names == ["attempt-1", "attempt-1.1"]
    assert len(project.events(Intent)) == 1
    assert project.read(run, "seen.json", "attempt-1.1")["first"] >= 5


@pytest.mark.slow
def test_a_run_longer_than_its_time_limit_is_warned_and_resumed_until_it_is_done(project):
    project.grid(LONE.replace("steps: 400", "steps: 600").replace("time_min: 10", "time_min: 1"))
    project.launch()
    project.watch(lambda counts: "interrupted" in counts or counts == {"completed": 1})
    project.watch_to_the_end(1, within_s=300)
    [(run, names)] = project.attempts().items()
    assert names[:2] == ["attempt-1", "attempt-2"]
    end = project.read(run, "end.json")
    assert (end["state"], end["cause"]) == ("interrupted", "timeout")
    assert project.read(run, "seen.json", "attempt-2")["first"] == len((project.paths.run(run).attempt(1).metrics).read_text().splitlines())
