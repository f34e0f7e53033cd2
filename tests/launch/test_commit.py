"""Submitting: once for each intent, under the pen, and every answer of the scheduler leaves a ledger that can be taken up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.cluster.scheduler import ArrayRequest, Snapshot, TaskState
from orchestrator.store.errors import Busy, ClusterError, SubmitRefused, SubmitUnknown
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.act import cancel
from orchestrator.watchdog.refusals import REFUSED_WAIT_S, refused_lately
from tests.watchdog.stand_in import Answer
from tests.watchdog.study import Study, open_submissions

PREPARE = ["prepare: python make.py"]
RESULT = b'{"exit_code": 0, "seconds": 1.0}'


def test_intent_and_table_are_on_disk_before_the_scheduler_is_asked(study: Study) -> None:
    found = []

    def look_on_disk() -> None:
        [token] = open_submissions(study.records)
        folder = study.paths.submission(token)
        found.append((folder.table.read_text().count("\n"), folder.request.exists(), study.paths.act(token).exists()))

    study.scheduler.before_act = look_on_disk
    study.launch(1, 2)
    assert found == [(2, True, True)]
    assert open_submissions(study.records) == []


def test_who_lost_the_pen_just_before_the_act_asks_nothing_of_the_scheduler(study: Study) -> None:
    study.at_next("link", study.paths.acts, lambda act: study.take_over())
    with pytest.raises(Busy):
        study.launch(1)
    assert study.scheduler.requests == []


def test_intent_that_another_process_is_carrying_out_is_not_carried_out_twice(study: Study) -> None:
    study.at_next("link", study.paths.acts, lambda act: act.write_text("another process\n"))
    with pytest.raises(ClusterError, match="another process is submitting"):
        study.launch(1)
    assert study.scheduler.requests == []


def test_refused_runs_wait_again_with_the_scheduler_s_words(study: Study) -> None:
    study.scheduler.on_submit = Answer.NO
    with pytest.raises(SubmitRefused):
        study.launch(1, 2)
    assert study.states(1, 2) == [State.PLANNED, State.PLANNED]
    assert study.record(1).reason == "the queue is closed."
    assert open_submissions(study.records) == []


def test_refused_requeue_leaves_an_interrupted_run_interrupted_by_the_same_cause(study: Study) -> None:
    study.launch(1)
    study.lose(1)
    study.scheduler.on_submit = Answer.NO
    with pytest.raises(SubmitRefused):
        study.watch()
    record = study.record(1)
    assert (record.state, record.cause, record.reason) == (State.INTERRUPTED, Cause.NODE_FAILURE, "the queue is closed.")
    assert record.losses == 1


def test_refused_requeue_keeps_the_cause_of_a_run_that_never_started(study: Study) -> None:
    study.launch(1)
    study.scheduler.move(study.job_of(1), state=TaskState.ENDED, word="NODE_FAIL")
    study.scheduler.on_submit = Answer.NO
    with pytest.raises(SubmitRefused):
        study.watch()
    assert (study.record(1).state, study.record(1).cause) == (State.INTERRUPTED, Cause.NEVER_STARTED)


def test_class_that_the_scheduler_refuses_keeps_no_other_class_waiting(study: Study) -> None:
    answers = [Answer.NO, Answer.YES]
    study.more = ["resources: {mem_gb: {by: seed, 1: 900, 2: 4, 3: 4}}"]
    study.scheduler.before_act = lambda: setattr(study.scheduler, "on_submit", answers.pop(0))
    with pytest.raises(SubmitRefused, match="the queue is closed"):
        study.launch(1, 2, 3)
    assert [request.resources.mem_gb for request in study.scheduler.requests] == [900.0, 4.0]
    assert study.submitted() == [[2, 3]]
    assert study.states(1, 2, 3) == [State.PLANNED, State.QUEUED, State.QUEUED]
    assert study.scheduler.lifted == {"1": ()}


def test_arrays_before_a_refused_one_stay_submitted(study: Study) -> None:
    study.scheduler.max_array_size = 1
    study.scheduler.before_act = lambda: setattr(study.scheduler, "on_submit", Answer.NO if study.scheduler.jobs else Answer.YES)
    with pytest.raises(SubmitRefused):
        study.launch(1, 2, 3)
    assert study.submitted() == [[1]]
    assert study.states(1, 2, 3) == [State.QUEUED, State.PLANNED, State.PLANNED]


@pytest.mark.parametrize("answer", [Answer.LOST, Answer.SILENCE])
def test_lost_answer_leaves_the_intent_open_and_the_runs_queued(study: Study, answer: Answer) -> None:
    study.scheduler.on_submit = answer
    with pytest.raises(SubmitUnknown, match="found out by the next launch or watch"):
        study.launch(1)
    assert open_submissions(study.records) == [request.token for request in study.scheduler.requests]
    assert study.states(1) == [State.QUEUED]


@pytest.fixture
def unanswered(study: Study, request: pytest.FixtureRequest) -> Study:
    """A study whose launch got no answer from a scheduler that is well again."""
    study.scheduler.on_submit = request.param
    with pytest.raises(SubmitUnknown):
        study.launch(1)
    study.scheduler.on_submit = Answer.YES
    return study


@pytest.mark.parametrize("unanswered", [Answer.LOST], indirect=True)
@pytest.mark.parametrize("queue_ok", [True, False])
def test_watch_adopts_the_job_that_the_queue_names(unanswered: Study, queue_ok: bool) -> None:
    unanswered.scheduler.queue_ok = queue_ok  # what a list names is there, whole or not
    told = unanswered.watch().told
    [job] = unanswered.scheduler.jobs
    assert told == (f"{job.request.token}: was taken as job {job.id}",)
    assert unanswered.records.submissions[job.request.token].job_id == job.id


@pytest.mark.parametrize("unanswered", [Answer.SILENCE], indirect=True)
def test_watch_submits_again_under_the_same_token_what_two_looks_did_not_find(unanswered: Study) -> None:
    unanswered.watch()
    first, second = unanswered.scheduler.requests
    assert first == second
    assert unanswered.submitted() == [[1]]
    assert open_submissions(unanswered.records) == []
    assert (unanswered.scheduler.looks, unanswered.clock.waits) == (2, [unanswered.site.profile.confirm_s])


@pytest.mark.parametrize("unanswered", [Answer.SILENCE], indirect=True)
def test_each_try_of_an_intent_leaves_an_act_of_its_own(unanswered: Study) -> None:
    unanswered.watch()
    token = unanswered.scheduler.requests[0].token
    assert sorted(act.name for act in unanswered.paths.acts.iterdir()) == [token, f"{token}.1"]


@pytest.mark.parametrize("unanswered", [Answer.SILENCE], indirect=True)
def test_array_that_is_submitted_again_keeps_the_fence_that_holds_back_a_late_twin(unanswered: Study) -> None:
    unanswered.watch()
    assert len(unanswered.scheduler.jobs) == 1
    assert unanswered.scheduler.lifted == {}


@pytest.mark.parametrize("unanswered", [Answer.SILENCE], indirect=True)
@pytest.mark.parametrize("healthy", [(False, False), (True, False), (False, True)])
def test_nothing_is_submitted_again_after_a_look_that_was_not_healthy(unanswered: Study, healthy: tuple[bool, bool]) -> None:
    unanswered.scheduler.queue_ok, second = healthy
    unanswered.scheduler.after_look = lambda: setattr(unanswered.scheduler, "queue_ok", second)
    [sentence] = unanswered.watch().told
    assert "not clear yet" in sentence
    assert unanswered.scheduler.jobs == []
    assert len(open_submissions(unanswered.records)) == 1


@pytest.mark.parametrize("unanswered", [Answer.SILENCE], indirect=True)
def test_what_had_not_been_taken_is_not_submitted_when_none_of_its_runs_waits_any_more(unanswered: Study) -> None:
    [request] = unanswered.scheduler.requests
    with unanswered.pen() as pen:
        seen = Snapshot(taken_at=pen.clock(), queue_ok=True, accounting_ok=True, tasks={})
        cancel(pen, [pen.records.get(unanswered.manifest(1).id)], seen, unanswered.site, by="ada")
    [sentence, *_] = unanswered.watch().told
    assert sentence == f"{request.token}: had not been taken, and none of its runs waits for it any more"
    assert (unanswered.scheduler.jobs, unanswered.states(1)) == ([], [State.CANCELLED])
    assert open_submissions(unanswered.records) == []
    assert refused_lately(unanswered.records.submissions.values(), unanswered.clock()) == []


@pytest.mark.parametrize("unanswered", [Answer.SILENCE], indirect=True)
def test_job_that_shows_up_in_the_second_look_is_adopted(unanswered: Study) -> None:
    [request] = unanswered.scheduler.requests
    unanswered.scheduler.after_look = lambda: unanswered.scheduler.jobs or unanswered.scheduler.take(request)
    unanswered.watch()
    assert len(unanswered.scheduler.requests) == len(unanswered.scheduler.jobs) == 1
    assert open_submissions(unanswered.records) == []


@pytest.mark.parametrize("unanswered", [Answer.LOST], indirect=True)
def test_launch_settles_what_an_earlier_one_left_open(unanswered: Study) -> None:
    launched = unanswered.launch(1)
    assert (len(launched.told), launched.tokens) == (1, ())
    assert unanswered.submitted() == [[1]]


@pytest.fixture
def prepared(study: Study) -> Study:
    """A study whose runs wait for a command, launched with one run."""
    study.more = PREPARE
    study.launch(1)
    return study


def test_watch_adopts_a_prepare_job_whose_answer_got_lost_and_lets_the_runs_wait_for_it(study: Study) -> None:
    study.more = PREPARE
    study.scheduler.on_submit = Answer.LOST
    with pytest.raises(SubmitUnknown):
        study.launch(1)
    study.scheduler.on_submit = Answer.YES
    study.watch()
    job, array = study.scheduler.jobs
    assert (study.seeds_of(array), array.request.after) == ([1], (job.id,))


def assert_the_array_waits_for_the_one_prepare_job(study: Study) -> None:
    job, array = study.scheduler.jobs
    assert (study.seeds_of(array), array.request.after) == ([1], (job.id,))


@pytest.mark.parametrize("answer", [Answer.LOST, Answer.SILENCE])
def test_launch_uses_the_prepare_job_that_it_settled(study: Study, answer: Answer) -> None:
    study.more = PREPARE
    study.scheduler.on_submit = answer
    with pytest.raises(SubmitUnknown):
        study.launch(1)
    study.scheduler.on_submit = Answer.YES
    study.launch(1)
    assert_the_array_waits_for_the_one_prepare_job(study)


def test_watch_uses_the_prepare_job_that_it_submitted_again(study: Study) -> None:
    study.more = PREPARE
    study.scheduler.on_submit = Answer.SILENCE
    with pytest.raises(SubmitUnknown):
        study.launch(1)
    study.scheduler.on_submit = Answer.YES
    study.watch()
    assert_the_array_waits_for_the_one_prepare_job(study)


@pytest.fixture
def half_launched(study: Study) -> Study:
    """A study whose prepare job is in the queue, and whose array was refused."""
    study.more = PREPARE
    study.scheduler.before_act = lambda: setattr(study.scheduler, "on_submit", Answer.NO if study.scheduler.jobs else Answer.YES)
    with pytest.raises(SubmitRefused):
        study.launch(1)
    study.scheduler.before_act = lambda: None
    study.scheduler.on_submit = Answer.YES
    study.clock.now += REFUSED_WAIT_S
    return study


@pytest.mark.parametrize("again", [lambda study: study.launch(1), Study.watch], ids=["launch", "watch"])
def test_prepare_job_of_a_refused_array_is_used_by_the_next_try(half_launched: Study, again: Callable[[Study], object]) -> None:
    again(half_launched)
    assert_the_array_waits_for_the_one_prepare_job(half_launched)


def test_nothing_is_submitted_while_the_queue_does_not_say_whether_it_holds_the_prepare_job(half_launched: Study) -> None:
    half_launched.scheduler.queue_ok = False
    with pytest.raises(ClusterError, match="does not say whether the prepare command is in it"):
        half_launched.launch(1)
    assert len(half_launched.scheduler.jobs) == 1
    half_launched.scheduler.queue_ok = True
    half_launched.launch(1)
    assert_the_array_waits_for_the_one_prepare_job(half_launched)


def test_launch_that_was_killed_before_its_array_leaves_a_prepare_job_that_the_next_uses(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    preview = study.scheduler.preview

    def die_at_the_array(request: ArrayRequest) -> str:
        if study.scheduler.jobs:
            raise KeyboardInterrupt
        return preview(request)

    study.more = PREPARE
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(study.scheduler, "preview", die_at_the_array)
        study.launch(1)
    study.launch(1)
    assert_the_array_waits_for_the_one_prepare_job(study)


def test_array_waits_for_the_job_of_its_prepare_command(prepared: Study) -> None:
    job, array = prepared.scheduler.jobs
    assert (job.request.after, array.request.after) == ((), (job.id,))
    assert prepared.scheduler.lifted == {array.id: (job.id,)}
    assert "orchestrator.worker.prepare" in job.request.command


def test_prepare_command_that_is_in_the_queue_is_not_submitted_again(prepared: Study) -> None:
    prepared.launch(1, 2)
    job, _, array = prepared.scheduler.jobs
    assert (prepared.seeds_of(array), array.request.after) == ([2], (job.id,))


def test_prepare_command_whose_job_is_gone_is_submitted_again(prepared: Study) -> None:
    prepared.scheduler.move(prepared.scheduler.jobs[0], state=TaskState.ENDED, word="NODE_FAIL")
    prepared.launch(1, 2)
    _, _, again, array = prepared.scheduler.jobs
    assert array.request.after == (again.id,)


def test_prepare_command_that_ended_well_is_waited_for_by_nobody(prepared: Study) -> None:
    [folder] = (prepared.paths.dir / "prepare").iterdir()
    (folder / "result.json").write_bytes(RESULT)
    prepared.launch(1, 2)
    _, _, array = prepared.scheduler.jobs
    assert array.request.after == ()


@pytest.fixture
def packed(study: Study) -> Study:
    """Forty launched runs of 10 GB, four a task and two of them side by side, two at once in all."""
    study.more = ["pack: {per_task: 4, per_gpu: 2}", "resources: {mem_gb: 10, max_parallel: 2}"]
    study.launch(*range(1, 41))
    return study


def asked(study: Study) -> tuple[int, int, float]:
    """Return (tasks, tasks at once, memory of a task [GB]) of the newest request."""
    request = study.scheduler.requests[-1]
    return request.tasks, request.throttle, request.resources.mem_gb


def test_packs_are_asked_for_as_packs(packed: Study) -> None:
    [job] = packed.scheduler.jobs
    assert asked(packed) == (10, 1, 20.0)  # 40 runs / 4 a task; 2 at once / 2 side by side; 2 × 10 GB
    assert packed.seeds_of(job) == [*range(1, 41)]
    record = packed.records.submissions[job.request.token]
    assert (record.listed, record.max_parallel, record.at_a_time) == (True, 2, 2)


def test_packs_that_are_submitted_again_are_asked_for_as_packs(packed: Study) -> None:
    packed.scheduler.move(packed.scheduler.jobs[0], state=TaskState.ENDED, word="NODE_FAIL")
    packed.watch()
    assert len(packed.scheduler.jobs) == 2
    assert asked(packed) == (10, 1, 20.0)
