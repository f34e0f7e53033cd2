"""The messages of a grid on disk: one creator each, and files that are damaged or foreign."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.messages.outbox import LASTING_S, MOST_TRIES, RETRY_S, SENT, Try, is_closed, is_due, post, read_outbox
from orchestrator.messages.words import Message
from orchestrator.store.layout import GridPaths

NOW = 1_000_000.0


@pytest.fixture
def paths(tmp_path: Path) -> GridPaths:
    return GridPaths(tmp_path / "it's a folder" / "g")


def a_message(key: str, *, tokens: tuple[str, ...] = ()) -> Message:
    return Message(key=key, kind=key.partition("-")[0], at=NOW, subject="s", text="t", tokens=tokens)


def tries(*outcomes: str) -> list[Try]:
    """Return tries, one a second."""
    return [Try(at=NOW + second, host="h", pid=1, outcome=outcome) for second, outcome in enumerate(outcomes)]


def test_of_many_rounds_one_writes_a_message(paths: GridPaths) -> None:
    with ThreadPoolExecutor(8) as pool:
        wrote = list(pool.map(lambda _: post(paths, a_message("end-3")), range(16)))
    assert wrote.count(True) == 1
    assert read_outbox(paths).keys == {"end-3"}


def test_what_was_told_is_read_back(paths: GridPaths) -> None:
    assert read_outbox(paths).told.keys == frozenset()
    post(paths, a_message("start-1"))
    post(paths, a_message("failures-2", tokens=("a", "b")))
    told = read_outbox(paths).told
    assert (told.keys, told.tokens, told.failures_at) == ({"start-1", "failures-2"}, {"a", "b"}, NOW)
    assert (told.next_key("failures"), told.next_key("runs")) == ("failures-3", "runs-1")


def test_damaged_and_foreign_files_stop_nothing_and_nothing_is_told_twice(paths: GridPaths) -> None:
    post(paths, a_message("start-1"))
    paths.message("failures-1").write_text('{"key": "fail')
    paths.message_try("start-1", "lab", 1).write_text("")
    (paths.messages / "notes.txt").write_text("mine")
    (paths.messages / "end-7.json.bak").write_text("{}")
    outbox = read_outbox(paths)
    assert [message.key for message in outbox.messages] == ["start-1"]
    assert outbox.told.keys == {"start-1", "failures-1"}
    assert len(outbox.tries["start-1", "lab"]) == 1


def test_messages_are_private(paths: GridPaths) -> None:
    post(paths, a_message("end-3"), b"id\n1\n")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (paths.messages, *paths.messages.iterdir())}
    assert modes == {"messages": 0o700, "end-3.json": 0o600, "end-3.csv": 0o600}


@pytest.mark.parametrize(
    ("made", "after_s", "due"),
    [
        (tries(), 0, True),
        (tries("no"), RETRY_S - 1, False),
        (tries("no"), RETRY_S, True),
        (tries("no", "no"), 2 * RETRY_S, False),  # the second was made a second later
        (tries("no", "no"), 2 * RETRY_S + 1, True),
        (tries(""), RETRY_S - 1, False),  # under way, or killed
        (tries(""), RETRY_S, True),
        (tries("no", SENT), 9 * RETRY_S, False),
        (tries(*MOST_TRIES * ["no"]), LASTING_S, False),
        (tries(), LASTING_S + 1, False),
    ],
)
def test_a_try_is_due_later_each_time_until_it_is_given_up(made: list[Try], after_s: float, due: bool) -> None:
    assert is_due(a_message("end-3"), made, NOW + after_s) == due


def test_all_tries_have_their_time_before_a_message_is_too_old() -> None:
    now, made = NOW, list[Try]()
    while not is_closed(a_message("end-3"), made, now):
        if is_due(a_message("end-3"), made, now):
            made.append(Try(at=now, host="h", pid=1, outcome="no"))
        now += 600  # the janitor's rounds are ten minutes apart
    assert len(made) == MOST_TRIES
