"""The circuit breaker: when a grid is paused, what a pause holds, and how a person lets it go on."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from orchestrator.cluster.scheduler import Snapshot, TaskState
from orchestrator.store.errors import ClusterError, LaunchConflict
from orchestrator.store.events import Ended, Paused, Resumed, Started
from orchestrator.store.files import read_lines
from orchestrator.store.records import Record, Records
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.breaker import find_trip
from orchestrator.watchdog.pausing import go_on
from orchestrator.watchdog.proposal import carry_out, propose
from orchestrator.worker.submission import decode_row
from tests.watchdog.study import Study

SEEDS = (1, 2, 3, 4, 5, 6)


def failed(run: str, at: float, signature: str = "KeyError study.py:train") -> Record:
    return Record(id=run, state=State.FAILED, cause=Cause.ERROR, since=at, signature=signature, reason="KeyError: 'lr'\nmore")


def completed(run: str, at: float) -> Record:
    return Record(id=run, state=State.COMPLETED, since=at)


def without_signature(run: str, at: float, cause: Cause) -> Record:
    return Record(id=run, state=State.FAILED, cause=cause, since=at)


def records(*runs: Record, resumed_at: float = 0.0) -> Records:
    return Records(runs={record.id: record for record in runs}, resumed_at=resumed_at)


FIVE = [failed(run, at) for at, run in enumerate("abcde", start=10)]

TRIPS = [
    (records(*FIVE), True),
    (records(*FIVE[:4]), False),
    (records(*FIVE, completed("x", 5)), True),  # the success came before
    (records(*FIVE, completed("x", 12)), False),  # two failures since
    (records(*FIVE[:4], failed("e", 14, "another")), False),
    (records(*FIVE, resumed_at=12), False),  # a person knew of the first three
    (records(*FIVE, Record(id="x", state=State.COMPLETED, since=14, adopted_from="other")), True),  # nothing was computed for it
]


@pytest.mark.parametrize(("known", "trips"), TRIPS)
def test_five_runs_that_end_alike_without_a_success_meanwhile_are_enough(known: Records, trips: bool) -> None:
    stay_failed = [run for run, record in known.runs.items() if record.state is State.FAILED]
    trip = find_trip(known, stay_failed, least=5)
    assert (trip is not None) == trips
    if trip is not None:
        assert (trip.runs, trip.reason) == (tuple("abcde"), "5 runs ended alike and none succeeded meanwhile: error: KeyError: 'lr'")


def test_failures_that_the_policy_answers_do_not_count() -> None:
    assert find_trip(records(*FIVE), ["a", "b"], least=5) is None


def test_failures_without_a_signature_are_alike_only_in_their_cause() -> None:
    mixed = [without_signature(run, 10, Cause.GPU_OOM if run in "ab" else Cause.DIVERGED) for run in "abcde"]
    assert find_trip(records(*mixed), list("abcde"), least=5) is None
    assert find_trip(records(*mixed), list("abcde"), least=3) is not None


def test_grid_that_is_paused_does_not_trip_again() -> None:
    known = records(*FIVE).apply([Paused(at=20.0, reason="x")])
    assert find_trip(known, list("abcde"), least=5) is None


def test_breaker_of_zero_never_trips() -> None:
    assert find_trip(records(*FIVE), list("abcde"), least=0) is None


def fail_alike(study: Study, *seeds: int) -> None:
    study.end(*seeds, state=State.FAILED, cause=Cause.ERROR)


def pause(study: Study, *more: str) -> None:
    """Let three runs of six fail alike, and the breaker trip."""
    study.more = ["policy: {breaker: 3}", *more]
    study.launch(*SEEDS)
    fail_alike(study, 1, 2, 3)
    study.watch()


def resume(study: Study) -> None:
    carry_out(propose(study.draft(*SEEDS), study.site, resume_by="ada"), study.folder, resume_by="ada", sleep=study.clock.wait)


def test_paused_grid_holds_what_waits_and_says_so_once(study: Study) -> None:
    study.more = ["policy: {breaker: 3}"]
    study.launch(*SEEDS)
    fail_alike(study, 1, 2, 3)
    [sentence] = study.watch().told
    assert sentence.startswith("paused: 3 runs ended alike and none succeeded meanwhile")
    assert "mrsweep launch g --resume" in sentence
    assert study.states(4, 5, 6) == [State.HELD] * 3
    assert study.scheduler.held == {("1", 3), ("1", 4), ("1", 5)}
    assert study.paths.paused.exists()
    assert study.watch().told == ()


def test_paused_grid_submits_nothing_and_launch_says_why(study: Study) -> None:
    study.scheduler.max_array_size = 1
    study.more = ["policy: {breaker: 3}", "resources: {max_parallel: 3}"]
    study.launch(*SEEDS)
    fail_alike(study, 1, 2, 3)
    for job in study.scheduler.jobs:
        study.scheduler.move(job, state=TaskState.ENDED, word="FAILED")
    study.watch()
    assert study.states(4, 5, 6) == [State.PLANNED] * 3
    assert not study.watch().is_open
    with pytest.raises(LaunchConflict, match=r"g is paused: 3 runs ended alike.*--resume"):
        study.launch(*SEEDS, 7)
    assert study.submitted() == [[1], [2], [3]]


def test_resumed_grid_takes_out_what_waits_and_submits_it_anew_with_the_code_of_now(study: Study) -> None:
    pause(study)
    resume(study)
    assert study.scheduler.cancelled == [("1", 3), ("1", 4), ("1", 5)]
    assert (study.submitted(), study.states(4, 5, 6)) == ([list(SEEDS), [4, 5, 6]], [State.QUEUED] * 3)
    assert not study.paths.paused.exists()
    study.finish(4, 5, 6)
    study.watch()
    assert study.states(4, 5, 6) == [State.COMPLETED] * 3
    assert study.records.paused is None


def test_runs_whose_tasks_are_gone_when_a_person_resumes_are_submitted_anew(study: Study) -> None:
    pause(study)
    study.scheduler.move(study.job_of(4), state=TaskState.ENDED, word="CANCELLED")
    resume(study)
    assert study.submitted()[1:] == [[4, 5, 6]]


def test_run_whose_task_began_before_it_could_be_held_stays_with_it_on_a_resume(study: Study) -> None:
    pause(study)
    study.scheduler.move(study.job_of(4), study.record(4).index, state=TaskState.RUNNING)
    resume(study)
    assert (study.submitted()[1:], study.states(4, 5, 6)) == ([[5, 6]], [State.QUEUED] * 3)


def test_waiting_prepare_job_of_a_paused_grid_is_not_held(study: Study) -> None:
    pause(study, "prepare: python make.py")
    _, array = study.scheduler.jobs
    assert study.scheduler.held == {(array.id, 3), (array.id, 4), (array.id, 5)}


def test_run_that_is_submitted_anew_on_a_resume_keeps_its_checkpoint_and_what_it_asks_for(study: Study) -> None:
    study.more = ["policy: {breaker: 3}"]
    study.launch(*SEEDS)
    checkpoint = study.paths.run(study.record(4).id).attempt(1).checkpoint
    checkpoint.mkdir(parents=True)
    (checkpoint / "last.pt").write_bytes(b"weights")
    study.start(4)
    study.scheduler.move(study.job_of(4), study.record(4).index, state=TaskState.ENDED, word="OUT_OF_MEMORY")
    study.watch()
    before = study.job_of(4)
    fail_alike(study, 1, 2, 3)
    study.watch()
    study.scheduler.move(before, state=TaskState.ENDED, word="CANCELLED", reason="Dependency")
    resume(study)
    rows = read_lines(study.paths.submission(study.record(4).token).table, decode_row)
    assert [row.resume for row in rows if row.run == study.record(4).id] == ["attempt-1"]
    assert (study.job_of(4) is before, study.job_of(4).request.resources) == (False, before.request.resources)


def _die(place: Path | None = None) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("place", ["scancel", "file"])
def test_resume_that_was_cut_off_can_be_repeated(study: Study, place: str) -> None:
    pause(study)
    if place == "scancel":
        study.scheduler.before_act = _die
    else:
        study.at_next("unlink", study.paths.dir, _die)
    with pytest.raises(KeyboardInterrupt):
        resume(study)
    study.scheduler.before_act = lambda: None
    study.watch()
    assert study.records.paused is not None
    resume(study)
    assert (study.states(4, 5, 6), study.submitted()[1:], study.paths.paused.exists()) == ([State.QUEUED] * 3, [[4, 5, 6]], False)


def test_resume_waits_for_a_queue_that_says_what_is_held(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    pause(study)
    with monkeypatch.context() as silence:
        silence.setattr(study.scheduler, "snapshot", lambda tokens, **_: msgspec.structs.replace(_nothing(), queue_ok=False))
        with pytest.raises(ClusterError, match=r"which tasks are held\. Resume it when squeue answers"):
            resume(study)
    assert (study.states(4, 5, 6), study.records.paused is None) == ([State.HELD] * 3, False)
    resume(study)
    assert (study.states(4, 5, 6), study.submitted()[1:]) == ([State.QUEUED] * 3, [[4, 5, 6]])


def test_task_that_an_administrator_holds_is_left_to_the_administrator_on_a_resume(study: Study) -> None:
    pause(study)
    job = study.job_of(4)
    study.scheduler.move(job, 3, state=TaskState.WAITING, word="PENDING", reason="JobHeldAdmin")
    resume(study)
    assert study.scheduler.cancelled == [("1", 4), ("1", 5)]
    assert (study.submitted()[1:], study.states(4, 5, 6)) == ([[5, 6]], [State.QUEUED] * 3)


def test_what_failed_before_a_resume_is_no_reason_to_pause_again(study: Study) -> None:
    pause(study)
    study.clock.wait(10)
    resume(study)
    study.clock.wait(10)
    fail_alike(study, 4)
    study.watch()
    assert study.records.paused is None


def test_pause_that_was_cut_off_is_completed_by_the_next_round(study: Study) -> None:
    study.more = ["policy: {breaker: 3}"]
    study.launch(*SEEDS)
    fail_alike(study, 1, 2, 3)
    study.at_next("write", study.paths.dir, lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    study.scheduler.before_act = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        study.watch()
    assert study.scheduler.held == set()
    study.scheduler.before_act = lambda: None
    study.watch()
    assert (study.scheduler.held, study.paths.paused.exists()) == ({("1", 3), ("1", 4), ("1", 5)}, True)


def test_finished_grid_is_not_paused(study: Study) -> None:
    study.more = ["policy: {breaker: 3}"]
    study.launch(1, 2, 3)
    fail_alike(study, 1, 2, 3)
    study.watch()
    assert study.records.paused is None


def test_held_run_that_started_all_the_same_goes_on() -> None:
    known = records(Record(id="a", state=State.HELD, attempt=1, token="t"))
    known.apply([Paused(at=1.0, reason="x"), Started(at=2.0, run="a", attempt=1, token="t", index=0, host="n1")])
    assert known.get("a").state is State.RUNNING
    known.apply([Ended(at=3.0, run="a", attempt=1, state=State.COMPLETED, sha256="ab"), Resumed(at=4.0)])
    assert (known.get("a").state, known.paused) == (State.COMPLETED, None)
    assert go_on(known, _nothing(), 5.0, by="ada") == []


def _nothing() -> Snapshot:
    return Snapshot(taken_at=0.0, queue_ok=True, accounting_ok=True, tasks={})
