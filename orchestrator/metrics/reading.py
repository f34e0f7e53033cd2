"""Read what the runs of a grid reported: each file once, later from the cache."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from orchestrator.grid.objective import Objective
from orchestrator.metrics.cache import read_cache, write_cache
from orchestrator.metrics.columns import Columns, join, pick, to_columns
from orchestrator.metrics.histories import ReadHistories, ShownHistories
from orchestrator.metrics.history import History
from orchestrator.metrics.looking import Asked, News, ask, has_news
from orchestrator.metrics.readers import read_all_news
from orchestrator.metrics.shown import AllShown, read_shown, show_all, write_shown
from orchestrator.store.layout import GridPaths
from orchestrator.store.records import Record


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
    if shown is not None and not any(has_news(asked, now) for asked in _asked(paths, shown, wanted, now)):
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
    news = read_all_news(list(_asked(paths, kept, wanted, now)), now)
    if not news.columns.runs and not news.gone:
        return kept or to_columns(()), False
    return _with(kept, news), True


def _asked(paths: GridPaths, kept: Columns | AllShown | None, wanted: Mapping[str, Record], now: float) -> Iterator[Asked]:
    """Yield the runs whose files have to be looked at."""
    known = {} if kept is None else dict(zip(kept.runs, kept.keys, strict=True))
    for record in wanted.values():
        asked = ask(paths, record, known.get(record.id), now)
        if asked is not None:
            yield asked


def _with(kept: Columns | None, news: News) -> Columns:
    """Return the cache's columns with the rows of these runs replaced or removed."""
    if kept is None:
        return news.columns
    replaced = {*news.gone, *news.columns.runs}
    return join([pick(kept, [row for row, run in enumerate(kept.runs) if run not in replaced]), news.columns])
