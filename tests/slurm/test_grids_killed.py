"""Launches that are cut off, refused, unanswered or doubled: afterwards every run is computed once, and none is lost."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.store.events import Intent, Refused, Submitted
from tests.slurm.project import Project

FOUR = """
entry: study:nothing
grid: {seed: {range: [0, 4]}}
resources: {gpus: 0, mem_gb: {by: seed, 0: 0.1, 1: 0.1, 2: 0.2, 3: 0.2}, time_min: 5, max_parallel: 4}
"""
LAUNCH = ("launch", "grid.yaml", "--profile", "slurm-test", "--yes")


@pytest.fixture
def project(slurm, tmp_path):
    project = Project(tmp_path / "a project", slurm)
    project.grid(FOUR)
    yield project
    project.clear()


@pytest.fixture
def others(slurm, tmp_path):
    """More projects, each with its grid of two arrays."""
    made = []

    def make() -> Project:
        made.append(Project(tmp_path / f"project {len(made)}", slurm))
        made[-1].grid(FOUR)
        return made[-1]

    yield make
    for project in made:
        project.clear()


def jobs(project: Project) -> int:
    """Return how many jobs this grid has had; Slurm lists ended ones for five minutes."""
    rows = {row for row in project.cluster.command("squeue", "-h", "-t", "all", "-o", "%F %j").splitlines() if f" {project.name}-" in row}
    return len(rows)


@pytest.mark.parametrize(
    ("moment", "intents", "submitted"),
    [
        ("disk:1", 0, 0),  # nothing yet
        ("before:1", 1, 0),  # the intent is written, nobody asked Slurm
        ("after:1", 1, 0),  # Slurm has the first array, nobody noted it
        ("before:2", 2, 1),
        ("after:2", 2, 1),
    ],
)
def test_a_launch_killed_around_its_submission_is_taken_up_by_the_next(project, moment, intents, submitted):
    assert project.killed(moment, *LAUNCH)
    assert (len(project.events(Intent)), len(project.events(Submitted))) == (intents, submitted)
    project.launch()
    project.watch_to_the_end(4)
    project.assert_each_run_was_computed_once(4)
    assert jobs(project) == 2


def test_a_launch_killed_at_ten_moments_and_repeated_computes_every_run_once(others):
    first = others()
    moments = int(first.run_counting(*LAUNCH))
    assert moments > 20
    projects = [others() for _ in range(10)]

    def survive(part: int) -> None:
        assert projects[part].killed(f"disk:{1 + part * (moments - 1) // 9}", *LAUNCH)
        projects[part].launch()
        projects[part].watch_to_the_end(4)
        projects[part].assert_each_run_was_computed_once(4)

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(survive, range(10)))


def test_a_launch_killed_again_and_again_ends_well(project):
    for moment in ("disk:12", "before:1", "after:1", "before:1", "after:1"):
        project.killed(moment, *LAUNCH)
    project.launch()
    project.watch_to_the_end(4)
    project.assert_each_run_was_computed_once(4)


def test_watch_settles_what_a_killed_launch_left_open(project):
    assert project.killed("after:1", *LAUNCH)
    told = project.document("watch", project.name, "--once")["told"]
    assert [sentence.split(":")[1][:17] for sentence in told] == [" was taken as job"]
    project.watch(lambda counts: counts == {"completed": 4})
    project.assert_each_run_was_computed_once(4)


def test_a_watch_killed_while_it_submits_loses_and_doubles_nothing(project):
    project.grid(FOUR.replace("max_parallel: 4", "max_parallel: 1"))  # the second class waits for the first
    assert project.launch()["later"] == 2
    while not project.killed("after:1", "watch", project.name, "--once"):
        time.sleep(0.5)
    project.watch_to_the_end(4)
    project.assert_each_run_was_computed_once(4)


def test_two_launches_at_once_submit_every_run_once(project):
    launches = [project.start(*LAUNCH) for _ in range(2)]
    said = [launch.communicate()[0] for launch in launches]
    assert [launch.returncode for launch in launches] == [0, 0], said
    assert sum(text.count("submitted e2e_") for text in said) == 2
    assert any("Nothing to submit" in text for text in said)
    project.watch_to_the_end(4)
    project.assert_each_run_was_computed_once(4)


@pytest.mark.parametrize(
    ("line", "words", "code"),
    [
        ("#SBATCH --partition=gqu", "bad.sh:3: partition is 'gqu'; the cluster has no such partition. Did you mean gpu?", 2),
        ("#SBATCH --account=nobody", "sbatch refused: Invalid account", 1),
        ("#SBATCH --constraint=a100", "sbatch refused: Invalid feature specification", 1),
    ],
)
def test_a_refused_submission_is_one_line_and_leaves_the_grid_ready(project, line, words, code):
    project.write("bad.sh", f"#MRSWEEP poll_s=1 settle_s=3 absent_s=3 heartbeat_s=1\n#MRSWEEP confirm_s=1 lease_s=3\n{line}\n")
    said = project.run("launch", "grid.yaml", "--profile", "./bad.sh", "--yes", code=code).splitlines()
    assert words in said[-1]
    assert sum(line.startswith("mrsweep:") for line in said) == 1
    assert project.queue() == []
    assert len(project.events(Refused)) == len(project.events(Intent))
    project.launch()
    project.watch_to_the_end(4)
    assert (jobs(project), len(project.events(Submitted))) == (2, 2)


def test_runs_beyond_the_submit_limit_wait_and_watch_submits_them(slurm_alone, project):
    project.grid(FOUR.replace("[0, 4]", "[0, 12]").replace("{by: seed, 0: 0.1, 1: 0.1, 2: 0.2, 3: 0.2}", "0.1"))
    slurm_alone.limit_submissions(6)  # one of them is kept for a janitor
    launched = project.launch()
    assert (launched["submitted"], launched["later"]) == (5, 7)
    project.watch_to_the_end(12)
    project.assert_each_run_was_computed_once(12)


def test_janitors_find_room_in_a_queue_that_they_keep_full(slurm_alone, project):
    """Nobody else watches: of 32 jobs, 8 are left to them and their successors."""
    project.grid(FOUR.replace("[0, 4]", "[0, 40]").replace("{by: seed, 0: 0.1, 1: 0.1, 2: 0.2, 3: 0.2}", "0.1"))
    slurm_alone.limit_submissions(32)
    launched = project.launch("--janitor")
    assert (launched["submitted"], launched["later"]) == (24, 16)
    project.await_rest(within_s=180)
    assert project.status()["counts"] == {"completed": 40}
    assert not project.events(Refused)
    project.assert_each_run_was_computed_once(40)


def test_a_queue_full_of_other_jobs_makes_runs_wait_and_refuses_nothing(slurm_alone, project):
    slurm_alone.command("sbatch", "--hold", "--array=0-4", "--mem=100", "--job-name=others", "--output=/dev/null", "--wrap=true")
    slurm_alone.limit_submissions(5)
    launched = project.launch()
    assert (launched["submitted"], launched["later"]) == (0, 4)
    assert project.document("watch", project.name, "--once")["counts"] == {"planned": 4}
    slurm_alone.command("scancel", "--name=others")
    project.watch_to_the_end(4)
    assert not project.events(Refused)
