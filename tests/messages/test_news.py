"""What is told when: pure decisions over records, what was told before, and the time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cluster.resources import Resources
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.notify_shape import WORDS, Notify
from orchestrator.grid.objective import Objective
from orchestrator.messages.news import MOST_EACH, MOST_SINGLE, News, Standing, Told, find_news, token
from orchestrator.messages.words import write_message
from orchestrator.store.events import Paused
from orchestrator.store.records import Record
from orchestrator.store.states import Cause, State

DIGEST, EACH = Notify(every_min=30), Notify(on=WORDS["each"])
NOW = 1_000_000.0


def run_id(number: int) -> str:
    return f"{number:02x}{14 * '0'}"


def manifest(number: int, **varying: object) -> Manifest:
    values = varying or {"seed": number}
    return Manifest(id=run_id(number), version=1, entry="m:f", config=values, varying=values, resources=Resources())


def record(number: int, state: State, *, attempt: int = 1, **more: object) -> Record:
    return Record(id=run_id(number), state=state, attempt=attempt, **more)  # type: ignore[arg-type]


def failed(number: int, reason: str = "KeyError: 'lr'", *, attempt: int = 1) -> Record:
    return record(number, State.FAILED, attempt=attempt, cause=Cause.ERROR, signature=reason, reason=reason)


def standing(*records: Record, is_open: bool = True, **more: object) -> Standing:
    pairs = tuple((manifest(int(one.id[:2], 16)), one) for one in records)
    given_ = {"grid": "g", "version": 1, "objective": Objective(name="loss", mode="min")} | more
    return Standing(pairs=pairs, is_open=is_open, **given_)  # type: ignore[arg-type]


def told_by(news: Iterable[News], before: Told = Told(), *, at: float = NOW) -> Told:
    """Return what is told once these news are."""
    news = list(news)
    times = [at for one in news if one.kind == "failures"]
    tokens = {each for one in news for each in one.tokens}
    keys = before.keys | {one.key for one in news}
    return Told(keys=keys, tokens=before.tokens | tokens, failures_at=max([before.failures_at, *times]))


def kinds(news: Iterable[News]) -> list[str]:
    return [one.kind for one in news]


def test_a_grid_is_told_to_have_started_once() -> None:
    stood = standing(record(1, State.QUEUED))
    news = find_news(stood, Told(), DIGEST, NOW)
    assert [(one.kind, one.key) for one in news] == [("start", "start-1")]
    assert find_news(stood, told_by(news), DIGEST, NOW + 9999) == []
    again = msgspec.structs.replace(stood, version=2)
    assert [one.key for one in find_news(again, told_by(news), DIGEST, NOW)] == ["start-2"]


def test_failures_are_told_at_once_and_then_together() -> None:
    told = Told(keys=frozenset({"start-1"}))
    first = find_news(standing(failed(1), record(2, State.RUNNING)), told, DIGEST, NOW)
    assert [(one.key, len(one.tokens)) for one in first] == [("failures-1", 1)]
    told = told_by(first, told)
    more = standing(failed(1), failed(2), failed(3, "another"), record(4, State.RUNNING))
    assert find_news(more, told, DIGEST, NOW + 29 * 60) == []
    (later,) = find_news(more, told, DIGEST, NOW + 30 * 60)
    assert (later.key, len(later.tokens)) == ("failures-2", 2)
    assert find_news(more, told_by([later], told, at=NOW + 1800), DIGEST, NOW + 9999) == []


def test_a_run_that_fails_once_more_is_told_once_more() -> None:
    told = Told(keys=frozenset({"start-1", "failures-1"}), tokens=frozenset({token(failed(1))}))
    stood = standing(failed(1, attempt=2), record(2, State.RUNNING))
    assert kinds(find_news(stood, told, DIGEST, NOW)) == ["failures"]


def test_a_run_that_is_taken_up_again_is_no_failure() -> None:
    stood = standing(failed(1), record(2, State.RUNNING), again=frozenset({failed(1).id}))
    assert kinds(find_news(stood, Told(), DIGEST, NOW)) == ["start"]


def test_a_pause_is_told_at_once_and_brings_its_failures_along() -> None:
    told = Told(keys=frozenset({"start-1"}), failures_at=NOW - 60)
    stood = standing(failed(1), failed(2), is_open=False, paused=Paused(at=NOW - 1.4, reason="2 runs ended alike"))
    (news,) = find_news(stood, told, DIGEST, NOW)
    assert (news.kind, len(news.tokens)) == ("breaker", 2)
    assert find_news(stood, told_by([news], told), DIGEST, NOW + 9999) == []  # and it is not the end


def test_the_end_is_told_once_with_the_last_failures_and_again_after_more_attempts() -> None:
    told = Told(keys=frozenset({"start-1"}))
    stood = standing(record(1, State.COMPLETED), failed(2), is_open=False)
    (news,) = find_news(stood, told, DIGEST, NOW)
    assert (news.kind, news.key, len(news.tokens)) == ("end", "end-1-2", 1)
    told = told_by([news], told)
    assert find_news(stood, told, DIGEST, NOW + 9999) == []
    after = standing(record(1, State.COMPLETED), record(2, State.COMPLETED, attempt=2), is_open=False)
    assert [one.key for one in find_news(after, told, DIGEST, NOW + 9999)] == ["end-1-3"]


def test_failures_shortly_before_the_end_are_told_though_others_were_told_a_moment_ago() -> None:
    told = Told(keys=frozenset({"start-1"}), failures_at=NOW - 60)
    rules = Notify(on=("failures",))
    assert find_news(standing(failed(1), record(2, State.RUNNING)), told, rules, NOW) == []
    assert kinds(find_news(standing(failed(1), is_open=False), told, rules, NOW)) == ["failures"]


def test_a_grid_of_which_nothing_was_computed_has_no_end() -> None:
    adopted = record(1, State.COMPLETED, attempt=0, adopted_from="other")
    assert find_news(standing(adopted, is_open=False), Told(), EACH, NOW) == []
    assert find_news(standing(is_open=False), Told(), EACH, NOW) == []


def test_each_run_that_ends_is_told_of_a_small_grid() -> None:
    told = Told(keys=frozenset({"start-1"}))
    stood = standing(record(1, State.COMPLETED), failed(2), record(3, State.RUNNING))
    news = find_news(stood, told, EACH, NOW)
    assert [one.key for one in news] == [f"run-{run_id(1)}-1-completed", f"run-{run_id(2)}-1-failed"]
    assert find_news(stood, told_by(news, told), EACH, NOW) == []


def test_many_ends_of_one_round_are_one_message() -> None:
    ended = [record(number, State.COMPLETED) for number in range(MOST_SINGLE + 1)]
    (news,) = find_news(standing(*ended, record(99, State.RUNNING)), Told(keys=frozenset({"start-1"})), EACH, NOW)
    assert (news.key, len(news.tokens)) == ("runs-1", MOST_SINGLE + 1)


def test_a_large_grid_tells_failures_together_though_it_asks_for_each() -> None:
    runs = [record(number, State.COMPLETED) for number in range(MOST_EACH)]
    assert kinds(find_news(standing(*runs, failed(MOST_EACH)), Told(), EACH, NOW)) == ["start", "failures"]


def test_only_what_is_asked_for_is_told() -> None:
    stood = standing(failed(1), record(2, State.COMPLETED), is_open=False)
    assert kinds(find_news(stood, Told(), Notify(on=("breaker",)), NOW)) == []
    assert kinds(find_news(stood, Told(), Notify(on=("failures",)), NOW)) == ["failures"]


@given(st.lists(st.lists(st.integers(0, 40), max_size=8), min_size=1, max_size=12), st.integers(1, 40))
def test_every_failure_is_told_once_and_digests_keep_their_distance(rounds: list[list[int]], every_min: int) -> None:
    """Whatever fails when, a minute a round: in the end all is told, nothing twice, and no two digests lie closer than asked."""
    rules = dataclasses.replace(DIGEST, every_min=float(every_min))
    told, failing, times, tokens = Told(), dict[int, Record](), list[float](), list[str]()
    for minute, numbers in enumerate(rounds + [[]] * (2 * every_min)):
        failing |= {number: failed(number) for number in numbers}
        stood = standing(*failing.values(), record(99, State.RUNNING))
        news = find_news(stood, told, rules, NOW + 60 * minute)
        times += [NOW + 60 * minute for one in news if one.kind == "failures"]
        tokens += [each for one in news for each in one.tokens]
        told = told_by(news, told, at=NOW + 60 * minute)
    assert sorted(tokens) == sorted(token(one) for one in failing.values())
    assert all(later - earlier >= 60 * every_min for earlier, later in pairwise(times))


def text_of(news: News, stood: Standing) -> tuple[str, list[str]]:
    message = write_message(news, stood, NOW)
    return message.subject, message.text.split("\n")


def test_the_end_tells_counts_the_best_causes_and_where_to_look() -> None:
    stood = standing(
        record(1, State.COMPLETED, best=0.5),
        record(2, State.COMPLETED, best=0.25),
        record(3, State.COMPLETED, best="nan"),
        failed(4),
        failed(5),
        is_open=False,
        question="Question: what happens?\nmore",
    )
    subject, lines = text_of(News(kind="end", key="end-5"), stood)
    assert subject == "[mrsweep] g: ended, 3 completed, 2 failed"
    assert lines[:2] == ["what happens?", "3 completed, 2 failed"]
    assert lines[2:5] == ["Best by loss (min):", "  0.25 02000000 seed=2", "  0.5 01000000 seed=1"]
    assert lines[5:7] == ["", "Not completed:"]
    assert lines[7].startswith("  2 error: KeyError: 'lr' (--signature ")
    assert lines[8:] == ["", "Look closer: mrsweep summary g", "             mrsweep status g"]


def test_what_is_told_of_single_runs_ends_with_the_whole_grid() -> None:
    stood = standing(failed(1), failed(2), failed(3))
    for tokens in ((token(failed(1)),), (token(failed(1)), token(failed(2)))):
        _, lines = text_of(News(kind="each", key="each-1", tokens=tokens), stood)
        assert lines[-2:] == ["The grid now, of 3 runs: 3 failed", "Look closer: mrsweep status g"]


def test_a_digest_says_what_is_new_in_each_cause() -> None:
    stood = standing(failed(1), failed(2), failed(3, "ValueError: no"), record(4, State.RUNNING))
    subject, lines = text_of(News(kind="failures", key="failures-2", tokens=(token(failed(2)), token(failed(3, "ValueError: no")))), stood)
    assert subject == "[mrsweep] g: 3 runs failed, 2 causes"
    assert lines[0] == "1 running, 3 failed"
    assert lines[1].startswith("  2 (1 new) error: KeyError: 'lr'")
    assert lines[2].startswith("  1 error: ValueError: no")
    assert "mrsweep logs " in lines[-1]


def test_a_line_break_in_a_value_or_an_error_reaches_no_header_and_no_line_of_its_own() -> None:
    wild = manifest(1, **{"data.root": "x\r\nBcc: all@example.org\x1b[31m\u202e", "seed": 1})
    bad = record(1, State.FAILED, cause=Cause.ERROR, reason="\r\nBcc: all@example.org\r\n\r\nbody", signature="s")
    stood = Standing(grid="g", version=1, pairs=((wild, bad),), is_open=True)
    for kind in ("each", "failures", "end", "start"):
        subject, lines = text_of(News(kind=kind, key=f"{kind}-1", tokens=(token(bad),)), stood)
        assert subject.isprintable()
        assert all(line.isprintable() for line in lines)
        assert not [line for line in lines if line.startswith("Bcc:") and "all@" in line and kind == "start"]


def test_long_texts_are_cut() -> None:
    stood = standing(*(failed(number, f"{number}: " + 500 * "x") for number in range(40)), record(99, State.RUNNING))
    message = write_message(News(kind="failures", key="failures-1"), stood, NOW)
    assert len(message.subject) <= 120 and max(map(len, message.text.split("\n"))) <= 160
    assert "… and 30 more causes" in message.text
