"""The model of Slurm prints what the real one printed in the same situation: both texts are read by the product's own parser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.cluster.sacct import Listing, read_sacct, read_squeue
from orchestrator.cluster.scheduler import TaskRow
from tests.faults.model import Job
from tests.faults.printed import accounting_lines, queue_lines
from tests.faults.world import World

RECORDED = Path(__file__).parents[1] / "recorded" / "slurm"


def row(listing: Listing, token: str, index: int) -> TaskRow:
    [found] = [each for each in listing.rows if (each.token, each.index) == (token, index)]
    return found


def told(row: TaskRow) -> tuple[object, ...]:
    """Return what a row says, without the names and times that differ from one cluster to the next."""
    begun, ended = row.started_at is not None, row.ended_at is not None
    return row.state, row.word, row.reason, row.exit_code, row.signal, bool(row.node), begun, ended, row.restarts, row.oom


def recorded(source: str, when: str, token: str, index: int) -> tuple[object, ...]:
    text = (RECORDED / f"{source}_{when}.txt").read_text()
    return told(row((read_squeue if source == "squeue" else read_sacct)(text, {token}), token, index))


def modelled(world: World, source: str, token: str) -> tuple[object, ...]:
    text = "".join((queue_lines if source == "squeue" else accounting_lines)(world.cluster))
    return told(row((read_squeue if source == "squeue" else read_sacct)(text, {token}), token, 0))


def runs(world: World, job: Job) -> None: ...


def completes(world: World, job: Job) -> None:
    world.pass_time(11.0)


def exits_with_3(world: World, job: Job) -> None:
    world.cluster.end(job.tasks[0], "FAILED", exit="3:0", reason="NonZeroExitCode")


def runs_out_of_memory(world: World, job: Job) -> None:
    world.cluster.kill_for_memory(job.tasks[0])


def reaches_its_limit(world: World, job: Job) -> None:
    world.cluster.time_out(job.tasks[0])


def is_cancelled(world: World, job: Job) -> None:
    world.cluster.scancel(job, {0})


def is_requeued(world: World, job: Job) -> None:
    world.cluster.requeue(job, job.tasks[0], "REQUEUED")


def is_preempted(world: World, job: Job) -> None:
    world.cluster.preempt(job, job.tasks[0], requeue=True, warned=True)


def is_preempted_and_runs_again(world: World, job: Job) -> None:
    is_preempted(world, job)
    world.pass_time(13.0)


def is_preempted_and_completes(world: World, job: Job) -> None:
    is_preempted_and_runs_again(world, job)
    world.pass_time(11.0)


SITUATIONS: list[tuple[Callable[[World, Job], None], str, str, int]] = [
    (runs, "alive", "rec-mixed", 7),
    (completes, "alive", "rec-mixed", 0),
    (exits_with_3, "alive", "rec-mixed", 1),
    (runs_out_of_memory, "alive", "rec-mixed", 4),
    (reaches_its_limit, "ended", "rec-mixed", 7),
    (is_cancelled, "alive", "rec-mixed", 8),
    (is_preempted_and_completes, "ended", "rec-requeue", 2),
    (is_preempted_and_runs_again, "preempted", "rec-requeue", 1),
]


@pytest.mark.parametrize("source", ["squeue", "sacct"])
@pytest.mark.parametrize(("happens", "when", "token", "index"), SITUATIONS)
def test_model_prints_what_the_real_one_printed(world: World, source: str, happens, when: str, token: str, index: int) -> None:
    world.launch(1, 2)
    world.pass_time(1.0)
    job = world.cluster.jobs[0]
    happens(world, job)
    assert modelled(world, source, job.token) == recorded(source, when, token, index)


def test_requeued_task_waits_for_its_time_to_begin_and_the_accounting_has_only_closed_its_record(world: World) -> None:
    world.launch(1, 2)
    world.pass_time(1.0)
    job = world.cluster.jobs[0]
    is_requeued(world, job)
    assert modelled(world, "squeue", job.token) == recorded("squeue", "alive", "rec-requeue", 1)
    world.cluster.lag_s = 5.0
    assert modelled(world, "sacct", job.token) == recorded("sacct", "alive", "rec-requeue", 1)


def test_twin_waits_for_the_job_of_its_name(world: World) -> None:
    world.launch(1, 2)
    [job] = world.cluster.jobs
    world.cluster.jobs.append(replace(job, id=job.id + 1, fenced=True, tasks=[replace(task) for task in job.tasks]))
    world.pass_time(1.0)
    here = read_squeue("".join(queue_lines(world.cluster)), {job.token}).rows
    there = read_squeue((RECORDED / "squeue_alive.txt").read_text(), {"rec-twin"}).rows
    assert [told(each) for each in here if each.job_id == str(job.id + 1)] == [told(each) for each in there if each.reason == "Dependency"]


def test_task_that_was_taken_out_of_the_queue_leaves_no_record(world: World) -> None:
    """Measured on Slurm 22.05.8: neither squeue --states=all nor sacct names it, while the rest of its array goes on."""
    world.cluster.capacity = 1
    world.launch(1, 2, 3)
    world.pass_time(1.0)
    job = world.cluster.jobs[0]
    world.cluster.scancel(job, {2})
    for lines, read in ((queue_lines, read_squeue), (accounting_lines, read_sacct)):
        listing = read("".join(lines(world.cluster)), {job.token})
        assert (listing.complete, sorted(each.index for each in listing.rows)) == (True, [0, 1])


def test_list_that_squeue_cuts_off_is_incomplete_in_both(world: World) -> None:
    world.cluster.capacity = 0
    world.launch(*range(1, 30))
    world.cluster.cut_lists = True
    [job] = world.cluster.jobs
    listing = read_squeue("".join(queue_lines(world.cluster)), {job.token})
    real = read_squeue((RECORDED / "squeue_default_format.txt").read_text(), {"rec-odd"})
    assert (listing.complete, real.complete) == (False, False)
    assert 0 < len(listing.rows) < 29


def test_controller_that_is_frozen_complains_as_the_real_one_did(world: World) -> None:
    world.launch(1)
    world.cluster.controller_up = False
    said = world.watch().said
    complaint = (RECORDED / "squeue_frozen_stderr.txt").read_text().splitlines()[-1]
    assert "Socket timed out on send/recv operation" in complaint
    assert "Socket timed out on send/recv operation" in said
