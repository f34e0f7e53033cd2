"""Time: limits that come with and without progress, and a warning that comes long before the end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.store.events import Intent
from tests.slurm.project import Project

LONG = """
entry: study:train
config: [{steps: 450, pause: 0.1}]
grid: {seed: [1, 2]}
resources: {gpus: 0, mem_gb: 0.1, time_min: 1, max_parallel: 2}
metrics: {objective: loss, mode: min}
"""
STUCK = LONG.replace("study:train", "stuck:train")
STUCK_ENTRY = """
import time
def train(config, run):
    "Begin at the beginning each time, and never come to the first checkpoint."
    while not run.stop_requested:
        time.sleep(0.1)
    raise run.Interrupted()
"""
GATED = LONG.replace("steps: 450, pause: 0.1", "steps: 10, pause: 0.1, gate: go").replace("time_min: 1", "time_min: 30")


def write_minute_long(project: Project, text: str) -> None:
    """Write a grid whose tasks may run for a minute; of several runs a task each states half of that, so that two begin."""
    if project.pack:
        project.pack["task_max_min"] = 1
        text = text.replace("time_min: 1", "time_min: 0.5")
    project.grid(text)


def test_a_warning_long_before_the_end_of_the_time_is_obeyed_and_the_run_resumed(packed):
    project = packed
    project.grid(GATED if project.per_task == 1 else GATED.replace("[1, 2]", "[1, 2, 3, 4, 5, 6]"))
    runs = project.launch()["submitted"]
    project.await_computing(2)
    begun = project.computing()
    [job] = {job for job, _, _ in project.queue()}
    for index in {project.read(run, "start.json")["index"] for run in begun}:
        project.cluster.command("scancel", "--signal=USR1", "--batch", f"{job}_{index}")
    project.watch(lambda _: all(len(project.attempts()[run]) == 2 for run in begun))
    project.open_gate()
    project.watch_to_the_end(runs)
    assert [ends for ends in project.ends().values() if len(ends) > 1] == [["preempted", "completed"]] * 2
    assert all(project.read(run, "seen.json", "attempt-2")["first"] >= 3 for run in begun)
    assert sum("preempted" in sentence and "attempt 2" in sentence for sentence in project.told) == 2
    project.assert_each_run_has_one_result(runs)


def test_runs_longer_than_their_time_limit_are_resumed_while_they_make_progress(both):
    def watch(project: Project) -> None:
        project.watch_to_the_end(2, within_s=400)

    for project in both:
        write_minute_long(project, LONG)
        project.launch()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(watch, both))
    for project in both:
        for *before, last in project.ends().values():
            assert (set(before), last) == ({"timeout"}, "completed")
        assert any("timeout" in sentence and "attempt 2" in sentence for sentence in project.told)
        assert_no_step_was_computed_twice(project)
        project.assert_each_run_has_one_result(2)


def assert_no_step_was_computed_twice(project: Project) -> None:
    """Each attempt began where the one before had left its checkpoint."""
    for run, names in project.attempts().items():
        steps = [len((project.paths.dir / run[:2] / run / name / "metrics.jsonl").read_text().splitlines()) for name in names]
        assert [project.read(run, "seen.json", name)["first"] for name in names] == [sum(steps[:place]) for place in range(len(names))]


@pytest.mark.slow
def test_a_run_that_meets_its_time_limit_twice_without_progress_is_given_up(both):
    def watch(project: Project) -> None:
        project.watch(lambda _: all(ends[:2] == ["timeout", "timeout"] for ends in project.ends().values()), within_s=300)

    for project in both:
        project.write("stuck.py", STUCK_ENTRY)
        write_minute_long(project, STUCK)
        project.launch()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(watch, both))
    for project in both:
        project.look_after(rounds=6)
        assert list(project.ends().values()) == [["timeout", "timeout"]] * 2
        assert sum(len(intent.runs) for intent in project.events(Intent)) == 4
        assert all("saved nothing new" in line["note"] for line in project.lines().values())
        assert not project.queue()
