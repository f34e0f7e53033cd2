"""Slurm's own daemons: a controller that dies, hangs or forgets, accounting that is off, a partition that is down."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.store.events import Intent, Submitted
from tests.slurm.project import Project

GATED = """
entry: study:train
config: [{{steps: 5, pause: 0.1, gate: go}}]
grid: {{seed: {{range: [0, {runs}]}}}}
resources: {{gpus: 0, mem_gb: 0.1, time_min: 10, max_parallel: {most}}}
metrics: {{objective: loss, mode: min}}
"""
LAUNCH = ("launch", "grid.yaml", "--profile", "slurm-test", "--yes")


@pytest.fixture
def project(slurm_alone, packed):
    """A grid of two tasks, of which one at a time computes; nothing is launched yet."""
    packed.grid(GATED.format(runs=runs(packed), most=at_once(packed)))
    return packed


def runs(project: Project) -> int:
    return 2 * project.per_task


def at_once(project: Project) -> int:
    return min(2, project.per_task)


def launch(project: Project) -> list[str]:
    """Launch, wait until the first task computes, and return its runs."""
    project.launch()
    return project.await_computing(at_once(project))


def assert_nothing_happened(project: Project) -> None:
    """Every run was computed once, by the one submission of the launch."""
    project.watch_to_the_end(runs(project))
    assert {tuple(ends) for ends in project.ends().values()} == {("completed",)}
    assert len(project.events(Intent)) == 1
    project.assert_each_run_was_computed_once(runs(project))
    project.assert_each_run_has_one_result(runs(project))


def assert_resumed(project: Project, begun: list[str]) -> None:
    """Every run is completed; those that had begun went on as a second attempt, from their checkpoint."""
    project.watch_to_the_end(runs(project))
    assert all(project.read(run, "seen.json", "attempt-2")["first"] >= 3 for run in begun)
    assert sum(len(names) for names in project.attempts().values()) == runs(project) + len(begun)
    project.assert_each_run_has_one_result(runs(project))


@contextmanager
def frozen_by(project: Project, command: str) -> Iterator[None]:
    """Let the controller freeze the moment that this project calls one of Slurm's commands, and thaw afterwards."""
    controller = project.cluster.daemons["slurmctld"].pid()
    stand_in = project.write(f"bin/{command}", f'#!/bin/sh\nkill -STOP {controller}\nexec {shutil.which(command)} "$@"\n')
    stand_in.chmod(0o755)
    before = project.environment["PATH"]
    project.environment["PATH"] = f"{stand_in.parent}:{before}"
    try:
        yield
    finally:
        project.cluster.thaw("slurmctld")
        project.environment["PATH"] = before


@pytest.mark.slow
def test_a_controller_that_is_killed_and_comes_back_harms_no_run(slurm_alone, project):
    launch(project)
    slurm_alone.await_saved(project.events(Submitted)[0].at)
    slurm_alone.kill("slurmctld")
    project.open_gate()
    project.await_status(lambda counts: counts.get("completed") == project.per_task)
    project.look_after()
    assert any("squeue failed" in note for note in project.status()["notes"])
    assert len(project.events(Intent)) == 1
    slurm_alone.start("slurmctld")
    assert_nothing_happened(project)


@pytest.mark.slow
def test_a_launch_to_a_frozen_controller_says_so_and_the_next_one_succeeds(slurm_alone, project):
    slurm_alone.freeze("slurmctld")
    try:
        said = project.run(*LAUNCH, code=1)
    finally:
        slurm_alone.thaw("slurmctld")
    assert said.count("mrsweep:") == 1
    project.open_gate()
    project.launch()
    assert_nothing_happened(project)


@pytest.mark.slow
def test_an_array_that_a_freezing_controller_took_without_a_word_is_found_by_watch(project):
    with frozen_by(project, "sbatch"):
        said = project.run(*LAUNCH, code=1)
    assert "is found out by the next launch or watch" in said
    assert (len(project.events(Intent)), len(project.events(Submitted))) == (1, 0)
    project.open_gate()
    assert_nothing_happened(project)
    assert any("was taken as job" in sentence for sentence in project.told)


@pytest.mark.slow
def test_a_cancel_during_which_the_controller_freezes_says_so_and_holds(project):
    begun = launch(project)
    with frozen_by(project, "scancel"):
        said = project.run("cancel", project.name, "--yes", code=1)
    assert "scancel failed" in said
    project.open_gate()
    project.watch(lambda counts: counts == {"cancelled": runs(project)})
    assert project.look_after(rounds=4) == {"cancelled": runs(project)}
    assert {run for run, names in project.attempts().items() if names} == set(begun)
    assert not list(project.paths.dir.glob("??/*/attempt-*/result.json"))
    assert len(project.events(Intent)) == 1


@pytest.mark.slow
def test_a_campaign_without_accounting_ends_well(slurm_alone, project):
    slurm_alone.stop("slurmdbd")
    begun = launch(project)
    [job] = {job for job, _, _ in project.queue()}
    slurm_alone.command("scancel", "--signal=KILL", "--batch", f"{job}_{project.read(begun[0], 'start.json')['index']}")
    project.watch(lambda _: not set(begun) & set(project.computing()))
    assert any("sacct failed" in note for note in project.document("watch", project.name, "--once")["notes"])
    project.open_gate()
    assert_resumed(project, begun)


@pytest.mark.slow
def test_runs_of_a_controller_that_forgot_them_are_computed_by_another_job(slurm_alone, project):
    """Job ids begin again: a stranger gets the number that the grid's array had, and is left alone."""
    slurm_alone.forget_jobs()
    begun = launch(project)
    [job] = {job for job, _, _ in project.queue()}
    slurm_alone.forget_jobs()
    stranger = ("sbatch", "--parsable", "--mem=50", "--output=/dev/null", "--job-name=stranger", "--wrap=sleep 600")
    assert slurm_alone.command(*stranger).strip() == job
    project.watch(lambda _: not set(begun) & set(project.computing()))
    project.open_gate()
    assert_resumed(project, begun)
    assert slurm_alone.command("squeue", "-h", "-n", "stranger", "-o", "%A %T").strip() == f"{job} RUNNING"


@pytest.mark.slow
def test_a_partition_that_is_down_makes_runs_wait_with_its_reason(slurm_alone, project):
    launch(project)
    slurm_alone.close_partition()
    project.open_gate()
    half = {"completed": project.per_task, "queued": project.per_task}
    project.watch(lambda counts: counts == half)
    assert project.look_after(rounds=4) == half
    assert any(reason.startswith("PartitionDown") for reason in project.reasons())
    slurm_alone.open_partition()
    assert_nothing_happened(project)
