"""The janitor: a job that watches a grid and keeps its successor in the queue until nothing is open."""

from __future__ import annotations

import pytest

from orchestrator.cluster.scheduler import TaskState
from orchestrator.store.errors import InputError
from orchestrator.store.states import State
from orchestrator.watchdog.janitor import check_place
from orchestrator.watchdog.janitor_job import work
from orchestrator.watchdog.look import janitor_name
from orchestrator.watchdog.proposal import carry_out, propose
from tests.watchdog.stand_in import Answer, Job
from tests.watchdog.study import Study


def launch_with_janitor(study: Study, *seeds: int) -> tuple[str, ...]:
    return carry_out(propose(study.draft(*seeds), study.site), study.folder, janitor=True, sleep=study.clock.wait).told


def janitors(study: Study, number: int = 1) -> list[Job]:
    return [job for job in study.scheduler.jobs if job.request.token == janitor_name(study.paths, number)]


def begin(study: Study) -> None:
    """Let the first janitor begin its work."""
    study.scheduler.move(janitors(study)[0], state=TaskState.RUNNING)


def test_launch_puts_two_janitors_into_the_queue_that_ask_for_little(study: Study) -> None:
    told = launch_with_janitor(study, 1)
    [first], [second] = janitors(study), janitors(study, 2)
    assert told == (
        f"{first.request.token}: is in the queue as job {first.id}",
        f"{second.request.token}: is in the queue as job {second.id}",
        f"{first.request.token} looks after the grid every 10 minutes, until no run is open",
    )
    for number, job in enumerate((first, second), start=1):
        resources = job.request.resources
        assert (resources.gpus, resources.cpus, job.request.tasks) == (0, 1, 1)
        assert job.request.command[-3:] == ("orchestrator.watchdog.janitor_job", str(study.paths.dir.absolute()), str(number))
    assert (first.request.begin_in_s, second.request.begin_in_s) == (None, 1800)


def test_second_launch_leaves_the_janitors_that_are_there(study: Study) -> None:
    launch_with_janitor(study, 1)
    assert launch_with_janitor(study, 1, 2) == (
        f"{janitors(study)[0].request.token} looks after the grid every 10 minutes, until no run is open",
    )
    assert len(janitors(study)) == 1


def test_janitor_does_a_round_and_leaves_a_successor_that_begins_later(study: Study) -> None:
    launch_with_janitor(study, 1)
    begin(study)
    study.lose(1)
    assert work(study.grid, study.site, 1)
    assert study.states(1) == [State.QUEUED]
    assert [job.request.begin_in_s for job in janitors(study)] == [None, 600]


def test_janitor_adds_no_second_successor(study: Study) -> None:
    launch_with_janitor(study, 1)
    begin(study)
    work(study.grid, study.site, 1)
    work(study.grid, study.site, 1)
    assert len(janitors(study)) == 2


def test_janitor_takes_all_that_wait_out_of_the_queue_when_nothing_is_open(study: Study) -> None:
    launch_with_janitor(study, 1)
    begin(study)
    study.finish(1)
    assert not work(study.grid, study.site, 1)
    assert study.scheduler.cancelled == [(janitors(study)[1].id, 0), (janitors(study, 2)[0].id, 0)]


def test_watch_puts_back_a_janitor_that_is_gone(study: Study) -> None:
    launch_with_janitor(study, 1)
    study.scheduler.jobs.remove(janitors(study)[0])
    [sentence] = study.watch().told
    assert "-janitor: is in the queue as job" in sentence
    assert len(janitors(study)) == 1
    assert study.watch().told == ()


def test_janitor_that_slurm_could_not_start_is_put_back_by_the_other(study: Study) -> None:
    launch_with_janitor(study, 1)
    stuck = janitors(study)[0]
    study.scheduler.move(stuck, state=TaskState.WAITING, word="PENDING", reason="launch failed requeued held")
    study.scheduler.move(janitors(study, 2)[0], state=TaskState.RUNNING)
    work(study.grid, study.site, 2)
    assert study.scheduler.cancelled == [(stuck.id, 0)]
    assert [job.request.begin_in_s for job in janitors(study)] == [None, None]


def test_watch_does_not_put_it_back_when_nothing_is_open(study: Study) -> None:
    launch_with_janitor(study, 1)
    study.scheduler.jobs.remove(janitors(study)[0])
    study.finish(1)
    study.watch()
    assert study.watch().told == ()
    assert janitors(study) == []


def test_runs_are_launched_and_looked_after_though_the_janitors_are_refused(study: Study) -> None:
    study.scheduler.before_act = lambda: _refuse_from_now_on(study)
    told = launch_with_janitor(study, 1)
    assert any("-janitor: is not in the queue: the queue is closed." in sentence for sentence in told)
    assert study.states(1) == [State.QUEUED]
    study.scheduler.before_act, study.scheduler.on_submit = lambda: None, Answer.YES
    study.watch()
    assert len(janitors(study)) == 1


def _refuse_from_now_on(study: Study) -> None:
    study.scheduler.before_act = lambda: setattr(study.scheduler, "on_submit", Answer.NO)


def test_janitor_and_its_successor_are_no_twins_to_be_cancelled(study: Study) -> None:
    launch_with_janitor(study, 1)
    begin(study)
    work(study.grid, study.site, 1)
    study.watch()
    assert study.scheduler.cancelled == []


def test_local_workers_have_no_queue_for_a_janitor(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study.scheduler, "name", "local")
    with pytest.raises(InputError, match="local workers have none"):
        check_place(study.site)
