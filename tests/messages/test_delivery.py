"""Sending: through real servers, in time, and without a word of an address in what is told."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from orchestrator.messages.addresses import Target, choose_targets
from orchestrator.messages.delivery import deliver, send
from orchestrator.messages.outbox import MOST_TRIES, RETRY_S, post, read_outbox, undelivered
from orchestrator.messages.post import Request, explain
from orchestrator.messages.words import Message
from orchestrator.store.layout import GridPaths
from tests.cli.conftest import poll
from tests.messages.conftest import PASSWORD, Mailbox, Webhook, free_port

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.journey]


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def paths(tmp_path: Path) -> GridPaths:
    return GridPaths(tmp_path / "a folder's" / "g")


def a_message(key: str = "end-7", *, at: float = 1_000_000.0, table: str = "") -> Message:
    return Message(key=key, kind=key.partition("-")[0], at=at, subject=f"[mrsweep] g: {key}", text="one\n  two <b>", table=table)


def deliver_all(paths: GridPaths, clock: Clock, *targets: Target, limit_s: float = 20.0) -> list[str]:
    return deliver(paths, read_outbox(paths), targets, clock=clock, limit_s=limit_s)


def test_a_mail_is_plain_text_with_the_table_as_a_file(paths: GridPaths, clock: Clock, mailbox: Mailbox) -> None:
    post(paths, a_message(table="g-summary.csv"), b"id,loss\n1,0.5\n")
    assert deliver_all(paths, clock, Target("lab", mailbox.url)) == []
    (mail,) = mailbox.mails
    assert mail["Subject"] == "[mrsweep] g: end-7"
    assert mail["To"] == "me@example.org"
    body = mail.get_body(("plain",))
    assert body is not None and body.get_content().splitlines()[:2] == ["one", "  two <b>"]
    (attached,) = mail.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("g-summary.csv", "text/csv")
    assert attached.get_payload(decode=True) == b"id,loss\n1,0.5\n"


def test_a_webhook_gets_the_same(paths: GridPaths, clock: Clock, webhook: Webhook) -> None:
    post(paths, a_message(table="g-summary.csv"), b"id,loss\n1,0.5\n")
    assert deliver_all(paths, clock, Target("hook", webhook.url)) == []
    assert (webhook.titles, webhook.posts[0]["message"]) == (["[mrsweep] g: end-7"], "one\n  two <b>")
    assert webhook.table(0) == "id,loss\n1,0.5\n"


def test_a_text_that_is_too_long_for_a_service_is_cut(webhook: Webhook) -> None:
    assert send(Request(url=webhook.url, subject="s", text=40_000 * "x")) == ""
    assert [len(one["message"]) for one in webhook.posts] == [32_768]


def test_an_unknown_name_is_told_while_the_others_are_served(paths: GridPaths, clock: Clock, webhook: Webhook) -> None:
    post(paths, a_message())
    targets = choose_targets((Target("hook", webhook.url),), ("hoook", "hook"))
    (told,) = deliver_all(paths, clock, *targets)
    assert told.startswith("message end-7: not delivered to hoook: notify.to names hoook, and no address has this name. ")
    assert told.endswith("; tried again later")
    assert webhook.titles == ["[mrsweep] g: end-7"]


def test_what_was_delivered_is_not_sent_again(paths: GridPaths, clock: Clock, webhook: Webhook) -> None:
    post(paths, a_message())
    for _ in range(3):
        assert deliver_all(paths, clock, Target("hook", webhook.url)) == []
        clock.now += 2000
    assert len(webhook.posts) == 1


def test_two_rounds_that_see_the_same_send_once(paths: GridPaths, clock: Clock, webhook: Webhook) -> None:
    post(paths, a_message())
    seen = read_outbox(paths)
    for _ in range(2):
        assert deliver(paths, seen, [Target("hook", webhook.url)], clock=clock) == []
    assert len(webhook.posts) == 1


def test_a_server_that_was_down_gets_the_message_when_it_is_back(paths: GridPaths, clock: Clock, mailbox: Mailbox) -> None:
    mailbox.stop()
    post(paths, a_message())
    target = Target("lab", mailbox.url)
    told = "message end-7: not delivered to lab: Connection refused; tried again later"
    assert deliver_all(paths, clock, target) == [told]
    assert deliver_all(paths, clock, target) == []  # not yet
    clock.now += RETRY_S
    assert deliver_all(paths, clock, target) == [told]
    mailbox.start()
    clock.now += RETRY_S
    assert deliver_all(paths, clock, target) == []  # twice as long, after the second
    assert mailbox.mails == []
    clock.now += RETRY_S
    assert deliver_all(paths, clock, target) == []
    assert mailbox.subjects == ["[mrsweep] g: end-7"]


def test_a_message_is_given_up_after_some_tries_and_that_is_told(paths: GridPaths, clock: Clock, webhook: Webhook) -> None:
    webhook.status = 401
    post(paths, a_message())
    told = []
    for _ in range(MOST_TRIES + 3):
        told += deliver_all(paths, clock, Target("hook", webhook.url))
        clock.now += 1000
    assert len(webhook.posts) == len(told) == MOST_TRIES
    assert told[-1] == f"message end-7: not delivered to hook: the server answered 401; given up after {MOST_TRIES} tries"
    later = f"message end-7: not delivered to hook in {MOST_TRIES} tries: the server answered 401"
    assert undelivered(read_outbox(paths), clock.now) == [later]
    assert undelivered(read_outbox(paths), clock.now + 2 * 86400) == []


def test_the_third_try_leaves_the_table_at_home(paths: GridPaths, clock: Clock, webhook: Webhook) -> None:
    webhook.status = 413
    post(paths, a_message(table="g-summary.csv"), b"id\n1\n")
    for _ in range(3):
        deliver_all(paths, clock, Target("hook", webhook.url))
        clock.now += 600
    assert [len(one["attachments"]) for one in webhook.posts] == [1, 1, 0]


def test_a_server_that_never_answers_is_left_in_time(paths: GridPaths, clock: Clock, silent_port: int, webhook: Webhook) -> None:
    for key in ("start-1", "end-7"):
        post(paths, a_message(key))
    began = time.monotonic()
    url = f"mailto://127.0.0.1:{silent_port}?from=a@example.org&to=b@example.org&name={PASSWORD}"
    told = deliver_all(paths, clock, Target("slow", url), Target("slower", url), Target("hook", webhook.url), limit_s=8)
    assert time.monotonic() - began < 14  # all at the same time
    assert [sentence.partition(": ")[2] for sentence in told] == [
        f"not delivered to {name}: no answer in 8 s; tried again later" for name in ("slow", "slower")
    ]
    assert webhook.titles[:1] == ["[mrsweep] g: start-1"]  # the other address does not wait for it
    assert not [child for child in psutil.Process().children(recursive=True) if "messages.post" in " ".join(child.cmdline())]


def test_one_address_that_fails_keeps_no_other_from_its_message(paths: GridPaths, clock: Clock, webhook: Webhook) -> None:
    post(paths, a_message())
    told = deliver_all(paths, clock, Target("a", f"json://127.0.0.1:{free_port()}/"), Target("b", webhook.url))
    assert len(told) == 1 and "to a: Connection refused" in told[0]
    assert len(webhook.posts) == 1


def test_a_try_that_was_killed_is_repeated_once_after_a_while(paths: GridPaths, clock: Clock, webhook: Webhook) -> None:
    """A process that dies between the sending and the note of it cannot be told from one that dies before."""
    post(paths, a_message())
    paths.message_try("end-7", "hook", 1).write_bytes(msgspec.json.encode({"at": clock.now, "host": "h", "pid": 1}))
    assert deliver_all(paths, clock, Target("hook", webhook.url)) == []
    assert webhook.posts == []
    for _ in range(3):
        clock.now += RETRY_S
        deliver_all(paths, clock, Target("hook", webhook.url))
    assert len(webhook.posts) == 1


def test_an_old_message_is_not_sent_to_an_address_that_came_later(paths: GridPaths, clock: Clock, webhook: Webhook) -> None:
    post(paths, a_message(at=clock.now - 3 * 3600))
    assert deliver_all(paths, clock, Target("hook", webhook.url)) == []
    assert webhook.posts == []


def test_no_word_of_an_address_is_told_or_kept(paths: GridPaths, clock: Clock, webhook: Webhook, mailbox: Mailbox) -> None:
    webhook.status, mailbox.answer = 500, "554 5.7.1 no"
    post(paths, a_message())
    targets = (
        *(Target("hook", webhook.url), Target("lab", mailbox.url), Target("bad", f"nosuch://me:{PASSWORD}@host/")),
        Target("gone", f"json://me:{PASSWORD}@nowhere.invalid/{PASSWORD}"),
    )
    told = deliver_all(paths, clock, *targets)
    assert len(told) == 4
    kept = [path.read_text() for path in paths.messages.iterdir()]
    assert not [text for text in (*told, *kept, repr(targets)) if PASSWORD in text or "nowhere" in text or "example.org" in text]


def test_the_address_is_no_argument_of_the_process_that_sends(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    popen = subprocess.Popen

    def watched(command: tuple[str, ...], **options: Any) -> subprocess.Popen[bytes]:
        child = popen(command, **options)
        seen.append(poll(lambda: " ".join(psutil.Process(child.pid).cmdline())))  # empty until the program is loaded
        return child

    monkeypatch.setattr("orchestrator.messages.delivery.subprocess.Popen", watched)
    assert send(Request(url=f"json://me:{PASSWORD}@127.0.0.1:{silent_port}/", subject="s", text="t"), limit_s=2).startswith("no answer")
    assert "orchestrator.messages.post" in seen[0] and PASSWORD not in seen[0] and "json://" not in seen[0]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Failed to send JSON POST notification: Unauthorized, error=401.", "the server answered 401"),
        ("Socket Exception: (535, b'5.7.8 Error: authentication failed: me:pw')", "the server answered 535"),
        ("Socket Exception: [Errno 111] Connection refused", "Connection refused"),
        ("HTTPConnectionPool(host='secret.example.org'): Read timed out.", "it did not answer in time"),
        ("something about hunter2", "it was not accepted"),
        ("", "it was not accepted"),
    ],
)
def test_of_what_a_library_says_only_numbers_and_known_words_are_repeated(said: str, told: str) -> None:
    assert explain(said) == told
