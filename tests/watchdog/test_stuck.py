"""Tasks that Slurm could not start and holds: they are taken out, their runs tried again, and not for ever."""

from __future__ import annotations

import pytest

from orchestrator.cluster.scheduler import TaskState
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.policy import MOST_WAIT_S
from tests.watchdog.study import Study

REASONS = ["launch failed requeued held", "(launch failed requeued held)", "JobHoldMaxRequeue"]
PACKED = ["pack: {per_task: 2}"]


def get_stuck(study: Study, seed: int, reason: str = REASONS[0]) -> None:
    study.scheduler.move(study.job_of(seed), study.record(seed).index, state=TaskState.WAITING, word="PENDING", reason=reason)


def leave_the_queue(study: Study, seed: int) -> None:
    study.scheduler.move(study.job_of(seed), study.record(seed).index, state=TaskState.ENDED, word="CANCELLED", reason="by 0")


@pytest.mark.parametrize("reason", REASONS)
def test_run_of_a_task_that_slurm_holds_is_submitted_anew(study: Study, reason: str) -> None:
    study.launch(1, 2)
    get_stuck(study, 1, reason)
    [sentence] = study.watch().told
    assert "taken out, as Slurm could not start them" in sentence
    assert study.scheduler.cancelled == [("1", 0)]
    assert (study.record(1).state, study.record(1).cause) == (State.INTERRUPTED, Cause.NEVER_STARTED)
    leave_the_queue(study, 1)
    study.watch()
    assert study.submitted() == [[1, 2], [1]]


@pytest.mark.parametrize("reason", ["JobHeldUser", "JobHeldAdmin", "Priority"])
def test_task_that_a_person_holds_is_left_to_the_person(study: Study, reason: str) -> None:
    study.launch(1)
    get_stuck(study, 1, reason)
    assert study.watch().told == ()


def test_run_that_never_starts_is_given_up_in_the_end(study: Study) -> None:
    study.launch(1)
    for _ in range(5):
        get_stuck(study, 1)
        study.watch()
        leave_the_queue(study, 1)
        study.clock.wait(MOST_WAIT_S)
        study.watch()
    assert study.record(1).reason.startswith("given up: 5 of its attempts ended as never_started")
    assert len(study.scheduler.jobs) == 5


def test_packed_task_that_slurm_holds_is_left_while_another_works_on_its_list(study: Study) -> None:
    study.more = PACKED
    study.launch(1, 2, 3, 4)
    study.scheduler.move(study.job_of(1), 0, state=TaskState.WAITING, word="PENDING", reason=REASONS[0])
    study.scheduler.move(study.job_of(1), 1, state=TaskState.RUNNING)
    assert study.watch().told == ()
    assert study.scheduler.cancelled == []


def test_list_whose_tasks_are_all_held_by_slurm_is_taken_out_whole(study: Study) -> None:
    study.more = PACKED
    study.launch(1, 2, 3, 4)
    study.scheduler.move(study.job_of(1), state=TaskState.WAITING, word="PENDING", reason=REASONS[0])
    study.watch()
    assert study.scheduler.cancelled == [("1", 0), ("1", 1)]
    assert study.states(1, 2, 3, 4) == [State.INTERRUPTED] * 4
    study.scheduler.move(study.scheduler.jobs[0], state=TaskState.ENDED, word="CANCELLED", reason="by 0")
    study.watch()
    assert [(study.record(seed).state, study.record(seed).attempt) for seed in (1, 2, 3, 4)] == [(State.QUEUED, 2)] * 4


def test_prepare_job_that_slurm_could_not_start_is_taken_out(study: Study) -> None:
    study.more = ["prepare: python make.py"]
    study.launch(1, 2)
    prepare, _ = study.scheduler.jobs
    study.scheduler.move(prepare, state=TaskState.WAITING, word="PENDING", reason=REASONS[0])
    [sentence] = study.watch().told
    assert "1 of its tasks were taken out" in sentence
    assert study.scheduler.cancelled == [(prepare.id, 0)]
