"""Runs that live and show no sign of progress: when they count as stalled, and what the policy does about it."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.cluster.scheduler import TaskState
from orchestrator.store.events import Ended
from orchestrator.store.records import Attempt, Record, Records
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.answers import read_answers
from orchestrator.watchdog.stall import Quiet, Rule, Seen, Sign, check, is_due
from orchestrator.watchdog.stalling import PATIENCE_S, to_end
from orchestrator.worker.claim import read_wish
from orchestrator.worker.telemetry import Heartbeat
from tests.watchdog.study import Study

AFTER_S = 1800.0
RESUME = ["policy: {stalled: resume}"]


def running(state: State = State.RUNNING) -> Records:
    return Records(runs={"a": Record(id="a", state=state, attempt=1, since=100.0, attempts=(Attempt(number=1),))})


def quiet(**sign: float) -> Quiet:
    return Quiet(checked_at=1000.0, seen={"a/1.0": Seen(sign=Sign(**sign), since=1000.0)})


CHECKS = [
    ({"reported": 10, "cpu_s": 5.0}, 2799.0, False, None),  # a second too early
    ({"reported": 10, "cpu_s": 5.0}, 2800.0, False, State.STALLED),
    ({"reported": 11, "cpu_s": 5.0}, 2800.0, False, None),  # it reported
    ({"reported": 10, "cpu_s": 7.0}, 2800.0, False, None),  # it computed
    ({"reported": 10, "cpu_s": 6.0}, 2800.0, False, State.STALLED),  # 1 s of 1800 is waiting
    ({"reported": 10, "cpu_s": 500.0}, 2800.0, True, State.STALLED),  # it spins, and reports must come
]


@pytest.mark.parametrize(("sign", "now", "by_reports", "state"), CHECKS)
def test_run_is_stalled_after_half_an_hour_without_report_and_processor_time(
    sign: dict[str, float], now: float, by_reports: bool, state: State | None
) -> None:
    found = check(running(), {"a": Sign(**sign)}, quiet(reported=10, cpu_s=5.0), Rule(AFTER_S, by_reports), now)
    assert [event.state for event in found.events] == ([state] if state else [])


def test_run_without_any_heartbeat_is_stalled_as_well() -> None:
    found = check(running(), {"a": None}, quiet(), Rule(AFTER_S), 2800.0)
    assert [(event.state, event.cause, event.reason) for event in found.events] == [
        (State.STALLED, Cause.STALLED, "no sign of progress for 30 min")
    ]


def test_stalled_run_that_moves_is_running_again() -> None:
    found = check(running(State.STALLED), {"a": Sign(reported=11)}, quiet(reported=10), Rule(AFTER_S), 2900.0)
    assert [event.state for event in found.events] == [State.RUNNING]


def test_run_that_the_scheduler_suspended_is_not_stalled() -> None:
    assert check(running(), {"a": None}, quiet(), Rule(AFTER_S), 9000.0, excused={"a"}).events == []


def test_newer_attempt_begins_with_a_clean_slate() -> None:
    records = running()
    records.runs["a"] = msgspec.structs.replace(records.get("a"), attempts=(Attempt(number=1), Attempt(number=2)))
    assert check(records, {"a": Sign(reported=10)}, quiet(reported=10), Rule(AFTER_S), 9000.0).events == []


def test_heartbeats_are_read_four_times_in_the_time_allowed_and_not_for_fresh_runs() -> None:
    assert not is_due(running(), Quiet(), AFTER_S, 100.0 + AFTER_S / 4 - 1)
    assert is_due(running(), Quiet(), AFTER_S, 100.0 + AFTER_S / 4)
    assert not is_due(running(), Quiet(checked_at=800.0), AFTER_S, 900.0)
    assert not is_due(Records(), Quiet(), AFTER_S, 1e9)


def beat(study: Study, seed: int, **values: float) -> None:
    attempt = study.paths.run(study.record(seed).id).attempt(study.record(seed).attempt)
    attempt.dir.mkdir(parents=True, exist_ok=True)
    fields = {"counter": 1, "at": 0.0, "pss_gb": 0.0, "cpu_s": 1.0}
    attempt.heartbeat.write_bytes(msgspec.json.encode(Heartbeat(**{**fields, **values})))


def fall_silent(study: Study, seed: int, *, looks: int = 6, beside: tuple[int, ...] = ()) -> None:
    """Let a run compute, and stand still for longer than the profile's stall_min, while those `beside` it go on."""
    study.start(seed, *beside)
    study.watch()
    beat(study, seed)
    for look in range(1, 1 + looks):
        study.clock.wait(10 * 60)
        for other in beside:
            beat(study, other, metrics_bytes=look)
        study.watch()


