"""A look at the files of runs: which have news, and what these say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from orchestrator.metrics.attempts import FIRST, attempts_of
from orchestrator.metrics.columns import Columns, Notes, Row, to_columns
from orchestrator.metrics.merging import merge_series, split
from orchestrator.metrics.sources import Sources, Stamp, list_sources, read_attempts, stamp
from orchestrator.store.layout import GridPaths
from orchestrator.store.records import Record
from orchestrator.store.states import State

SETTLED_S = 120.0
"""So long after a run completed, what is seen of its files is looked at again: a shared filesystem may show a folder late."""

RACY_NS = 2_000_000_000
"""A file that changed so short a time ago may change again and show the same time."""

_NOTHING = Sources()


class _Looked(NamedTuple):
    """The files of a run that has to be read anew."""

    key: str
    """What they are now; empty: they are to be read again."""
    sources: list[Sources]
    errors: list[OSError]
    """After which more may be there than was seen; reading adds its own."""


class Asked(NamedTuple):
    """A run whose files are to be looked at."""

    run: str
    known: str | None
    """What its files were when they were last read; None: never."""
    settled: str
    """The key of a run whose files nobody changes any more; empty for others."""
    attempts: list[str]
    """Folders, oldest first."""


class News(NamedTuple):
    """What was read of runs."""

    columns: Columns
    gone: list[str]
    """Runs of which something is known that is no longer there."""


def ask(paths: GridPaths, record: Record, known: str | None, now: float) -> Asked | None:
    """Return what has to be looked at of a run; None where what is known of it holds for good."""
    settled = _settled(record, now)
    if settled and settled == known:
        return None
    return Asked(record.id, known, settled, attempts_of(paths, record))


def _settled(record: Record, now: float) -> str:
    """Return the key of a run whose files nobody changes any more; empty for others, and where older attempts may be taken away."""
    if record.state is not State.COMPLETED or not record.sha256 or now - record.since < SETTLED_S:
        return ""
    alone = record.adopted_attempt == FIRST if record.adopted_from else len(record.attempts) == 1
    return f"{record.adopted_from} {record.sha256}" if alone else ""


def has_news(asked: Asked, now: float) -> bool:
    """Say whether a run has to be read anew."""
    return _look(asked, now) is not None


def _look(asked: Asked, now: float) -> _Looked | None:
    """Return the files of a run that has to be read anew; None where what is known of it holds."""
    errors: list[OSError] = []
    found = [list_sources(attempt, errors.append) for attempt in asked.attempts]
    sources = [each for each, _ in found if each != _NOTHING]
    if errors:
        return _Looked("", sources, errors)
    key = asked.settled or _key([stamp(entry) for _, entries in found for entry in entries], now)
    if (key and key == asked.known) or (asked.known is None and not sources and not asked.settled):
        return None
    return _Looked(key, sources, errors)


def _key(stamps: Sequence[Stamp], now: float) -> str:
    """Return what the files of a run are now; empty while they may change and look the same."""
    if any(each.changed_ns > now * 1e9 - RACY_NS for each in stamps):
        return ""
    return hashlib.blake2b(repr(sorted(stamps)).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def read_news(runs: Iterable[Asked], now: float) -> News:
    """Read the runs that have news."""
    rows, gone = [], []
    for asked in runs:
        looked = _look(asked, now)
        if looked is None:
            continue
        if looked.sources or looked.errors or asked.settled:
            rows.append(_row(asked.run, looked))
        else:
            gone.append(asked.run)
    return News(to_columns(rows), gone)


def _row(run: str, looked: _Looked) -> Row:
    errors = looked.errors
    told = read_attempts(looked.sources, errors.append)
    curves, texts = split(merge_series(each.series for each in told))
    final = next((each.final for each in reversed(told) if each.final), {})
    unread, stepless = sum([each.unread for each in told]), sum([each.stepless for each in told])
    notes = Notes(texts=texts, final=final, unread=unread, stepless=stepless, errors=len(errors))
    return Row(run, "" if errors else looked.key, curves, notes)
