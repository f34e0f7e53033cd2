"""The histories of many runs, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

from orchestrator.metrics.columns import NO_NOTES, Columns, to_history
from orchestrator.metrics.history import Curve, RunHistory
from orchestrator.metrics.shown import AllShown
from orchestrator.store.records import Record


class ReadHistories(Mapping[str, RunHistory]):
    """Histories, each made when it is asked for."""

    def __init__(self, records: Mapping[str, Record], columns: Columns) -> None:
        self._records = records
        self._columns = columns

    def __getitem__(self, run: str) -> RunHistory:
        record = self._records[run]
        row = self._columns.row_of.get(run)
        return RunHistory(final=record.metrics) if row is None else self._columns.history(row, record.metrics)

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)


class ShownHistories(Mapping[str, RunHistory]):
    """Histories of which only what is shown is known; their curves are read when they are asked for."""

    def __init__(self, records: Mapping[str, Record], shown: AllShown, read: Callable[[], Columns]) -> None:
        """read: return all that the runs reported."""
        self._records = records
        self._shown = shown
        self._read = read

    def __getitem__(self, run: str) -> RunHistory:
        record = self._records[run]
        row = self._shown.row_of.get(run)
        if row is None:
            return RunHistory(final=record.metrics)
        curves = _Curves(self, run, self._shown.names(row))
        notes = self._shown.notes.get(run, NO_NOTES)
        final = {**notes.final, **record.metrics} if notes.final else record.metrics
        return to_history(curves, notes, final, self._shown.shown(row))

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def curves_of(self, run: str) -> Mapping[str, Curve]:
        """Return the curves of a run."""
        row = self._columns.row_of.get(run)
        return {} if row is None else self._columns.history(row, {}).curves

    @cached_property
    def _columns(self) -> Columns:
        return self._read()


class _Curves(Mapping[str, Curve]):
    """The curves of a run, read when one is asked for."""

    def __init__(self, source: ShownHistories, run: str, names: Sequence[str]) -> None:
        self._source = source
        self._run = run
        self._names = names

    def __getitem__(self, name: str) -> Curve:
        if name not in self._names:
            raise KeyError(name)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @cached_property
    def _read(self) -> Mapping[str, Curve]:
        return self._source.curves_of(self._run)
