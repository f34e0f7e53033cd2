"""Messages of rounds and launches: when they are sent, that they are sent once, and that nothing about them can break a round."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cli.watch import _round
from orchestrator.messages import delivery
from orchestrator.messages.outbox import MOST_TRIES
from orchestrator.messages.post import Request
from orchestrator.store.errors import StoreError
from orchestrator.store.states import Cause, State
from orchestrator.watchdog import janitor_job, telling
from orchestrator.watchdog.telling import tell_launch
from tests.watchdog.study import Study

ADDRESS = "json://me:s3cret@127.0.0.1/hook"


class Post:
    """Stands for the process that sends: keeps what it was asked, and answers `why`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.why = ""
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self, request: Request, *, limit_s: float) -> str:
        self.requests.append(request)
        self.meanwhile()
        return self.why

    @property
    def subjects(self) -> list[str]:
        return [request.subject.removeprefix("[mrsweep] g: ") for request in self.requests]


@pytest.fixture(autouse=True)
def post(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Post:
    sender = Post()
    monkeypatch.setattr(delivery, "send", sender)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("MRSWEEP_NOTIFY", ADDRESS)
    return sender


def launch(study: Study, *seeds: int, notify: str = "digest") -> tuple[str, ...]:
    study.more = [f"notify: {notify}"]
    assert study.launch(*seeds).tokens
    return tell_launch(study.grid, clock=time.time).told


def fail(study: Study, *seeds: int) -> None:
    study.end(*seeds, state=State.FAILED, cause=Cause.ERROR)


def test_a_campaign_is_told_by_its_start_its_failures_and_its_end(study: Study, post: Post) -> None:
    launch(study, 1, 2, 3, 4, notify="{every_min: 10}")
    study.watch()
    assert post.subjects == ["started, 4 runs"]
    fail(study, 1)
    study.watch()
    fail(study, 2)
    study.watch()
    assert post.subjects[1:] == ["1 run failed, 1 cause"]
    study.clock.wait(600)
    study.watch()
    assert post.subjects[2:] == ["2 runs failed, 1 cause"]
    study.finish(3, 4)
    assert not study.watch().is_open
    study.clock.wait(9999)
    assert not study.watch().is_unsent
    assert post.subjects[3:] == ["ended, 2 completed, 2 failed"]
    table = Path(post.requests[-1].table).read_text().splitlines()
    assert (post.requests[-1].table_name, len(table), table[0][:10]) == ("g-summary.csv", 5, "id,seed,st")


def test_a_grid_that_asks_for_no_message_gets_none_and_no_folder(study: Study, post: Post) -> None:
    study.launch(1)
    study.finish(1)
    assert tell_launch(study.grid, clock=time.time).told == ()
    study.watch()
    assert post.requests == [] and not study.paths.messages.exists()


def test_a_round_that_has_nothing_to_tell_leaves_the_disk_as_it_is(study: Study) -> None:
    launch(study, 1, 2)
    study.watch()
    before = study.content()
    study.watch()
    assert study.content() == before


def test_the_breaker_is_told_at_once_and_is_not_the_end(study: Study, post: Post) -> None:
    study.more = ["policy: {breaker: 2}"]
    launch(study, *range(1, 7), notify="digest\npolicy: {breaker: 2}")
    fail(study, 1, 2)
    study.watch()
    assert post.subjects[1:] == ["paused, nothing more starts"]
    assert "2 runs ended alike" in post.requests[-1].text and "mrsweep launch g --resume" in post.requests[-1].text
    study.clock.wait(9999)
    study.watch()
    assert len(post.requests) == 2


def test_a_run_that_the_policy_takes_up_again_later_is_not_told(study: Study, post: Post) -> None:
    launch(study, 1, 2, notify="digest\npolicy: {error: requeue}")
    fail(study, 1)
    study.watch()
    fail(study, 1)
    study.watch()
    assert (study.states(1), study.record(1).attempt) == ([State.FAILED], 2)  # it waits a minute
    study.clock.wait(60)
    study.watch()
    assert study.states(1) == [State.QUEUED]
    assert post.subjects == ["started, 2 runs"]


def test_a_janitor_stays_until_the_last_message_is_out_or_given_up(study: Study, post: Post) -> None:
    launch(study, 1)
    study.finish(1)
    post.why = "the server answered 500"
    stays = []
    for _ in range(MOST_TRIES + 1):
        stays.append(janitor_job.work(study.grid, study.site, 1))
        study.clock.wait(1000)
    assert stays == [True] * (MOST_TRIES - 1) + [False] * 2
    assert study.states(1) == [State.COMPLETED]


def test_watch_stays_until_the_last_message_is_out(study: Study, post: Post) -> None:
    launch(study, 1)
    study.finish(1)
    post.why = "the server answered 500"
    assert _round(study.grid, study.site, as_json=False)
    post.why = ""
    study.clock.wait(100)
    assert not _round(study.grid, study.site, as_json=False)
    assert post.subjects[-1] == "ended, 1 completed"


def test_nothing_is_sent_while_the_pen_is_held(study: Study, post: Post) -> None:
    def take_the_pen() -> None:
        with study.pen():
            pass

    post.meanwhile = take_the_pen
    launch(study, 1, 2)
    fail(study, 1)
    study.watch()
    assert len(post.requests) == 2


def test_of_two_rounds_at_a_time_one_tells(study: Study, post: Post) -> None:
    launch(study, 1, 2)
    fail(study, 1)
    post.meanwhile = lambda: (setattr(post, "meanwhile", lambda: None), study.watch())
    study.watch()
    assert post.subjects == ["started, 2 runs", "1 run failed, 1 cause"]


def test_a_message_that_cannot_be_sent_is_told_and_changes_nothing_else(study: Study, post: Post) -> None:
    post.why = "the server answered 535"
    sentence = "message start-1: not delivered to 1: the server answered 535; tried again later"
    assert launch(study, 1) == (sentence,)
    study.finish(1)
    done = study.watch()
    assert (done.is_open, done.is_unsent) == (False, True)
    assert study.states(1) == [State.COMPLETED]
    assert not [one for one in done.told if "s3cret" in one]


def test_whatever_fails_in_telling_the_round_is_done(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    launch(study, 1)
    study.finish(1)

    def fall_over(*arguments: object) -> None:
        raise RuntimeError(ADDRESS)

    monkeypatch.setattr(telling, "write_message", fall_over)
    done = study.watch()
    assert study.states(1) == [State.COMPLETED]
    assert done.told[-1] == "messages: nothing was told: RuntimeError"


def test_a_ledger_that_cannot_be_read_after_the_launch_changes_no_exit_code(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def fall_over(*arguments: object) -> None:
        raise StoreError("ledger: is damaged. Restore it.")

    monkeypatch.setattr(telling, "read_records", fall_over)
    assert launch(study, 1) == ("messages: nothing was told: ledger: is damaged. Restore it.",)


def test_results_that_no_table_can_hold_do_not_keep_the_message_back(study: Study, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    launch(study, 1)
    study.finish(1)
    monkeypatch.setattr(telling, "take_study", lambda *arguments, **options: 1 / 0)
    study.watch()
    assert post.subjects[1:] == ["ended, 1 completed"]
    assert not Path(post.requests[-1].table).exists()


def test_a_missing_library_is_said_once_with_the_way_out(study: Study, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "apprise" else find(name, *rest))
    (told,) = launch(study, 1, 2)
    assert told.endswith("Type: pip install 'mrsweep[messages]'")
    assert study.watch().told == () and not study.watch().is_unsent
    assert post.requests == []


def test_an_address_that_nobody_knows_is_said_once(study: Study, post: Post) -> None:
    (told,) = launch(study, 1, notify="{to: [lab]}")
    assert told == "messages: notify.to names lab, and no address has this name. Known: 1."
    assert study.watch().told == ()
    assert post.requests == []


def test_each_run_is_told_where_the_grid_asks_for_it(study: Study, post: Post) -> None:
    launch(study, 1, 2, 3, notify="each")
    study.finish(1)
    fail(study, 2)
    study.watch()
    study.watch()
    assert [subject.partition(" ")[2] for subject in post.subjects[1:]] == ["completed: seed=1", "failed (error): seed=2"]
    study.finish(3)
    study.watch()
    assert [subject.partition(" ")[2] for subject in post.subjects[3:]] == ["completed: seed=3", "2 completed, 1 failed"]


def test_more_runs_are_another_start_and_another_end(study: Study, post: Post) -> None:
    launch(study, 1)
    study.finish(1)
    study.watch()
    launch(study, 1, 2)
    study.finish(2)
    study.watch()
    assert post.subjects == ["started, 1 run", "ended, 1 completed", "launched again, 2 runs", "ended, 2 completed"]


def test_a_launch_tells_its_start_and_leaves_failures_to_rounds_that_know_what_follows(study: Study, post: Post) -> None:
    launch(study, 1, 2)
    study.end(1, state=State.FAILED, cause=Cause.HOST_OOM)  # the policy takes it up again
    launch(study, 1, 2, 3)
    study.watch()
    assert post.subjects == ["started, 2 runs", "launched again, 3 runs"]


def test_jobs_that_watch_need_the_file_of_addresses(study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    launch(study, 1)
    settings = study.paths.settings
    settings.write_text(settings.read_text().replace('"janitor":false', '"janitor":true'))
    (told,) = tell_launch(study.grid, clock=time.time).told
    assert str(tmp_path / "mrsweep" / "notify") in told and "MRSWEEP_NOTIFY" in told
