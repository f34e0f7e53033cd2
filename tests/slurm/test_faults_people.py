"""What people do to tasks behind our back: scancel, hold, requeue."""

from __future__ import annotations

import pytest

from orchestrator.store.events import Intent
from tests.slurm.project import Project

GATED = """
entry: study:train
config: [{{steps: 10, pause: 0.1, gate: go}}]
grid: {{seed: {{range: [0, {runs}]}}}}
resources: {{gpus: 0, mem_gb: 0.1, time_min: 10, max_parallel: 2}}
metrics: {{objective: loss, mode: min}}
"""


@pytest.fixture
def project(packed):
    """A grid of four tasks (of two, where six runs share one); two runs compute, and wait for the gate."""
    runs = 4 if packed.per_task == 1 else 12
    packed.grid(GATED.format(runs=runs))
    packed.launch()
    packed.await_computing(2)
    return packed


def job(project: Project) -> str:
    """Return the id of the grid's only array."""
    [job] = {job for job, _, _ in project.queue()}
    return job


def waiting(project: Project) -> list[str]:
    """Return the tasks of the array that wait, as scancel takes them."""
    return [f"{job}_{index}" for job, index, state in project.queue() if state == "PENDING"]


def test_an_array_that_a_person_scancelled_stays_cancelled(project):
    runs = len(project.lines())
    project.cluster.command("scancel", job(project))
    project.watch(lambda counts: counts == {"cancelled": runs})
    assert project.look_after(rounds=4) == {"cancelled": runs}
    causes = [line["cause"] for line in project.lines().values()]
    assert (causes.count("cancelled"), causes.count("cancelled_before_start")) == (2, runs - 2)
    assert len(project.events(Intent)) == 1
    project.open_gate()
    assert len(project.document("requeue", project.name, "--state", "cancelled", "--yes")["runs"]) == runs
    project.watch_to_the_end(runs)
    project.assert_each_run_has_one_result(runs)


def test_waiting_tasks_that_a_person_scancelled(project):
    """Of an array of one run a task they are cancelled; of a list the runs of no task in particular are taken up again."""
    runs = len(project.lines())
    project.cluster.command("scancel", waiting(project)[-1])
    gone = 1 if project.per_task == 1 else 0
    project.watch(lambda counts: counts.get("cancelled", 0) == gone)
    project.open_gate()
    end = {"completed": runs - gone} | ({"cancelled": gone} if gone else {})
    project.watch(lambda counts: counts == end)
    assert project.look_after(rounds=4) == end
    assert [line["cause"] for line in project.lines().values() if line["state"] == "cancelled"] == ["cancelled_before_start"] * gone
    assert {tuple(ends) for ends in project.ends().values()} <= {("completed",), ()}
    assert len(project.events(Intent)) == 2 - gone


def test_a_computing_task_that_a_person_scancelled_ends_what_it_computed(project):
    runs, hit = len(project.lines()), project.computing()
    ended = hit[:1] if project.per_task == 1 else hit
    index = project.read(hit[0], "start.json")["index"]
    project.cluster.command("scancel", f"{job(project)}_{index}")
    project.look_after(rounds=2)
    project.open_gate()
    end = {"completed": runs - len(ended), "cancelled": len(ended)}
    project.watch(lambda counts: counts == end)
    assert project.look_after(rounds=4) == end
    lines = project.lines()
    assert {run for run, line in lines.items() if line["state"] == "cancelled"} == set(ended)
    assert {lines[run]["cause"] for run in ended} == {"cancelled"}
    assert all("its task was cancelled" in lines[run]["note"] for run in ended)


def test_a_held_array_waits_for_the_person_who_holds_it(project):
    runs = len(project.lines())
    for task in waiting(project):
        project.cluster.command("scontrol", "hold", task)
    project.open_gate()
    left = runs - 2 if project.per_task == 1 else runs - 6
    project.watch(lambda counts: counts == {"completed": runs - left, "queued": left})
    assert project.look_after(rounds=4) == {"completed": runs - left, "queued": left}
    assert any("Held" in reason for reason in project.reasons())
    assert len(project.events(Intent)) == 1
    for task in waiting(project):
        project.cluster.command("scontrol", "release", task)
    project.watch_to_the_end(runs)
    assert {tuple(ends) for ends in project.ends().values()} == {("completed",)}


def test_a_task_that_an_administrator_requeued_goes_on_as_the_same_attempt(packed):
    """There is room for a second submission of its runs all the while."""
    project = packed
    project.grid(GATED.format(runs=project.per_task).replace("max_parallel: 2", "max_parallel: 8"))
    project.launch()
    again = project.await_computing(min(2, project.per_task))
    [job_id] = {job_id for job_id, _, _ in project.queue()}
    project.cluster.command("scontrol", "requeue", f"{job_id}_0")
    project.watch(lambda _: not project.computing())
    project.look_after(rounds=3)
    project.open_gate()
    project.watch_to_the_end(project.per_task)
    assert all(project.attempts()[run] == ["attempt-1", "attempt-1.1"] for run in again)
    assert all(project.read(run, "seen.json", "attempt-1.1")["first"] >= 1 for run in again)
    assert sum(len(names) for names in project.attempts().values()) == project.per_task + len(again)
    assert len(project.events(Intent)) == 1
    project.assert_each_run_has_one_result(project.per_task)
