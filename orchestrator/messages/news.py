"""What is worth telling now: where a grid stands, held against what was told before (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from orchestrator.grid.manifest import Manifest
from orchestrator.grid.notify_shape import Notify
from orchestrator.grid.objective import Objective
from orchestrator.store.events import Paused
from orchestrator.store.records import Record
from orchestrator.store.states import State

MOST_EACH = 100
"""A grid of more runs tells its failures together, though it asks for each."""

MOST_SINGLE = 5
"""Of runs that ended in one round, more are told in one message."""

_STANDING_STILL = (State.FAILED, State.BLOCKED)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a grid stands after a round."""

    grid: str
    """Name of its folder."""
    version: int
    """Of the grid file that was launched last."""
    question: str = ""
    pairs: Sequence[tuple[Manifest, Record]]
    """Every run that was launched and is still asked for."""
    again: frozenset[str] = frozenset()
    """Runs that ended badly and are taken up again without a person."""
    objective: Objective | None = None
    paused: Paused | None = None
    is_open: bool
    """Some run may still change without a person."""

    @property
    def failing(self) -> list[Record]:
        """The runs that stand still, and wait for a person."""
        return [record for _, record in self.pairs if record.state in _STANDING_STILL and record.id not in self.again]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What messages of earlier rounds have told."""

    keys: frozenset[str] = frozenset()
    """Of all messages."""
    tokens: frozenset[str] = frozenset()
    """Ends of runs; see `token`."""
    failures_at: float = 0.0
    """When the newest message about failures was written; 0: there is none."""

    def next_key(self, kind: str) -> str:
        """Return the key of one more message of a kind: two rounds at a time come to the same, and one of them writes it."""
        numbers = (key.removeprefix(f"{kind}-") for key in self.keys if key.startswith(f"{kind}-"))
        return f"{kind}-{1 + max((int(number) for number in numbers if number.isdigit()), default=0)}"


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell."""

    kind: str
    """Of grid/notify_shape.KINDS."""
    key: str
    """The same whoever decides it: a thing is told once."""
    tokens: tuple[str, ...] = ()
    """The ends of runs that are told with it."""


def token(record: Record) -> str:
    """Return what names one end of a run: it may fail again, and be told again."""
    return f"{record.id}.{record.attempt}.{record.state.value}"


def find_news(standing: Standing, told: Told, rules: Notify, now: float) -> list[News]:
    """Return what is to be told now, in the order in which it is sent."""
    if not standing.pairs:
        return []
    kinds = _kinds(standing, rules)
    failures = tuple(token(record) for record in standing.failing if token(record) not in told.tokens)
    news = [one for one in (*_start(standing), *_breaker(standing, failures), *_end(standing, failures)) if one.kind in kinds]
    news = [one for one in news if one.key not in told.keys]
    covered = {each for one in news for each in one.tokens}
    if "each" in kinds:
        single = list(_each(standing, told))
        covered |= {each for one in single for each in one.tokens}
        news = [*single, *news]
    left = tuple(each for each in failures if each not in covered)
    is_time = not standing.is_open or now - told.failures_at >= 60 * rules.every_min  # of a grid that has ended there is no later round
    if left and "failures" in kinds and is_time:
        news.append(News(kind="failures", key=told.next_key("failures"), tokens=left))
    return news


def _kinds(standing: Standing, rules: Notify) -> set[str]:
    too_many = len(standing.pairs) > MOST_EACH
    return {"failures" if too_many and kind == "each" else kind for kind in rules.on}


def _start(standing: Standing) -> Iterator[News]:
    if standing.is_open:
        yield News(kind="start", key=f"start-{standing.version}")


def _breaker(standing: Standing, failures: tuple[str, ...]) -> Iterator[News]:
    if standing.paused is not None:
        yield News(kind="breaker", key=f"breaker-{round(standing.paused.at)}", tokens=failures)


def _end(standing: Standing, failures: tuple[str, ...]) -> Iterator[News]:
    """A grid that was launched again after its end has another one: its runs have more attempts."""
    attempts = sum(record.attempt for _, record in standing.pairs)
    if attempts and not standing.is_open and standing.paused is None:
        yield News(kind="end", key=f"end-{standing.version}-{attempts}", tokens=failures)


def _each(standing: Standing, told: Told) -> Iterator[News]:
    """Tell the runs that ended since the last round one by one, or together where they are many."""
    failing = {record.id for record in standing.failing}
    ended = [record for _, record in standing.pairs if record.id in failing or _completed(record)]
    fresh = [record for record in ended if token(record) not in told.tokens]
    if len(fresh) > MOST_SINGLE:
        yield News(kind="each", key=told.next_key("runs"), tokens=tuple(map(token, fresh)))
        return
    for record in fresh:
        yield News(kind="each", key=f"run-{record.id}-{record.attempt}-{record.state.value}", tokens=(token(record),))


def _completed(record: Record) -> bool:
    return record.state is State.COMPLETED and not record.adopted_from
