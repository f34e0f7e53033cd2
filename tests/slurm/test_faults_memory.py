"""Memory: a run that takes too much, a child of a run that does, a GPU that is full; each is told apart from the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.store.events import Intent
from tests.slurm.project import Project

FAULTY = Path(__file__).with_name("faulty.py")
HUNGRY = "fault=host_oom mb=150"

GROWING = """
entry: faulty:train
zip: [{fault: [none, none, none, none, none, host_oom], mb: [0, 1, 2, 3, 4, 150]}]
resources: {gpus: 0, mem_gb: 0.1, time_min: 5, max_parallel: 4}
"""
LOADING = """
entry: faulty:train
zip: [{fault: [none, none, none, none, none, loader_oom], mb: [0, 1, 2, 3, 4, 900]}]
resources: {gpus: 0, mem_gb: 0.4, time_min: 5, max_parallel: 4}
"""
MICRO_BATCHES = """
entry: faulty:train
config: [{micro_batch: 8}]
zip: [{fault: [none, none, none, none, none, gpu_oom], seed: [1, 2, 3, 4, 5, 6]}]
runtime: [micro_batch]
policy: {gpu_oom: {set: {micro_batch: /2}}}
resources: {gpus: 1, mem_gb: 0.6, time_min: 5, max_parallel: 2}
"""
KEEP = "policy: {host_oom: keep, worker_oom: keep}\n"


@pytest.fixture
def project(packed):
    if not packed.cluster.memory_limits:
        pytest.skip("this machine cannot limit memory")
    packed.write("faulty.py", FAULTY.read_text())
    return packed


def asked_gb(project: Project, run: str) -> list[float]:
    """Return how much memory each submission of a run asked for."""
    return [intent.resources["mem_gb"] for intent in project.events(Intent) if run in dict(intent.runs)]


def test_a_run_that_takes_too_much_memory_fails_alone_and_completes_with_more(project):
    project.grid(GROWING + KEEP)
    project.launch()
    project.watch(lambda counts: counts == {"completed": 5, "failed": 1})
    assert project.ends() == {label: ["host_oom" if "=host_oom" in label else "completed"] for label in project.ends()}
    [failure] = project.status()["failures"]
    assert failure["cause"] == "host_oom"
    assert "memory" in failure["message"] or "GB" in failure["message"]
    project.look_after(rounds=3)
    assert len(project.events(Intent)) == 1
    project.run("requeue", project.name, "--cause", "host_oom", "--set", "resources.mem_gb=0.4", "--yes")
    project.watch_to_the_end(6)
    project.assert_each_run_has_one_result(6)


def test_a_run_that_takes_too_much_memory_gets_twice_as_much_without_a_person(project):
    project.grid(GROWING)
    project.launch()
    project.watch(lambda counts: not {"queued", "running", "planned"} & set(counts))
    project.watch_to_the_end(6, within_s=40)
    [run] = [run for run, line in project.lines().items() if "=host_oom" in line["label"]]
    assert project.ends()[HUNGRY][0] == "host_oom"
    assert asked_gb(project, run) == [0.1, 0.2, 0.4][: len(project.ends()[HUNGRY])]
    assert any("host_oom" in sentence and "attempt 2" in sentence for sentence in project.told)
    project.assert_each_run_has_one_result(6)


def test_a_loader_that_is_killed_for_memory_fails_its_run_alone(project):
    project.grid(LOADING + KEEP)
    project.launch()
    project.watch(lambda counts: counts == {"completed": 5, "failed": 1})
    [failure] = project.status()["failures"]
    if project.per_task == 1:
        assert failure["cause"] == "worker_oom"
        assert "DataLoader worker" in failure["message"]
    else:  # which is quicker: the kernel, which takes the child, or the worker, which ends the run that exceeds its share
        assert failure["cause"] in ("worker_oom", "host_oom")
    assert sum(names == ["attempt-1"] for names in project.attempts().values()) >= 5


@pytest.mark.slow
def test_a_loader_that_is_killed_for_memory_gets_more_without_a_person(project):
    project.grid(LOADING)
    project.launch()
    project.watch(lambda counts: not {"queued", "running", "planned"} & set(counts))
    project.watch_to_the_end(6, within_s=60)
    project.assert_each_run_has_one_result(6)


def test_a_full_gpu_is_answered_with_the_smaller_batch_that_the_policy_names(project):
    project.grid(MICRO_BATCHES)
    project.launch()
    project.watch(lambda counts: not {"queued", "running", "planned"} & set(counts))
    project.watch_to_the_end(6, within_s=60)
    assert project.ends()["fault=gpu_oom seed=6"] == ["gpu_oom", "gpu_oom", "completed"]  # 8, 4, 2
    project.assert_each_run_has_one_result(6)
