"""Arrays that lag behind get the slots of drained ones: a higher throttle, or, where that is refused, some of their runs move."""

from __future__ import annotations

import pytest

from orchestrator.cluster.scheduler import TaskState
from orchestrator.store.errors import Busy
from orchestrator.store.events import Recalled, Throttled
from orchestrator.store.ledger import read_events
from orchestrator.store.records import SubmissionRecord
from orchestrator.store.states import State
from orchestrator.watchdog.act import cancel
from orchestrator.watchdog.throttle import THROTTLED
from orchestrator.watchdog.watch import record_under
from orchestrator.worker.claim import read_wish
from tests.watchdog.stand_in import Answer, Job
from tests.watchdog.study import Study


@pytest.fixture
def lagging(study: Study) -> Study:
    """Two arrays with one slot each: all three runs of the first are done, of the second one computes and two wait."""
    study.scheduler.max_array_size = 3
    study.more = ["resources: {max_parallel: 2}"]
    study.launch(1, 2, 3, 4, 5, 6)
    assert study.submitted() == [[1, 2, 3], [4, 5, 6]]
    study.scheduler.move(study.job_of(4), 1, 2, state=TaskState.WAITING, reason=THROTTLED)
    study.finish(1, 2, 3)
    study.start(4)
    return study


@pytest.fixture
def fixed(lagging: Study) -> Study:
    """Arrays whose throttle the scheduler does not change, as it has said."""
    lagging.scheduler.on_throttle = Answer.NO
    lagging.watch()
    return lagging


def behind(study: Study) -> tuple[Job, SubmissionRecord]:
    """Return the job that lags behind, and what the ledger says of it."""
    job = study.scheduler.jobs[1]
    return job, study.records.submissions[job.request.token]


def test_free_slots_raise_the_throttle_of_the_array_behind(lagging: Study) -> None:
    written = []
    lagging.scheduler.before_act = lambda: written.append(behind(lagging)[1].max_parallel)
    lagging.watch()
    assert lagging.scheduler.throttles == [("2", 2)]
    assert written == [2]


def test_throttle_is_raised_once(lagging: Study) -> None:
    lagging.watch()
    lagging.watch()
    assert len(lagging.scheduler.throttles) == 1


def test_throttle_stays_where_no_slot_is_free(lagging: Study) -> None:
    lagging.scheduler.move(lagging.scheduler.jobs[0], 2, state=TaskState.RUNNING)
    lagging.watch()
    assert lagging.scheduler.throttles == []


def test_throttle_stays_while_the_queue_does_not_answer(lagging: Study) -> None:
    lagging.scheduler.queue_ok = False
    lagging.watch()
    assert lagging.scheduler.throttles == []


def test_lost_answer_counts_as_the_wider_throttle(lagging: Study) -> None:
    lagging.scheduler.on_throttle = Answer.LOST
    lagging.watch()
    _, record = behind(lagging)
    assert (record.max_parallel, record.fixed) == (2, False)


def test_refused_change_leaves_the_throttle_as_it_was_and_is_not_asked_for_again(fixed: Study) -> None:
    _, record = behind(fixed)
    assert (record.max_parallel, record.fixed) == (1, True)
    fixed.watch()
    assert len(fixed.scheduler.throttles) == 1


def test_who_lost_the_pen_changes_no_throttle(lagging: Study) -> None:
    lagging.scheduler.queue_ok = False
    lagging.watch()  # the news are written
    lagging.scheduler.queue_ok = True
    lagging.at_next("fsync", lagging.paths.ledger, lambda segment: lagging.take_over())
    with pytest.raises(Busy):
        lagging.watch()
    assert lagging.scheduler.throttles == []


def test_runs_at_the_end_of_an_array_with_a_fixed_throttle_are_taken_out_of_it(fixed: Study) -> None:
    found = []

    def look_on_disk() -> None:
        found.append((behind(fixed)[1].recalled, fixed.states(5, 6), read_wish(fixed.paths.run(fixed.record(6).id))))

    fixed.scheduler.before_act = look_on_disk
    [sentence] = fixed.watch().told
    [(recalled, states, wish)] = found  # both are on disk before the task is cancelled
    assert (recalled, states) == ({2}, [State.QUEUED, State.PLANNED])  # 2 waiting × 1 slot / (1 + 1) = 1
    assert wish is not None and (wish.wish, wish.through) == ("requeue", 1)
    assert fixed.scheduler.cancelled == [("2", 2)]
    assert "moved to free slots: 1 of its waiting runs" in sentence


