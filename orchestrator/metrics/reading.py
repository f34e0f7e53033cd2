"""Read what the runs of a grid reported: each file once, later from the cache."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from orchestrator.grid.objective import Objective
from orchestrator.metrics.cache import read_cache, write_cache
from orchestrator.metrics.columns import Columns, Notes, Row, join, pick, to_columns
from orchestrator.metrics.histories import ReadHistories, ShownHistories
from orchestrator.metrics.history import History
from orchestrator.metrics.merging import merge_series, split
from orchestrator.metrics.shown import AllShown, read_shown, show_all, write_shown
from orchestrator.metrics.sources import Sources, Stamp, list_sources, read_attempts, stamp
from orchestrator.store.layout import GridPaths, RunPaths, attempt_name, parse_attempt_name
from orchestrator.store.records import Record
from orchestrator.store.states import State

SETTLED_S = 120.0
"""So long after a run completed, what is seen of its files is looked at again: a shared filesystem may show a folder late."""

RACY_NS = 2_000_000_000
"""A file that changed so short a time ago may change again and show the same time."""


def read_history(paths: GridPaths, records: Iterable[Record], *, keep: bool = True) -> History:
    """Return what these runs of the grid reported, run id → history; an adopted run's is that of the run that stands for it.

    What was read is kept in a derived file of the grid's folder, unless `keep` is False; the result is the same with it and without.
    Files that completed runs left are read once; those of runs that may still write are read again when they have changed.
    """
    wanted = {record.id: record for record in records}
    columns, is_new = _read_columns(paths, wanted, time.time())
    if keep and is_new:
        write_cache(paths, columns)
    return ReadHistories(wanted, columns)


def read_shown_history(paths: GridPaths, records: Iterable[Record], selection: Objective | None) -> History:
    """Return the same as `read_history`, and keep beside it what tables show of each run, its step selected by this metric.

    Where nothing has changed since, curves are read only when they are asked for.
    """
    wanted = {record.id: record for record in records}
    now = time.time()
    shown = read_shown(paths, selection)
    if shown is not None and _Look(paths, shown, now).is_up_to_date(wanted.values()):
        return ShownHistories(wanted, shown, lambda: _read_columns(paths, wanted, now)[0])
    columns, is_new = _read_columns(paths, wanted, now)
    if is_new:
        write_cache(paths, columns)
    if columns.runs:
        write_shown(paths, show_all(columns, selection))
    return ReadHistories(wanted, columns)


def _read_columns(paths: GridPaths, wanted: Mapping[str, Record], now: float) -> tuple[Columns, bool]:
    """Return what the runs reported, and whether the cache does not hold it."""
    kept = read_cache(paths)
    look = _Look(paths, kept, now)
    rows = [row for record in wanted.values() for row in look.read(record)]
    if not rows and not look.gone:
        return kept or to_columns(()), False
    return _with(kept, rows, look.gone), True


def _with(kept: Columns | None, rows: Sequence[Row], gone: set[str]) -> Columns:
    """Return the cache's columns with the rows of these runs replaced or removed."""
    fresh = to_columns(rows)
    if kept is None:
        return fresh
    replaced = gone | fresh.row_of.keys()
    return join([pick(kept, [row for row, run in enumerate(kept.runs) if run not in replaced]), fresh])


class _Look:
    """One look at the files of runs, as far as the cache does not know them."""

    def __init__(self, paths: GridPaths, kept: Columns | AllShown | None, now: float) -> None:
        self._paths = paths
        self._known = {} if kept is None else dict(zip(kept.runs, kept.keys, strict=True))
        self._now = now
        self.gone: set[str] = set()
        """Runs of which the cache holds what is no longer there."""

    def is_up_to_date(self, records: Iterable[Record]) -> bool:
        """Say whether nothing has to be read."""
        return all(self._news(record) is None for record in records)

    def read(self, record: Record) -> Iterator[Row]:
        """Yield what is to replace the cache's row of a run, if anything."""
        news = self._news(record)
        if news is None:
            return
        key, sources = news
        if sources or self._settled(record):
            yield _row(record.id, key, sources)
        else:
            self.gone.add(record.id)

    def _news(self, record: Record) -> tuple[str, list[Sources]] | None:
        """Return the key and the files of a run that has to be read anew; None where what is known of it holds."""
        known, settled = self._known.get(record.id), self._settled(record)
        if settled and settled == known:
            return None
        found = [list_sources(attempt) for attempt in attempts_of(self._paths, record)]
        key = settled or self._key([stamp(entry) for _, entries in found for entry in entries])
        sources = [each for each, _ in found if each != _NOTHING]
        if (key and key == known) or (known is None and not sources and not settled):
            return None
        return key, sources

    def _settled(self, record: Record) -> str:
        """Return the key of a run whose files nobody changes any more; empty for others, and where older attempts may be taken away."""
        if record.state is not State.COMPLETED or not record.sha256 or self._now - record.since < SETTLED_S:
            return ""
        alone = record.adopted_attempt == _FIRST if record.adopted_from else len(record.attempts) == 1
        return f"{record.adopted_from} {record.sha256}" if alone else ""

    def _key(self, stamps: Sequence[Stamp]) -> str:
        """Return what the files of a run are now; empty while they may change and look the same."""
        if any(each.changed_ns > self._now * 1e9 - RACY_NS for each in stamps):
            return ""
        return hashlib.blake2b(repr(sorted(stamps)).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


_NOTHING = Sources()
_FIRST = attempt_name(1)


def attempts_of(paths: GridPaths, record: Record) -> list[str]:
    """Return the folders of the attempts whose reports make the run's, oldest first: up to the one that completed, else all."""
    if record.adopted_from:
        other = GridPaths(paths.dir.parent / record.adopted_from)
        return [other.attempt(record.id, *number) for number in _numbers_up_to(other.run(record.id), record.adopted_attempt)]
    last = record.decisive
    if last is None:
        return []
    numbers = sorted((one.number, one.restart) for one in record.attempts)
    counting = [number for number in numbers if number <= (last.number, last.restart)]
    if record.state is State.PRUNED:
        return [os.fspath(paths.pruned(record.id).attempt(*number).dir) for number in counting]
    return [paths.attempt(record.id, *number) for number in counting]


def _numbers_up_to(run: RunPaths, name: str) -> list[tuple[int, int]]:
    last = parse_attempt_name(name)
    if last is None or name == _FIRST:
        return [last] if last else []
    try:
        numbers = [parse_attempt_name(each) for each in os.listdir(run.dir)]
    except OSError:
        return []
    return sorted(number for number in numbers if number is not None and number <= last)


def _row(run: str, key: str, sources: Sequence[Sources]) -> Row:
    told = read_attempts(sources)
    curves, texts = split(merge_series(each.series for each in told))
    final = next((each.final for each in reversed(told) if each.final), {})
    return Row(run, key, curves, Notes(texts=texts, final=final, unread=sum(each.unread for each in told)))
