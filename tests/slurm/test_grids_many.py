"""Thousands of runs: arrays that Slurm accepts, nothing twice, and as many at once as the grid allows."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import mean
from typing import Any, NamedTuple

import pytest

from orchestrator.store.events import Intent, Started, Throttled
from tests.slurm.project import Project, watching

GRID = """
entry: study:{entry}
config: [{{pause: {pause}, class: 1}}]
grid: {{seed: {{range: [0, {runs}]}}{classes}}}
resources: {{gpus: 0, mem_gb: {mem}, time_min: 10, max_parallel: {most}}}
"""
FOUR_CLASSES = "{by: class, 1: 0.1, 2: 0.12, 3: 0.14, 4: 0.16}"
LOOK_S = 5.0
"""Between two looks at whether all is done; each folds thousands of runs, on the cores that the runs want."""
RUNS = {"RUNNING", "CONFIGURING"}
HOLDS = RUNS | {"COMPLETING"}
"""States in which a task holds resources; one that completes leaves its slot to the next, and its node a moment later."""


class Sample(NamedTuple):
    """One look at the queue."""

    running: int
    """Tasks of the grid that run: what max_parallel bounds, and Slurm's own throttle counts."""
    held: int
    """Those, and tasks whose run has ended while their node cleans up after them."""
    waiting: int
    """Its tasks in the queue that wait."""


class Sampler:
    """Looks at the queue every second, as squeue shows it; a look that failed is raised at the end."""

    def __init__(self, project: Project) -> None:
        self.samples: list[Sample] = []
        self._project = project
        self._over = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1)

    def __enter__(self) -> Sampler:
        self._sampling = self._thread.submit(self._sample)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.shutdown()
        self._sampling.result()

    def _sample(self) -> None:
        while not self._over.wait(1.0):
            states = [state for _, _, state in self._project.queue()]
            running, held = (sum(state in which for state in states) for which in (RUNS, HOLDS))
            self.samples.append(Sample(running, held, states.count("PENDING")))

    def most(self) -> int:
        """Return the largest number of tasks that ever ran at once."""
        return max(sample.running for sample in self.samples)

    def occupancy(self, most: int) -> float:
        """Return how much of `most` was in use while runs waited: the mean from the first full sample to the last with a waiting task."""
        first = next(place for place, sample in enumerate(self.samples) if sample.held >= 0.9 * most)
        last = max(place for place, sample in enumerate(self.samples) if sample.waiting)
        return mean(sample.held for sample in self.samples[first : last + 1]) / most


@pytest.fixture
def project(slurm, tmp_path):
    project = Project(tmp_path / "a project", slurm)
    yield project
    project.clear()


def launch(project: Project, *, entry: str, runs: int, most: int, four: bool, pause: float = 0.0) -> dict[str, Any]:
    """Launch `runs` runs, in one memory class or four; return the document."""
    text = {"classes": ", class: [1, 2, 3, 4]", "mem": FOUR_CLASSES} if four else {"classes": "", "mem": 0.1}
    project.grid(GRID.format(entry=entry, pause=pause, runs=runs // 4 if four else runs, most=most, **text))
    return project.launch()


def watch_beside(project: Project, runs: int, *, within_s: float) -> Sampler:
    """Let `mrsweep watch` run beside until every run completed; return what the queue looked like meanwhile."""
    deadline = time.monotonic() + within_s
    with watching(project), Sampler(project) as sampler:
        while (counts := project.status()["counts"]) != {"completed": runs}:
            assert time.monotonic() < deadline, counts
            time.sleep(LOOK_S)
    project.watch_to_the_end(runs)  # the watcher was ended before it recorded the last of them
    return sampler


def assert_each_run_was_started_once(project: Project, runs: int) -> None:
    project.assert_each_run_was_computed_once(runs)
    started = [event.run for event in project.events(Started)]
    assert len(started) == len(set(started)) == runs


@pytest.mark.slow
@pytest.mark.parametrize("four", [False, True], ids=["one class", "four classes"])
def test_2500_runs_are_cut_into_arrays_that_slurm_accepts_and_none_runs_twice(project, four):
    launched = launch(project, entry="nothing", runs=2500, most=16, four=four)
    assert len(launched["arrays"]) == (4 if four else 3)
    assert all(array["tasks"] <= 1000 for array in launched["arrays"])
    sampler = watch_beside(project, 2500, within_s=900)
    assert sampler.most() <= 16
    assert sampler.occupancy(16) >= 0.9
    assert_each_run_was_started_once(project, 2500)
    assert len([event for event in project.events(Intent) if event.reason == "launch"]) == len(launched["arrays"])


@pytest.mark.slow
@pytest.mark.parametrize("four", [False, True], ids=["one class", "four classes"])
def test_nine_tenths_of_max_parallel_is_in_use_while_runs_wait(project, four):
    project.environment["MRSWEEP_MAX_ARRAY"] = "101"
    launch(project, entry="train", runs=240, most=8, four=four, pause=3.0)
    sampler = watch_beside(project, 240, within_s=400)
    assert sampler.most() <= 8
    assert sampler.occupancy(8) >= 0.9
    assert_each_run_was_started_once(project, 240)


REFUSES_THROTTLES = """#!/bin/sh
# An ordinary user may not change the throttle of an array since Slurm 23.02; everything else goes to the real scontrol.
case "$*" in *ArrayTaskThrottle*) echo "Access/permission denied for job" >&2; exit 1 ;; esac
exec {scontrol} "$@"
"""


def test_runs_move_to_free_slots_where_throttles_may_not_be_changed(project):
    stand_in = project.write("bin/scontrol", REFUSES_THROTTLES.format(scontrol=shutil.which("scontrol")))
    stand_in.chmod(0o755)
    project.environment["PATH"] = f"{stand_in.parent}:{project.environment['PATH']}"
    project.grid(
        """
entry: study:train
zip: [{class: [1, 2], pause: [0.0, 1.5]}]
grid: {seed: {range: [0, 14]}}
resources: {gpus: 0, mem_gb: {by: class, 1: 0.1, 2: 0.12}, time_min: 10, max_parallel: 4}
"""
    )
    project.launch()
    sampler = watch_beside(project, 28, within_s=240)
    assert sampler.most() <= 4
    assert [event.reason for event in project.events(Intent)].count("watch") >= 1, "no run moved"
    assert any(event.refused for event in project.events(Throttled))
    assert_each_run_was_started_once(project, 28)