def test_stalled_run_is_told_and_left_alone_by_default(study: Study) -> None:
    study.launch(1)
    fall_silent(study, 1)
    assert study.states(1) == [State.STALLED]
    assert read_wish(study.paths.run(study.record(1).id)) is None
    assert study.scheduler.cancelled == []
    beat(study, 1, metrics_bytes=50)
    study.clock.wait(10 * 60)
    study.watch()
    assert study.states(1) == [State.RUNNING]


def test_stalled_run_is_asked_to_end_and_taken_up_again_where_the_policy_says_so(study: Study) -> None:
    study.more = RESUME
    study.launch(1)
    fall_silent(study, 1)
    record = study.record(1)
    wish = read_wish(study.paths.run(record.id))
    assert wish is not None
    assert (wish.wish, wish.reason, wish.through) == ("requeue", "stalled", 1)
    ended = Ended(at=study.clock(), run=record.id, attempt=1, state=State.INTERRUPTED, cause=Cause.STALLED)
    with study.paths.submission(record.token).journal(0).open("ab") as stream:
        stream.write(msgspec.json.encode(ended) + b"\n")
    study.scheduler.move(study.job_of(1), state=TaskState.ENDED, word="COMPLETED")
    study.watch()
    assert study.submitted() == [[1], [1]]


def test_task_that_does_not_answer_the_wish_is_cancelled_and_its_run_taken_up_again(study: Study) -> None:
    study.more = RESUME
    study.launch(1)
    fall_silent(study, 1)
    assert set(study.scheduler.cancelled) == {("1", 0)}
    study.scheduler.move(study.job_of(1), state=TaskState.ENDED, word="CANCELLED", reason="by 0")
    study.clock.wait(1000)
    study.watch()
    assert (study.record(1).state, study.submitted()) == (State.QUEUED, [[1], [1]])
    assert study.record(1).tally == {Cause.STALLED: 1}


def test_task_that_slurm_began_anew_meanwhile_is_not_cancelled(study: Study) -> None:
    study.more = RESUME
    study.launch(1)

    def begin_anew() -> None:
        job = study.job_of(1)
        job.rows[0] = msgspec.structs.replace(job.rows[0], started_at=study.clock())

    study.scheduler.after_look = begin_anew
    fall_silent(study, 1)
    assert study.scheduler.cancelled == []


def test_worker_has_its_warning_and_a_minute_more_to_answer_the_wish(study: Study) -> None:
    study.more = RESUME
    study.launch(1)
    fall_silent(study, 1, looks=4)  # the first look at its heartbeat, and 30 min later the wish
    assert read_wish(study.paths.run(study.record(1).id)) is not None
    study.clock.wait(study.site.profile.warning_s + PATIENCE_S)
    study.watch()
    assert study.scheduler.cancelled == []
    study.clock.wait(1)
    study.watch()
    assert study.scheduler.cancelled == [("1", 0)]


def test_silent_run_of_a_packed_task_is_taken_up_again_when_its_task_was_cancelled(study: Study) -> None:
    study.more = [*RESUME, "pack: {per_task: 2, per_gpu: 1}"]
    study.launch(1, 2, 3, 4)
    fall_silent(study, 4)
    assert set(study.scheduler.cancelled) == {("1", 1)}
    study.scheduler.move(study.job_of(4), state=TaskState.ENDED, word="CANCELLED", reason="by 0")
    study.clock.wait(1000)
    study.watch()
    assert (study.states(4), study.record(4).tally) == ([State.QUEUED], {Cause.STALLED: 1})


def test_packed_task_is_left_while_another_of_its_runs_goes_on(study: Study) -> None:
    study.more = [*RESUME, "pack: {per_task: 2}"]
    study.launch(1, 2)
    fall_silent(study, 1, beside=(2,))
    assert read_wish(study.paths.run(study.record(1).id)) is not None
    assert (study.states(1, 2), study.scheduler.cancelled) == ([State.STALLED, State.RUNNING], [])


@pytest.mark.parametrize(("stalls", "ends"), [(0, True), (2, True), (3, False)])
def test_run_that_stalls_is_ended_three_times_and_then_left(stalls: int, ends: bool) -> None:
    known = running(State.STALLED)
    known.runs["a"] = msgspec.structs.replace(known.get("a"), tally={Cause.STALLED: stalls})
    assert [record.id for record in to_end(known, read_answers({"stalled": "resume"}))] == ["a"] * ends
