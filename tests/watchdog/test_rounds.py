"""Rounds of watching: what is submitted again and when, how often the scheduler is asked, and what is written."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.cluster.scheduler import Accepted, ArrayRequest, Limits, TaskState
from orchestrator.pruning.runs import restore
from orchestrator.store.errors import Busy, ClusterError, SubmitRefused
from orchestrator.store.events import Decided, Intent, Submitted
from orchestrator.store.files import read_lines
from orchestrator.store.ledger import read_events
from orchestrator.store.records import WATCH
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.policy import MOST_WAIT_S
from orchestrator.watchdog.watch import FRESH_S
from orchestrator.worker.submission import decode_row
from tests.watchdog.stand_in import Answer
from tests.watchdog.study import Study

THREE_LOSSES = ["policy: {node_failure: {attempts: 3}}"]
ONE_AT_A_TIME = ["resources: {max_parallel: 1}"]


def launch_one_of_two(study: Study) -> None:
    """Launch two runs of which the second waits for the slot of the first."""
    study.scheduler.max_array_size = 1
    study.more = ONE_AT_A_TIME
    study.launch(1, 2)
    assert study.submitted() == [[1]]


def test_interrupted_run_is_submitted_again_and_the_reason_recorded_before(study: Study) -> None:
    study.launch(1, 2)
    study.lose(1)
    decided = []
    study.scheduler.before_act = lambda: decided.extend(event for event in read_events(study.paths) if isinstance(event, Decided))
    [sentence] = study.watch().told
    assert study.submitted() == [[1, 2], [1]]
    assert "requeued as attempt 2 (node_failure, attempt 1 was number 1 of at most 10 to end so)" in sentence
    assert [(event.run, event.action) for event in decided] == [(study.record(1).id, "resume")]


def test_run_that_the_machine_ends_again_and_again_is_given_up(study: Study) -> None:
    study.more = THREE_LOSSES
    study.launch(1)
    for _ in range(3):
        study.lose(1)
        study.clock.wait(MOST_WAIT_S)
        watched = study.watch()
    assert study.submitted() == [[1]] * 3
    assert (study.record(1).state, study.record(1).cause) == (State.FAILED, Cause.NODE_FAILURE)
    assert study.record(1).reason.startswith("given up: 3 of its attempts ended as node_failure; the last: ")
    assert study.record(1).tally == {Cause.NODE_FAILURE: 3}
    assert not watched.is_open
    assert study.watch().told == ()


def test_launch_by_a_person_gives_a_run_its_tries_again(study: Study) -> None:
    study.more = THREE_LOSSES
    study.launch(1)
    for _ in range(2):
        study.lose(1)
        study.clock.wait(MOST_WAIT_S)
        study.watch()
    study.lose(1)
    study.launch(1)
    assert study.record(1).losses == 0
    study.lose(1)
    study.watch()
    assert len(study.scheduler.jobs) == 5


def test_every_further_try_waits_twice_as_long_after_the_last_one_began(study: Study) -> None:
    study.launch(1)
    study.lose(1)
    study.watch()  # the second try follows at once
    for wait_s in (60, 120, 240):
        study.lose(1)
        study.clock.wait(wait_s - 1)
        watched = study.watch()
        assert (study.states(1), watched.is_open) == ([State.INTERRUPTED], True)
        study.clock.wait(1)
        study.watch()
        assert study.states(1) == [State.QUEUED]


def test_interrupted_run_whose_task_lives_is_left_to_the_scheduler_until_the_task_ends(study: Study) -> None:
    study.launch(1)
    study.end(1, state=State.INTERRUPTED, cause=Cause.PREEMPTED)
    study.scheduler.move(study.job_of(1), state=TaskState.WAITING)  # requeued by Slurm
    study.watch()
    assert study.submitted() == [[1]]
    study.scheduler.move(study.job_of(1), state=TaskState.ENDED, word="PREEMPTED")
    study.watch()
    assert study.submitted() == [[1], [1]]


def test_interrupted_run_that_an_edit_left_out_is_left_alone(study: Study) -> None:
    study.launch(1, 2)
    study.launch(2)
    study.lose(1)
    watched = study.watch()
    assert (watched.told, study.submitted(), study.states(1)) == ((), [[1, 2]], [State.INTERRUPTED])


def test_run_resumes_from_its_newest_whole_checkpoint_and_not_from_one_that_was_still_written_aside(study: Study) -> None:
    study.launch(1)
    for name in ("last.pt", ".last.pt.aside"):
        checkpoint = study.paths.run(study.record(1).id).attempt(study.record(1).attempt).checkpoint
        checkpoint.mkdir(parents=True)
        (checkpoint / name).write_bytes(b"weights")
        study.lose(1)
        study.clock.wait(MOST_WAIT_S)
        study.watch()
    table = study.paths.submission(study.record(1).token).table
    assert [(row.attempt, row.resume) for row in read_lines(table, decode_row)] == [(3, "attempt-1")]


def test_failed_run_is_left_to_a_person(study: Study) -> None:
    study.launch(1)
    study.end(1, state=State.FAILED, cause=Cause.ERROR)
    watched = study.watch()
    assert (study.submitted(), study.states(1)) == ([[1]], [State.FAILED])
    assert not watched.is_open


def test_run_that_waited_for_a_slot_is_submitted_when_one_is_free(study: Study) -> None:
    launch_one_of_two(study)
    study.finish(1)
    watched = study.watch()
    assert study.submitted() == [[1], [2]]
    assert watched.is_open


def test_slot_is_free_only_when_the_task_has_ended(study: Study) -> None:
    launch_one_of_two(study)
    study.end(1)
    watched = study.watch()
    assert (study.submitted(), study.states(1)) == ([[1]], [State.COMPLETED])
    assert watched.is_open


def test_nothing_is_submitted_while_the_queue_does_not_answer(study: Study) -> None:
    study.launch(1, 2)
    study.lose(1)
    study.scheduler.queue_ok = False
    study.watch()
    assert (study.submitted(), study.states(1)) == ([[1, 2]], [State.INTERRUPTED])
    study.scheduler.queue_ok = True
    study.watch()
    assert study.submitted() == [[1, 2], [1]]


def test_run_that_waits_for_a_slot_waits_while_the_queue_does_not_answer(study: Study) -> None:
    study.more = ["resources: {max_parallel: 2}"]
    study.scheduler.max_array_size = 1
    study.launch(1, 2, 3)
    study.end(1, state=State.FAILED)
    study.scheduler.move(study.job_of(1), state=TaskState.ENDED, word="FAILED")
    study.scheduler.queue_ok = False
    study.watch()
    assert study.submitted() == [[1], [2]]
    study.scheduler.queue_ok = True
    study.watch()
    assert study.submitted() == [[1], [2], [3]]


# After n refusals in a row the next try waits 60 s × 2^(n-1), an hour at most.
WAITS = [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_after_refusals_the_next_try_waits_longer_and_longer(study: Study) -> None:
    study.scheduler.on_submit = Answer.NO
    with pytest.raises(SubmitRefused):
        study.launch(1)
    for tries, wait_s in enumerate(WAITS, start=1):
        study.clock.now += wait_s - 1
        study.watch()
        assert len(study.scheduler.requests) == tries
        study.clock.now += 1
        with pytest.raises(SubmitRefused):
            study.watch()


def test_after_a_success_the_next_refusal_waits_a_minute_only(study: Study) -> None:
    study.scheduler.on_submit = Answer.NO
    with pytest.raises(SubmitRefused):
        study.launch(1)
    study.clock.now += WAITS[0]
    study.scheduler.on_submit = Answer.YES
    study.watch()
    study.lose(1)
    study.scheduler.on_submit = Answer.NO
    study.clock.now += 1
    with pytest.raises(SubmitRefused):
        study.watch()
    study.scheduler.on_submit = Answer.YES
    study.clock.now += WAITS[0]
    study.watch()
    assert study.submitted() == [[1], [1]]


def test_class_that_is_refused_for_ever_holds_up_no_other(study: Study) -> None:
    study.more = ["resources: {mem_gb: {by: seed, 1: 900, 2: 4}}"]
    take = study.scheduler.submit

    def submit(request: ArrayRequest) -> Accepted:
        study.scheduler.on_submit = Answer.NO if request.resources.mem_gb > 100 else Answer.YES
        return take(request)

    study.scheduler.submit = submit
    with pytest.raises(SubmitRefused):
        study.launch(1, 2)
    for wait_s in WAITS:
        study.clock.now += wait_s
        with pytest.raises(SubmitRefused):
            study.watch()
    study.lose(2)
    study.clock.now += 1
    study.watch()
    assert study.submitted() == [[2], [2]]


def test_person_s_launch_does_not_wait_after_a_refusal(study: Study) -> None:
    study.scheduler.on_submit = Answer.NO
    with pytest.raises(SubmitRefused):
        study.launch(1)
    study.scheduler.on_submit = Answer.YES
    study.launch(1)
    assert study.submitted() == [[1]]


def test_round_in_which_runs_merely_wait_for_a_slot_writes_nothing(study: Study) -> None:
    launch_one_of_two(study)
    study.start(1)
    study.watch()
    before = study.content()
    watched = study.watch()
    assert study.content() == before
    assert (watched.told, watched.look.events) == ((), ())


def test_round_after_a_refusal_writes_nothing_until_the_wait_is_over(study: Study) -> None:
    study.scheduler.on_submit = Answer.NO
    with pytest.raises(SubmitRefused):
        study.launch(1)
    before = study.content()
    study.watch()
    assert study.content() == before


def test_round_asks_the_scheduler_once_with_and_without_news(study: Study) -> None:
    study.launch(1, 2)
    study.watch()
    assert study.scheduler.looks == 1
    study.lose(1)
    study.watch()
    assert study.scheduler.looks == 2


def test_round_of_a_grid_that_has_ended_asks_nobody(study: Study) -> None:
    study.launch(1)
    study.finish(1)
    study.watch()
    looks = study.scheduler.looks
    study.watch()
    assert study.scheduler.looks == looks


def test_round_asks_again_when_another_process_submitted_meanwhile(study: Study) -> None:
    launch_one_of_two(study)
    study.lose(1)
    waiting = study.manifest(2).id

    def submit_elsewhere() -> None:
        study.scheduler.after_look = lambda: None
        study.paths.submission("other").dir.mkdir()
        with study.pen() as pen:
            pen.write(Intent(at=pen.clock(), token="other", runs=((waiting, 1),), tasks=1, max_parallel=1, reason=WATCH))
            job = study.scheduler.take(msgspec.structs.replace(study.scheduler.requests[0], token="other"))
            pen.write(Submitted(at=pen.clock(), token="other", job_id=job.id))

    study.scheduler.after_look = submit_elsewhere
    study.watch()
    assert study.scheduler.looks == 2
    assert study.submitted() == [[1], [2]]  # the slot is taken, and run 1 waits


def test_round_asks_again_when_it_waited_long_for_the_pen(study: Study) -> None:
    study.launch(1)
    study.lose(1)
    study.scheduler.after_look = lambda: study.clock.wait(FRESH_S + 1) if study.scheduler.looks == 1 else None
    study.watch()
    assert study.scheduler.looks == 2


def test_waiting_twin_of_a_job_is_cancelled(study: Study) -> None:
    study.launch(1, 2)
    twin = study.scheduler.take(study.scheduler.requests[0])
    [sentence] = study.watch().told
    assert study.scheduler.cancelled == [(twin.id, 0), (twin.id, 1)]
    assert "a second job of it was cancelled" in sentence


@pytest.mark.parametrize("state", [TaskState.RUNNING, TaskState.ENDED, TaskState.UNCLEAR])
def test_twin_that_does_not_wait_is_left_alone(study: Study, state: TaskState) -> None:
    study.launch(1)
    study.scheduler.move(study.scheduler.take(study.scheduler.requests[0]), state=state)
    study.start(1)
    study.watch()
    assert study.scheduler.cancel_calls == 0


def test_who_lost_the_pen_cancels_no_twin(study: Study) -> None:
    study.launch(1)
    study.scheduler.take(study.scheduler.requests[0])
    study.start(1)  # the news that is written just before
    study.at_next("fsync", study.paths.ledger, lambda segment: study.take_over())
    with pytest.raises(Busy):
        study.watch()
    assert study.scheduler.cancel_calls == 0


def test_result_of_an_attempt_that_nobody_saw_begin_counts(study: Study) -> None:
    """The worker of a lost node lives on and completes a run that was submitted anew; who comes after it finds nothing to do."""
    study.launch(1)
    study.scheduler.move(study.job_of(1), state=TaskState.ENDED, word="NODE_FAIL")
    study.watch()
    assert study.record(1).attempt == 2
    study.prove(1, attempt=1)
    study.scheduler.move(study.job_of(1), state=TaskState.ENDED, word="COMPLETED")
    study.watch()
    record = study.record(1)
    assert (record.state, [attempt.number for attempt in record.attempts], record.decisive) == (State.COMPLETED, [1], record.attempts[0])
    assert len(study.scheduler.jobs) == 2


def test_what_happened_is_recorded_though_the_cluster_does_not_tell_its_limits(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study.launch(1)
    study.end(1, state=State.FAILED, cause=Cause.HOST_OOM)

    def fail() -> None:
        raise ClusterError("scontrol timed out.")

    monkeypatch.setattr(study.scheduler, "limits", fail)
    study.scheduler.queue_ok = False
    study.watch()
    assert study.states(1) == [State.FAILED]


def test_failed_run_whose_budget_is_spent_says_so_once(study: Study) -> None:
    study.more = ["policy: {host_oom: {attempts: 1}}"]
    study.launch(1)
    study.end(1, state=State.FAILED, cause=Cause.HOST_OOM)
    assert study.watch().told == (f"run {study.record(1).id[:8]}…: given up, 1 of its attempts ended as host_oom",)
    assert study.record(1).reason.startswith("given up: 1 of its attempts ended as host_oom")
    assert study.watch().told == ()


def test_what_a_person_brought_back_from_the_trash_is_not_moved_there_again(study: Study) -> None:
    study.more = ["policy: {error: prune}"]
    study.launch(1)
    study.end(1, state=State.FAILED, cause=Cause.ERROR)
    study.scheduler.move(study.job_of(1), state=TaskState.ENDED, word="COMPLETED")
    study.paths.run(study.record(1).id).dir.mkdir(parents=True, exist_ok=True)
    study.watch()
    assert study.states(1) == [State.PRUNED]
    with study.pen() as pen:
        assert restore(pen, [study.record(1).id], by="ada") == []
    study.watch()
    assert study.states(1) == [State.FAILED]


def test_runs_that_a_packed_job_had_no_time_for_are_submitted_until_they_are_computed(study: Study) -> None:
    """Six times left over is more often than a run may fail to start."""
    study.more = ["pack: {per_task: 7, per_gpu: 1}"]
    seeds = range(1, 8)
    study.launch(*seeds)
    for seed in seeds:
        assert study.states(seed) == [State.QUEUED]
        study.end(seed)
        study.scheduler.move(study.scheduler.jobs[-1], state=TaskState.ENDED, word="COMPLETED")
        study.clock.wait(MOST_WAIT_S)
        study.watch()
    assert study.states(*seeds) == [State.COMPLETED] * 7


def test_queue_is_not_counted_where_there_is_no_slot_to_fill(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    launch_one_of_two(study)
    counted: list[int] = []
    monkeypatch.setattr(study.scheduler, "limits", lambda: Limits(max_array_size=1, max_submit=100))
    monkeypatch.setattr(study.scheduler, "count_queued", lambda: counted.append(1) or 1)
    study.watch()
    assert counted == []
    study.finish(1)
    study.watch()
    assert counted != []
