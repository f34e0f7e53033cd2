"""One picture from two sources that contradict each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cluster.merge import merge
from orchestrator.cluster.sacct import Listing, read_sacct, read_squeue
from orchestrator.cluster.scheduler import TaskRow, TaskState

RECORDED = Path(__file__).parents[1] / "recorded" / "slurm"


def row(word="RUNNING", state=None, *, job_id="7", index=0, **values):
    meaning = {"RUNNING": TaskState.RUNNING, "PENDING": TaskState.WAITING}.get(word, TaskState.ENDED)
    values = {"token": "t", "submitted_at": 1000.0, "source": "squeue"} | values
    return TaskRow(job_id=job_id, index=index, state=state or meaning, word=word, **values)


def look(queue=(), accounting=(), **values):
    return merge(Listing(rows=tuple(queue)), Listing(rows=tuple(accounting)), taken_at=5000.0, **values)


@pytest.mark.parametrize(
    ("queued", "accounted", "word", "source"),
    [
        (row("PENDING"), None, "PENDING", "squeue"),
        (None, row("FAILED", source="sacct"), "FAILED", "sacct"),
        (row("RUNNING"), row("PENDING", source="sacct"), "RUNNING", "squeue"),  # the accounting lags
        (row("PENDING"), row("PREEMPTED", source="sacct"), "PENDING", "squeue"),  # waits again, the new record is not written yet
        (row("FAILED"), row("FAILED", source="sacct"), "FAILED", "sacct"),  # the accounting knows the exit code
        (row("FAILED"), row("RUNNING", source="sacct"), "FAILED", "squeue"),
        (row("COMPLETED"), row("NODE_FAIL", source="sacct"), "COMPLETED", "squeue"),  # of the start before
    ],
)
def test_the_queue_is_right_about_what_lives(queued, accounted, word, source):
    snapshot = look([queued] if queued else [], [accounted] if accounted else [])
    found = snapshot.task("t", 0)
    assert (found.word, found.source) == (word, source)


def test_restarts_are_known_to_the_accounting_alone():
    assert look([row("RUNNING")], [row("RUNNING", restarts=2, source="sacct")]).task("t", 0).restarts == 2


def test_a_controller_whose_clock_is_a_day_behind_is_believed():
    assert look([row("RUNNING", submitted_at=1000.0 - 86400)]).task("t", 0).state is TaskState.RUNNING


def test_a_source_that_failed_is_not_trusted_and_one_that_was_not_needed_is():
    assert not merge(None, Listing(), taken_at=0).queue_ok
    assert not merge(Listing(), None, taken_at=0).accounting_ok
    assert merge(Listing(), None, taken_at=0, asked=False).accounting_ok
    assert not merge(Listing(complete=False), Listing(complete=False), taken_at=0).queue_ok


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("RUNNING", "PENDING", "7"),  # the twin waits behind the first
        ("PENDING", "PENDING", "7"),  # the first is held or was requeued
        ("COMPLETED", "PENDING", "7"),  # the twin's turn has come, the first has the results
        ("CANCELLED", "PENDING", "8"),  # cancelled before it began
        ("CANCELLED", "CANCELLED", "7"),
    ],
)
def test_of_two_jobs_with_one_name_the_first_that_began_counts(first, second, kept):
    began = {"started_at": 1100.0} if first in ("RUNNING", "COMPLETED") else {}
    # a requeue resets the time of submission: the first looks younger than its twin
    snapshot = look([row(second, job_id="8", submitted_at=1001.0), row(first, job_id="7", submitted_at=1002.0, **began)])
    assert snapshot.task("t", 0).job_id == kept
    assert [twin.job_id for twin in snapshot.twins] == [{"7": "8", "8": "7"}[kept]]


def test_the_recorded_cluster_makes_one_picture():
    tokens = {"rec-mixed", "rec-requeue", "rec-twin", "rec-held"}
    queue = read_squeue((RECORDED / "squeue_preempted.txt").read_text(), tokens)
    accounting = read_sacct((RECORDED / "sacct_preempted.txt").read_text(), tokens)
    snapshot = merge(queue, accounting, taken_at=1795206745.0)
    assert [snapshot.task("rec-requeue", index).word for index in range(3)] == ["RUNNING", "RUNNING", "PENDING"]
    assert [snapshot.task("rec-requeue", index).restarts for index in range(3)] == [0, 1, 1]  # the last waits for its second start
    assert snapshot.task("rec-mixed", 1).exit_code == 3
    assert len(snapshot.tasks["rec-held"]) == 21
    assert {twin.job_id for twin in snapshot.twins} == {"2937206"}
    assert snapshot.queue_ok and snapshot.accounting_ok and snapshot.notes == ()


def test_task_that_only_the_accounting_calls_alive_is_unknown_to_a_healthy_queue():
    stale = row("RUNNING", source="sacct")
    assert look([], [stale]).task("t", 0) is None
    without_queue = merge(None, Listing(rows=(stale,)), taken_at=2000.0)
    assert without_queue.task("t", 0) == stale
