"""Nodes: jobs of higher priority take them, they vanish while the old process writes on, they are drained."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from orchestrator.store.events import Intent
from tests.slurm.cluster_config import NODES
from tests.slurm.project import Project

PROFILE = Path(__file__).parents[2] / "slurm_templates" / "slurm-test.sh"
GATED = """
entry: study:train
config: [{{steps: {steps}, pause: 0.1, gate: go}}]
grid: {{seed: {{range: [0, {runs}]}}}}
resources: {{gpus: 0, mem_gb: 0.1, time_min: 10, max_parallel: 8}}
metrics: {{objective: loss, mode: min}}
"""


def launch(project: Project, *, steps: int = 20) -> list[str]:
    """Launch one task of one run, or of six; return the runs that compute, a few steps in."""
    project.grid(GATED.format(steps=steps, runs=project.per_task))
    project.launch()
    return project.await_computing(min(2, project.per_task))


def node_of(project: Project) -> str:
    """Return the node on which the grid's only task runs."""
    [node] = project.cluster.command("squeue", "-h", "-t", "R", "-o", "%N", "-n", project.events(Intent)[0].token).split()
    return node


def assert_went_on_elsewhere(project: Project, begun: list[str]) -> None:
    """Every run has one result; those that had begun went on from their checkpoint as the same attempt, and none was submitted twice."""
    names = project.attempts()
    assert all(names[run] == ["attempt-1", "attempt-1.1"] for run in begun)
    assert all(project.read(run, "seen.json", "attempt-1.1")["first"] >= 3 for run in begun)
    assert all(names[run] == ["attempt-1"] for run in names.keys() - set(begun))
    assert len(project.events(Intent)) == 1
    project.assert_each_run_has_one_result(project.per_task)


def test_a_preempted_task_goes_on_as_the_same_attempt_and_is_not_submitted_twice(slurm_alone, packed):
    project = packed
    begun = launch(project)
    urgent = slurm_alone.command("sbatch", "--parsable", "-p", "high", "-N4", "--exclusive", "--output=/dev/null", "--wrap=sleep 2").strip()
    project.watch(lambda counts: not counts.get("running"))
    project.look_after(rounds=3)
    project.open_gate()
    project.watch_to_the_end(project.per_task)
    assert_went_on_elsewhere(project, begun)
    assert {ends[0] for label, ends in project.ends().items() if len(ends) > 1} == {"preempted"}
    slurm_alone.command("scancel", "-Q", urgent)


def test_a_lost_node_whose_old_process_writes_on_undoes_and_doubles_nothing(slurm_alone, packed):
    """The worker on the lost node is stopped, so that nobody tells its runs of their successors: they end, and leave results."""
    project = packed
    begun = launch(project)
    worker = project.read(begun[0], "start.json")["pid"]
    slurm_alone.lose_node(node_of(project))
    os.kill(worker, signal.SIGSTOP)
    project.watch(lambda _: all("attempt-1.1" in project.attempts()[run] for run in begun))
    project.open_gate()
    old = [project.paths.run(run).attempt(1).result for run in begun]
    await_files(*old)
    project.watch_to_the_end(project.per_task)
    os.kill(worker, signal.SIGCONT)  # it journals two results that nobody waits for
    before = {record.id: record.sha256 for record in project.records().runs.values()}
    time.sleep(2.0)
    assert project.look_after(rounds=3) == {"completed": project.per_task}
    assert before == {record.id: record.sha256 for record in project.records().runs.values()}
    assert all(project.records().get(run).decisive.restart == 1 for run in begun)
    assert len(project.events(Intent)) == 1
    project.assert_each_run_has_one_result(project.per_task)


def await_files(*paths, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while missing := [path for path in paths if not path.exists()]:
        assert time.monotonic() < deadline, missing
        time.sleep(0.2)


@pytest.mark.slow
def test_a_lost_node_sends_its_runs_on_while_the_old_ones_stop_by_themselves(slurm_alone, packed):
    project = packed
    begun = launch(project, steps=100)
    slurm_alone.lose_node(node_of(project))
    project.open_gate()
    project.watch_to_the_end(project.per_task)
    assert_went_on_elsewhere(project, begun)
    assert not [run for run in begun if project.paths.run(run).attempt(1).result.exists()]


def launch_once(project: Project) -> list[str]:
    """Launch so that Slurm requeues nothing by itself; return the runs that compute."""
    project.write("once.sh", f"{PROFILE.read_text()}#SBATCH --no-requeue\n")
    project.profile = "./once.sh"
    return launch(project)


@pytest.mark.slow
def test_where_slurm_requeues_nothing_watch_takes_the_runs_of_a_lost_node_up(slurm_alone, packed):
    project = packed
    begun, node = launch_once(project), node_of(project)
    slurm_alone.lose_node(node)
    project.watch(lambda _: all(len(project.attempts()[run]) == 2 for run in begun))
    assert any("node_failure" in sentence and "attempt 2" in sentence for sentence in project.told)
    slurm_alone.return_node(node)  # it was started again: the old processes are gone
    project.open_gate()
    project.watch_to_the_end(project.per_task)
    assert [ends for ends in project.ends().values() if len(ends) > 1] == [["node_failure", "completed"]] * len(begun)
    project.assert_each_run_has_one_result(project.per_task)


@pytest.mark.slow
def test_a_lost_node_is_left_out_of_the_next_submission(slurm_alone, packed):
    launch_once(packed)
    node = node_of(packed)
    slurm_alone.lose_node(node)
    packed.watch(lambda _: len(packed.events(Intent)) == 2)
    assert [intent.exclude for intent in packed.events(Intent)] == [(), (node,)]


@pytest.mark.slow
def test_what_the_old_worker_of_a_lost_node_completed_is_counted(slurm_alone, tmp_path):
    """While the new submission of its runs still waits in the queue, it completes them all, those that it had not begun as well."""
    project = Project(tmp_path / "a project", slurm_alone, per_task=6)
    launch_once(project)
    slurm_alone.close_partition()
    slurm_alone.lose_node(node_of(project))
    project.watch(lambda _: len(project.events(Intent)) == 2)
    project.open_gate()
    await_files(*[project.paths.run(run).attempt(1).result for run in project.lines()])
    slurm_alone.open_partition()
    project.watch_to_the_end(6, within_s=60)
    project.assert_each_run_has_one_result(6)


@pytest.mark.slow
def test_drained_nodes_finish_what_runs_and_the_rest_waits_with_a_reason(slurm_alone, packed):
    project = packed
    runs = 2 * project.per_task
    project.grid(GATED.format(steps=3, runs=runs).replace("max_parallel: 8", f"max_parallel: {min(2, project.per_task)}"))
    project.launch()
    project.await_computing(min(2, project.per_task))
    for node in NODES:
        slurm_alone.drain_node(node)
    project.open_gate()
    half = {"completed": project.per_task, "queued": project.per_task}
    project.watch(lambda counts: counts == half)
    assert project.look_after(rounds=4) == half
    assert any("NotAvail" in reason or "DRAINED" in reason for reason in project.reasons())
    assert len(project.events(Intent)) == 1
    for node in NODES:
        slurm_alone.return_node(node)
    project.watch_to_the_end(runs)
    assert {tuple(ends) for ends in project.ends().values()} == {("completed",)}
    project.assert_each_run_has_one_result(runs)
