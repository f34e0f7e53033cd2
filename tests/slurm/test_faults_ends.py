"""Ends that lie: exit code 0 without a result, a result before a failing exit, a log folder that is gone, an epilog that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.store.events import Intent

FAULTY = Path(__file__).with_name("faulty.py")

ENDS = """
entry: faulty:train
grid: {fault: [none, teardown, silent, gpu_oom, crash, bug]}
resources: {gpus: 0, mem_gb: 0.6, time_min: 5, max_parallel: 4}
metrics: {objective: loss, mode: min}
"""
IN_TURN = """
entry: study:train
config: [{{steps: 3, pause: 0.1, gate: go}}]
grid: {{seed: {{range: [0, {runs}]}}}}
resources: {{gpus: 0, mem_gb: 0.1, time_min: 5, max_parallel: {most}}}
"""


@pytest.fixture
def project(packed):
    packed.write("faulty.py", FAULTY.read_text())
    return packed


def test_an_end_counts_by_its_result_and_is_told_by_its_cause(project):
    project.grid(ENDS)
    project.launch()
    project.watch(lambda counts: counts == {"completed": 2, "failed": 4})
    project.look_after(rounds=4)
    assert project.ends() == {
        "fault=none": ["completed"],
        "fault=teardown": ["completed"],  # its result was written before its process failed
        "fault=silent": ["silent_exit"],  # exit code 0 is no result
        "fault=gpu_oom": ["gpu_oom"],  # more memory for the host would not help, and nothing else was declared
        "fault=crash": ["error"],
        "fault=bug": ["error"],
    }
    assert len(project.events(Intent)) == 1
    told = {failure["cause"]: failure["message"] for failure in project.status()["failures"]}
    assert "left no result" in told["silent_exit"]
    assert "CUDA out of memory" in told["gpu_oom"]
    assert len(project.document("summary", project.name)["rows"]) == 6


def test_tasks_without_a_log_folder_are_submitted_again_with_one(project):
    runs = 2 * project.per_task
    project.grid(IN_TURN.format(runs=runs, most=1 if project.per_task == 1 else 2))
    project.launch()
    project.await_status(lambda counts: counts.get("running", 0) > 0)
    token = project.events(Intent)[0].token
    logs = project.paths.submission(token).logs
    logs.rename(logs.with_name("moved"))
    project.open_gate()
    project.watch_to_the_end(runs)
    assert {tuple(ends) for ends in project.ends().values()} == {("completed",)}
    if project.per_task == 1:  # of a list whose tasks began some, the rest are left over, and no try of theirs is spent
        assert any("never_started" in sentence for sentence in project.told), project.told
    assert len(project.events(Intent)) > 1
    project.assert_each_run_has_one_result(runs)


@pytest.mark.slow
def test_an_epilog_that_fails_drains_the_node_and_takes_no_result_away(slurm_alone, project):
    project.grid(IN_TURN.format(runs=6, most=6))
    project.open_gate()
    slurm_alone.break_epilogs()
    project.launch()
    project.watch(lambda _: any(word.startswith("drain") for word in slurm_alone.node_states().values()))
    slurm_alone.mend()
    for node, word in slurm_alone.node_states().items():
        if word.startswith("drain"):
            slurm_alone.return_node(node)
    project.watch_to_the_end(6)
    project.assert_each_run_has_one_result(6)
