"""Cancelling and submitting again: a wish for each run, scancel only for tasks that nobody wants, and no run beside itself."""

from __future__ import annotations

import pytest

from orchestrator.cluster.scheduler import TaskState
from orchestrator.store.errors import Busy, SubmitRefused
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.act import cancel, plan_submittal, remember, submit
from orchestrator.watchdog.proposal import carry_out, propose
from orchestrator.watchdog.refusals import REFUSED_WAIT_S
from orchestrator.watchdog.watch import record_under
from orchestrator.worker.claim import read_wish
from tests.watchdog.stand_in import Answer
from tests.watchdog.study import Study

PACKED = ["pack: {per_task: 2}"]


def cancel_runs(study: Study, *seeds: int) -> tuple[int, int]:
    with study.pen() as pen:
        seen = record_under(pen, study.grid, study.site)
        chosen = [pen.records.get(study.manifest(seed).id) for seed in seeds]
        return cancel(pen, chosen, seen.snapshot, study.site, by="ada")


def test_only_the_tasks_of_the_chosen_runs_are_cancelled(study: Study) -> None:
    study.launch(1, 2, 3)
    assert cancel_runs(study, 1, 3) == (2, 0)
    assert study.scheduler.cancelled == [("1", 0), ("1", 2)]
    assert study.states(1, 2, 3) == [State.CANCELLED, State.QUEUED, State.CANCELLED]
    assert study.record(1).cause is Cause.CANCELLED_BEFORE_START


def test_task_that_has_ended_is_not_cancelled(study: Study) -> None:
    study.launch(1, 2)
    study.scheduler.move(study.job_of(1), 0, state=TaskState.ENDED, word="COMPLETED")
    cancel_runs(study, 1, 2)
    assert study.scheduler.cancelled == [("1", 1)]


def test_running_run_gets_a_wish_and_ends_by_its_worker_s_word(study: Study) -> None:
    study.launch(1)
    study.start(1)
    assert cancel_runs(study, 1) == (0, 1)
    wish = read_wish(study.paths.run(study.record(1).id))
    assert wish is not None and (wish.wish, wish.by, wish.through) == ("cancel", "ada", 1)
    assert (study.states(1), study.scheduler.cancelled) == ([State.RUNNING], [("1", 0)])


def test_wish_and_ledger_come_before_the_scheduler_s_cancel(study: Study) -> None:
    study.launch(1)
    found = []
    study.scheduler.before_act = lambda: found.append((study.states(1), read_wish(study.paths.run(study.record(1).id)) is not None))
    cancel_runs(study, 1)
    assert found == [([State.CANCELLED], True)]


def test_packed_task_goes_on_while_one_run_of_its_list_is_wanted(study: Study) -> None:
    study.more = PACKED
    study.launch(1, 2, 3, 4)
    assert cancel_runs(study, 1, 2, 3) == (3, 0)
    assert study.scheduler.cancelled == []


def test_packed_tasks_end_when_no_run_of_their_list_is_wanted(study: Study) -> None:
    study.more = PACKED
    study.launch(1, 2, 3, 4)
    study.end(1)
    cancel_runs(study, 2, 3)
    assert study.scheduler.cancelled == []
    cancel_runs(study, 4)
    assert study.scheduler.cancelled == [("1", 0), ("1", 1)]


def test_packed_task_ends_when_its_computing_run_is_chosen_with_the_waiting_one(study: Study) -> None:
    study.more = PACKED
    study.launch(1, 2)
    study.start(1)
    assert cancel_runs(study, 1, 2) == (1, 1)
    assert study.scheduler.cancelled == [("1", 0)]


def test_run_that_goes_on_elsewhere_does_not_keep_its_former_packed_tasks(study: Study) -> None:
    study.more = PACKED
    study.launch(1, 2, 3, 4)
    study.lose(1)
    study.watch()
    first, again = study.scheduler.jobs
    assert study.seeds_of(again) == [1]
    cancel_runs(study, 2, 3, 4)
    assert study.scheduler.cancelled == [(first.id, 1)]
    assert study.states(1) == [State.QUEUED]


def test_who_lost_the_pen_cancels_nothing(study: Study) -> None:
    study.launch(1)
    study.at_next("fsync", study.paths.ledger, lambda segment: study.take_over())
    with pytest.raises(Busy):
        cancel_runs(study, 1)
    assert study.scheduler.cancel_calls == 0


def submit_again(study: Study, seed: int, **changed: float) -> list[str]:
    with study.pen() as pen:
        seen = record_under(pen, study.grid, study.site)
        submittal = plan_submittal(study.grid, [study.manifest(seed)], pen.records, seen.snapshot, study.site, changed=changed)
        return submit(pen, study.grid, submittal, study.site, seen.snapshot, reason="requeue")


