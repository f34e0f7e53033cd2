"""What a look judges with real files: prepare commands that failed, workers of another host, tasks that nobody names."""

from __future__ import annotations

import pytest

from orchestrator.cluster.scheduler import TaskState
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.look import look
from orchestrator.watchdog.observe import MIN_LOOKS
from tests.watchdog.study import PROFILE, Study


@pytest.fixture
def prepared(study: Study) -> Study:
    """A study whose run waits for the job of a command."""
    study.more = ["prepare: python make.py"]
    study.launch(1)
    return study


@pytest.mark.parametrize("word", ["TIMEOUT", "FAILED", "DEADLINE"])
def test_run_is_blocked_when_the_job_of_its_prepare_command_ended_so(prepared: Study, word: str) -> None:
    prepare, array = prepared.scheduler.jobs
    prepared.scheduler.move(prepare, state=TaskState.ENDED, word=word)
    prepared.scheduler.move(array, state=TaskState.ENDED, word="CANCELLED", reason="Dependency")
    prepared.watch()
    record = prepared.record(1)
    assert (record.state, record.cause) == (State.BLOCKED, Cause.BAD_INPUT)
    assert f"its job {prepare.id} ended as {word}" in record.reason
    assert len(prepared.scheduler.jobs) == 2


def test_run_is_blocked_with_the_last_lines_of_a_prepare_command_that_failed(prepared: Study) -> None:
    [folder] = (prepared.paths.dir / "prepare").iterdir()
    (folder / "failed.json").write_text('{"exit_code": 3, "seconds": 1.0, "log": "no space left"}')
    prepared.scheduler.move(prepared.scheduler.jobs[0], state=TaskState.ENDED, word="FAILED")
    prepared.watch()
    assert prepared.record(1).reason == "prepare failed, exit code 3: no space left"


def test_run_is_not_blocked_when_the_command_did_its_work_before_its_job_ended_badly(prepared: Study) -> None:
    [folder] = (prepared.paths.dir / "prepare").iterdir()
    (folder / "result.json").write_text('{"exit_code": 0, "seconds": 1.0}')
    prepared.scheduler.move(prepared.scheduler.jobs[0], state=TaskState.ENDED, word="TIMEOUT")
    prepared.watch()
    assert prepared.states(1) == [State.QUEUED]


def test_prepare_job_on_a_lost_node_is_submitted_again_with_the_run(prepared: Study) -> None:
    prepare, array = prepared.scheduler.jobs
    prepared.scheduler.move(prepare, state=TaskState.ENDED, word="NODE_FAIL")
    prepared.scheduler.move(array, state=TaskState.ENDED, word="CANCELLED", reason="Dependency")
    prepared.watch()
    _, _, again, second = prepared.scheduler.jobs
    assert (prepared.states(1), second.request.after) == ([State.QUEUED], (again.id,))


def test_only_the_newest_job_of_a_prepare_command_is_judged(prepared: Study) -> None:
    prepare, array = prepared.scheduler.jobs
    prepared.scheduler.move(prepare, state=TaskState.ENDED, word="NODE_FAIL")
    prepared.scheduler.move(array, state=TaskState.ENDED, word="CANCELLED", reason="Dependency")
    prepared.watch()
    prepared.scheduler.move(prepare, state=TaskState.ENDED, word="TIMEOUT")
    prepared.watch()
    assert prepared.states(1) == [State.QUEUED]


def test_nobody_judges_local_workers_of_another_host_that_have_not_written_yet(study: Study) -> None:
    study.scheduler.job_id = "local-elsewhere-{}"
    study.launch(1)
    study.scheduler.jobs.clear()
    for _ in range(MIN_LOOKS + 1):
        study.clock.wait(PROFILE.absent_s)
        watched = study.watch()
    assert (study.states(1), watched.look.events) == ([State.QUEUED], ())
    [note] = watched.look.snapshot.notes
    assert "were started on elsewhere and have not written yet" in note


def test_local_workers_of_another_host_are_judged_once_they_have_written(study: Study) -> None:
    study.scheduler.job_id = "local-elsewhere-{}"
    study.launch(1)
    study.lose(1)
    assert study.watch().look.snapshot.notes == ()
    assert study.record(1).attempts[0].cause is Cause.NODE_FAILURE


def given_up(study: Study, *waits: float) -> list[bool]:
    """Say of each round whether it gave up a run whose task nobody names any more; `waits` lie between the rounds."""
    study.launch(1)
    study.start(1)
    study.watch()
    study.scheduler.jobs.clear()
    rounds = []
    for wait_s in (0.0, *waits):
        study.clock.wait(wait_s)
        rounds.append(bool(study.watch().look.events))
    return rounds


def test_task_that_few_looks_missed_is_not_gone_however_far_apart_they_are(study: Study) -> None:
    assert not any(given_up(study, *[PROFILE.absent_s] * (MIN_LOOKS - 2)))


def test_task_that_many_looks_missed_within_a_moment_is_not_gone(study: Study) -> None:
    assert not any(given_up(study, *[1.0] * MIN_LOOKS))


def test_task_that_enough_looks_missed_for_long_enough_is_gone_and_its_run_goes_out_again(study: Study) -> None:
    assert given_up(study, *[PROFILE.absent_s] * (MIN_LOOKS - 1)) == [False] * (MIN_LOOKS - 1) + [True]
    assert study.record(1).attempts[0].cause is Cause.LOST
    assert (study.states(1), study.submitted()) == ([State.QUEUED], [[1]])


def test_look_writes_nothing(study: Study) -> None:
    study.launch(1)
    study.lose(1)
    before = study.content()
    assert look(study.grid, study.site).events
    assert study.content() == before