def test_run_that_was_taken_out_is_submitted_anew_when_its_task_is_gone(fixed: Study) -> None:
    fixed.watch()
    fixed.watch()
    assert len(fixed.scheduler.jobs) == 2  # its task still waits
    fixed.scheduler.move(fixed.scheduler.jobs[1], 2, state=TaskState.ENDED, word="CANCELLED")
    fixed.watch()
    assert fixed.submitted() == [[1, 2, 3], [4, 5, 6], [6]]
    assert (fixed.record(6).attempt, fixed.record(6).losses) == (2, 0)


def recalls(study: Study) -> list[tuple[int, ...]]:
    """Return the rows of each recall that the ledger holds."""
    return [event.rows for event in read_events(study.paths) if isinstance(event, Recalled)]


def test_task_that_was_taken_out_and_stays_in_the_queue_is_cancelled_again_and_nothing_else_is_moved_meanwhile(fixed: Study) -> None:
    fixed.watch()
    for _ in range(2):
        watched = fixed.watch()
        assert (watched.told, watched.look.events) == ((), ())
    assert fixed.scheduler.cancelled == [("2", 2)] * 3
    assert recalls(fixed) == [(2,)]
    assert fixed.states(5, 6) == [State.QUEUED, State.PLANNED]


def test_round_that_was_killed_before_its_scancel_is_finished_by_the_next(fixed: Study) -> None:
    def die() -> None:
        raise KeyboardInterrupt

    fixed.scheduler.before_act = die
    with pytest.raises(KeyboardInterrupt):
        fixed.watch()
    assert (recalls(fixed), fixed.scheduler.cancelled) == ([(2,)], [])
    fixed.scheduler.before_act = lambda: None
    fixed.watch()
    assert (recalls(fixed), fixed.scheduler.cancelled) == ([(2,)], [("2", 2)])


def test_run_that_was_quicker_than_its_recall_keeps_its_place(fixed: Study) -> None:
    fixed.watch()
    fixed.start(6)
    fixed.watch()
    assert (fixed.states(6), fixed.record(6).attempt) == ([State.RUNNING], 1)
    assert len(fixed.scheduler.jobs) == 2


def test_wish_of_a_person_is_not_written_over_by_a_move(fixed: Study) -> None:
    with fixed.pen() as pen:
        seen = record_under(pen, fixed.grid, fixed.site)
        cancel(pen, [pen.records.get(fixed.manifest(6).id)], seen.snapshot, fixed.site, by="ada")
    fixed.watch()  # the queue still shows the task
    wish = read_wish(fixed.paths.run(fixed.record(6).id))
    assert wish is not None and (wish.wish, wish.by) == ("cancel", "ada")
    assert fixed.scheduler.cancelled == [("2", 2)]


def test_a_slot_that_raises_a_throttle_moves_no_runs_as_well(study: Study) -> None:
    study.scheduler.max_array_size = 3
    study.more = ["resources: {max_parallel: 3}"]
    study.launch(*range(1, 10))
    fixed, raisable = study.scheduler.jobs[1:]
    with study.pen() as pen:
        pen.write(Throttled(at=pen.clock(), token=fixed.request.token, max_parallel=1, refused=True))
    for job in (fixed, raisable):
        study.scheduler.move(job, 1, 2, state=TaskState.WAITING, reason=THROTTLED)
    study.finish(1, 2, 3)
    study.watch()
    study.watch()
    assert study.scheduler.throttles == [(raisable.id, 2)]
    assert study.scheduler.cancelled == []


def test_last_waiting_run_stays_where_it_is(fixed: Study) -> None:
    fixed.start(5)
    fixed.scheduler.move(fixed.scheduler.jobs[1], 0, state=TaskState.ENDED, word="COMPLETED")
    fixed.end(4)
    fixed.watch()
    assert fixed.scheduler.cancel_calls == 0


def test_who_lost_the_pen_takes_no_task_out_of_its_array(fixed: Study) -> None:
    fixed.at_next("fsync", fixed.paths.ledger, lambda segment: fixed.take_over())
    with pytest.raises(Busy):
        fixed.watch()
    assert fixed.scheduler.cancel_calls == 0