def test_interrupted_run_is_not_submitted_beside_its_living_task_even_when_a_person_asks(study: Study) -> None:
    study.launch(1)
    study.end(1, state=State.INTERRUPTED, cause=Cause.PREEMPTED)
    assert submit_again(study, 1) == []
    study.scheduler.move(study.job_of(1), state=TaskState.ENDED, word="PREEMPTED")
    assert len(submit_again(study, 1)) == 1


def test_resources_that_a_person_changed_hold_for_later_tries_as_well(study: Study) -> None:
    study.launch(1)
    study.end(1, state=State.FAILED, cause=Cause.HOST_OOM)
    submit_again(study, 1, mem_gb=64.0)
    study.lose(1)
    study.watch()
    assert [request.resources.mem_gb for request in study.scheduler.requests] == [2.0, 64.0, 64.0]


def test_resources_that_the_scheduler_refused_do_not_hold_for_later_tries(study: Study) -> None:
    study.launch(1)
    study.lose(1)
    study.scheduler.on_submit = Answer.NO
    with pytest.raises(SubmitRefused):
        submit_again(study, 1, mem_gb=999.0)
    study.scheduler.on_submit = Answer.YES
    study.clock.now += REFUSED_WAIT_S
    study.watch()
    assert [request.resources.mem_gb for request in study.scheduler.requests] == [2.0, 999.0, 2.0]


def test_requeue_that_finds_no_slot_is_remembered_and_submitted_by_watch_as_it_was_asked_for(study: Study) -> None:
    study.more = ["resources: {max_parallel: 1}"]
    study.scheduler.max_array_size = 1
    study.launch(1, 2)
    study.end(1, state=State.FAILED, cause=Cause.ERROR)
    study.scheduler.move(study.job_of(1), state=TaskState.ENDED, word="COMPLETED")
    study.watch()  # the second run takes the slot
    with study.pen() as pen:
        seen = record_under(pen, study.grid, study.site)
        submittal = plan_submittal(study.grid, [study.manifest(1)], pen.records, seen.snapshot, study.site, changed={"mem_gb": 7.0})
        assert (submittal.runs, len(submittal.later)) == (0, 1)
        remember(pen, submittal.later, by="ada")
    assert (study.record(1).state, study.record(1).reason) == (State.PLANNED, "requeued (ada)")
    study.finish(2)
    study.watch()
    assert study.submitted() == [[1], [2], [1]]
    assert study.scheduler.requests[-1].resources.mem_gb == 7.0


def test_requeue_of_a_paused_grid_submits_nothing_and_is_remembered(study: Study) -> None:
    study.more = ["policy: {breaker: 2}"]
    study.launch(1, 2, 3)
    study.end(1, 2, state=State.FAILED, cause=Cause.ERROR)
    study.scheduler.move(study.job_of(1), 0, 1, state=TaskState.ENDED, word="COMPLETED")
    study.watch()
    with study.pen() as pen:
        seen = record_under(pen, study.grid, study.site)
        submittal = plan_submittal(study.grid, [study.manifest(1)], pen.records, seen.snapshot, study.site)
        assert (submittal.runs, len(submittal.later)) == (0, 1)
        remember(pen, submittal.later, by="ada")
    assert study.watch().told == ()
    carry_out(propose(study.draft(1, 2, 3), study.site, resume_by="ada"), study.folder, resume_by="ada", sleep=study.clock.wait)
    assert study.submitted()[1:] == [[1, 3]]


def test_held_run_of_a_paused_grid_is_not_submitted_beside_its_waiting_task(study: Study) -> None:
    study.more = ["policy: {breaker: 2}"]
    study.launch(1, 2, 3)
    study.end(1, 2, state=State.FAILED, cause=Cause.ERROR)
    study.watch()
    assert study.states(3) == [State.HELD]
    with study.pen() as pen:
        seen = record_under(pen, study.grid, study.site)
        submittal = plan_submittal(study.grid, [study.manifest(3)], pen.records, seen.snapshot, study.site)
    assert (submittal.arrays, submittal.later) == ((), ())


def test_tries_that_the_scheduler_refuses_change_a_runtime_key_once(study: Study) -> None:
    study.more = ["runtime: [mb]", "config: {mb: 8}", "policy: {gpu_oom: {set: {mb: /2}}}"]
    study.launch(1)
    study.end(1, state=State.FAILED, cause=Cause.GPU_OOM)
    study.scheduler.move(study.job_of(1), state=TaskState.ENDED, word="FAILED")
    study.scheduler.on_submit = Answer.NO
    for _ in range(3):
        study.clock.wait(3600)
        with pytest.raises(SubmitRefused):
            study.watch()
    study.scheduler.on_submit = Answer.YES
    study.clock.wait(3600)
    study.watch()
    assert (study.states(1), study.record(1).overrides) == ([State.QUEUED], {"mb": 4})
