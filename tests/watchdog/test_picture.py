"""The picture of a grid: what files and policy add to the records, read for the shown runs only."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.cluster.scheduler import TaskState
from orchestrator.results.overview import Overview
from orchestrator.results.select import Selection
from orchestrator.store.errors import ClusterError, SubmitRefused
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.picture import take_advice, take_picture
from orchestrator.watchdog.proposal import carry_out, propose
from orchestrator.watchdog.watch import record
from orchestrator.worker.outcome import End, write_end
from tests.watchdog.stand_in import Answer
from tests.watchdog.study import Study


def picture(study: Study, *, lines: int | None = None) -> Overview:
    return take_picture(study.grid, study.site, Selection(), lines=lines)


def leave_words(study: Study, seed: int, excerpt: str) -> None:
    """Write the end.json of a run's newest attempt, and a report."""
    record = study.record(seed)
    attempt = study.paths.run(record.id).attempt(record.attempt)
    attempt.dir.mkdir(parents=True, exist_ok=True)
    write_end(attempt, End(at=study.clock(), run=record.id, attempt=record.attempt, state=State.FAILED, excerpt=excerpt))
    attempt.metrics.write_text('{"step": 12, "loss": 0.5}\n')


def test_each_group_of_failures_shows_the_words_of_one_of_its_runs(study: Study) -> None:
    study.launch(1, 2, 3)
    study.end(1, 2, state=State.FAILED, cause=Cause.ERROR)
    study.end(3, state=State.FAILED, cause=Cause.DIVERGED)
    leave_words(study, 1, "in f\nValueError")
    assert [failure.excerpt for failure in picture(study).failures] == ["in f\nValueError", ""]


def test_reports_of_ended_runs_are_read_for_the_shown_ones_only(study: Study) -> None:
    study.launch(1, 2)
    study.end(1, 2, state=State.FAILED, cause=Cause.ERROR)
    for seed in (1, 2):
        leave_words(study, seed, "")
    shown = picture(study, lines=1)
    assert [line.step for line in shown.lines] == [12]
    assert shown.counts == {"failed": 2}
    assert [line.step for line in picture(study).lines] == [None, None]


def test_a_run_that_the_policy_leaves_to_a_person_counts_as_a_failure(study: Study) -> None:
    study.more = ["policy: {node_failure: keep}"]
    study.launch(1)
    study.lose(1)
    seen = picture(study)
    assert [failure.cause for failure in seen.failures] == ["node_failure"]
    assert seen.waits == ()


def test_a_run_that_is_taken_up_again_says_so(study: Study) -> None:
    study.launch(1)
    study.lose(1)
    seen = picture(study)
    assert seen.failures == ()
    assert [(wait.reason, wait.runs) for wait in seen.waits] == [("next", 1)]
    record(study.grid, study.site)
    study.clock.wait(4 * study.site.profile.poll_s)
    assert [wait.reason for wait in picture(study).waits] == ["unwatched"]


def test_a_failed_run_that_the_policy_takes_up_again_counts_as_both(study: Study) -> None:
    study.launch(1)
    study.end(1, state=State.FAILED, cause=Cause.HOST_OOM)
    study.scheduler.move(study.job_of(1), 0, state=TaskState.ENDED, word="COMPLETED")
    seen = picture(study)
    assert [failure.cause for failure in seen.failures] == ["host_oom"]
    assert [wait.sentence for wait in seen.waits] == ["it is taken up again in the next round of the watch"]


def test_a_janitor_is_given_the_time_between_its_rounds(study: Study) -> None:
    carry_out(propose(study.draft(1), study.site), study.folder, janitor=True, sleep=study.clock.wait)
    study.lose(1)
    record(study.grid, study.site)
    study.clock.wait(4 * study.site.profile.poll_s)
    seen = picture(study)
    assert (seen.janitor, [wait.reason for wait in seen.waits]) == (True, ["next"])


def test_nobody_watches_when_all_janitors_are_gone(study: Study) -> None:
    carry_out(propose(study.draft(1), study.site), study.folder, janitor=True, sleep=study.clock.wait)
    del study.scheduler.jobs[-3:]
    assert not picture(study).janitor


def test_a_run_that_the_scheduler_refused_names_its_words(study: Study) -> None:
    study.scheduler.on_submit = Answer.NO
    with pytest.raises(SubmitRefused):
        study.launch(1)
    (wait,) = picture(study).waits
    assert wait.reason == "delay"
    assert wait.sentence == "the scheduler refused it (the queue is closed); it is submitted within 60 min"


def test_runs_that_were_only_expanded_since_are_told_from_those_that_wait(study: Study) -> None:
    study.launch(1)
    study.scheduler.max_array_size = 1001
    manifest = msgspec.structs.replace(study.manifest(1), id="f" * 16, version=2)
    with study.paths.manifest.open("ab") as stream:
        stream.write(msgspec.json.encode(manifest) + b"\n")
    assert {wait.reason for wait in picture(study).waits} == {"", "unlaunched"}


def test_limits_that_cannot_be_asked_do_not_spoil_the_picture(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study.launch(1)
    study.lose(1)

    def silent() -> None:
        raise ClusterError("scontrol timed out.")

    monkeypatch.setattr(study.scheduler, "limits", silent)
    assert picture(study).counts == {"interrupted": 1}


def test_advice_names_the_line_of_the_grid_file(study: Study) -> None:
    study.more = ["resources: {mem_gb: 32, time_min: 240}"]
    study.launch(*range(5))
    study.finish(*range(5))
    (advice,) = take_advice(study.grid, study.site, Selection())
    (change,) = [one for one in advice.suggestions if one.key == "time_min"]
    assert (change.better, change.place) == ("1", f"{study.paths.applied(1)}:6")
