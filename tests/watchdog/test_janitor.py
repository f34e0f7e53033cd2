"""The janitor: a job that watches a grid and keeps its successor in the queue until nothing is open."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cluster.scheduler import Accepted, ArrayRequest, TaskState
from orchestrator.store.errors import InputError, SubmitRefused
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.janitor import check_place
from orchestrator.watchdog.janitor_job import work
from orchestrator.watchdog.look import Site, janitor_name
from orchestrator.watchdog.proposal import Canary, carry_out, propose
from tests.watchdog.stand_in import Answer, Job
from tests.watchdog.study import PROFILE, Clock, Study


def launch_with_janitor(study: Study, *seeds: int) -> tuple[str, ...]:
    return carry_out(propose(study.draft(*seeds), study.site), study.folder, janitor=True, sleep=study.clock.wait).told


def janitors(study: Study, number: int = 1) -> list[Job]:
    return [job for job in study.scheduler.jobs if job.request.token == janitor_name(study.paths, number)]


def begin(study: Study) -> None:
    """Let the first janitor begin its work."""
    study.scheduler.move(janitors(study)[0], state=TaskState.RUNNING)


def test_launch_puts_three_janitors_into_the_queue_that_ask_for_little(study: Study) -> None:
    told = launch_with_janitor(study, 1)
    jobs = [job for number in (1, 2, 3) for job in janitors(study, number)]
    assert told == (
        *(f"{job.request.token}: is in the queue as job {job.id}" for job in jobs),
        f"{jobs[0].request.token} looks after the grid every 10 minutes, until no run is open",
    )
    for number, job in enumerate(jobs, start=1):
        resources = job.request.resources
        assert (resources.gpus, resources.cpus, job.request.tasks) == (0, 1, 1)
        assert job.request.command[-3:] == ("orchestrator.watchdog.janitor_job", str(study.paths.dir.absolute()), str(number))
    assert [job.request.begin_in_s for job in jobs] == [None, 1800, 5400]


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
    assert study.scheduler.cancelled == [(janitors(study)[1].id, 0), (janitors(study, 2)[0].id, 0), (janitors(study, 3)[0].id, 0)]


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


def test_janitor_whose_successor_waits_behind_what_slurm_holds_goes_on(study: Study) -> None:
    launch_with_janitor(study, 1)
    begin(study)
    stuck = janitors(study)[0]
    work(study.grid, study.site, 1)  # its successor waits for its end, by their name
    study.scheduler.move(stuck, state=TaskState.WAITING, word="PENDING", reason="launch failed requeued held")
    [sentence] = study.watch().told
    assert sentence == f"{stuck.request.token}: goes on, as what Slurm could not start is taken out of the queue"
    assert study.scheduler.cancelled == [(stuck.id, 0)]
    assert len(janitors(study)) == 2


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


@pytest.fixture
def without_janitors(study: Study, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study whose scheduler takes runs and no further janitor; the run of seed 1 was just lost."""
    take = study.scheduler.submit

    def submit(request: ArrayRequest) -> Accepted:
        if request.token.startswith(janitor_name(study.paths, 1)):
            raise SubmitRefused("no more janitors.")
        return take(request)

    launch_with_janitor(study, 1)
    begin(study)
    study.lose(1)
    monkeypatch.setattr(study.scheduler, "submit", submit)
    return study


def test_janitor_whose_successor_is_refused_does_its_round_all_the_same(without_janitors: Study) -> None:
    assert work(without_janitors.grid, without_janitors.site, 1)
    assert (without_janitors.states(1), without_janitors.record(1).attempt) == ([State.QUEUED], 2)


def test_runs_are_submitted_again_though_a_janitor_that_is_gone_is_refused(without_janitors: Study) -> None:
    without_janitors.scheduler.jobs.remove(janitors(without_janitors)[0])
    told = without_janitors.watch().told
    assert any("-janitor: is not in the queue: no more janitors." in sentence for sentence in told)
    assert (without_janitors.states(1), without_janitors.record(1).attempt) == ([State.QUEUED], 2)


def test_no_janitor_is_put_back_while_the_queue_does_not_answer(study: Study) -> None:
    launch_with_janitor(study, 1)
    study.scheduler.jobs.remove(janitors(study)[0])
    study.lose(1)
    study.scheduler.queue_ok = False
    study.watch()
    assert (study.states(1), janitors(study)) == ([State.INTERRUPTED], [])
    study.scheduler.queue_ok = True
    study.watch()
    assert len(janitors(study)) == 1


def test_grid_that_a_person_resumes_gets_the_janitors_back_that_had_left(study: Study) -> None:
    proposal = propose(study.draft(1, 2, 3), study.site, canary=Canary(count=1))
    carry_out(proposal, study.folder, janitor=True, sleep=study.clock.wait)
    begin(study)
    study.end(1, state=State.FAILED, cause=Cause.ERROR)
    assert not work(study.grid, study.site, 1)
    for job in (*janitors(study), *janitors(study, 2)):
        study.scheduler.jobs.remove(job)
    carry_out(propose(study.draft(1, 2, 3), study.site, resume_by="ada"), study.folder, resume_by="ada", sleep=study.clock.wait)
    assert (len(janitors(study)), len(janitors(study, 2))) == (1, 1)


def test_grids_of_one_name_in_two_folders_have_janitors_of_their_own(
    study: Study, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "another project"
    folder.mkdir()
    other = Study(folder, clock, monkeypatch)
    other.scheduler, other.site = study.scheduler, Site(profile=PROFILE, scheduler=study.scheduler)
    for one in (study, other):
        launch_with_janitor(one, 1)
        assert (len(janitors(one)), len(janitors(one, 2))) == (1, 1)
    assert not set(map(id, janitors(study))) & set(map(id, janitors(other)))
