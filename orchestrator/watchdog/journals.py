"""Read what workers wrote since the ledger was last brought up to date: journals, and proofs of success."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

import msgspec

from orchestrator.store.events import Arrived, Ended, JournalLine, Left, Started, decode_journal_line
from orchestrator.store.files import read_lines
from orchestrator.store.layout import GridPaths, SubmissionPaths
from orchestrator.store.records import Records
from orchestrator.store.states import State

_JOURNAL = re.compile(r"worker-(\d+)(?:\.(\d+))?\.jsonl")


class WorkerView(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker's journal says."""

    arrived: Arrived | None
    left: str
    """Why it took no more runs; empty while it may."""


class Journals(msgspec.Struct, frozen=True, kw_only=True):
    """The news of all open submissions."""

    events: tuple[Started | Ended, ...]
    """Starts and ends that the ledger does not have, in each worker's order."""
    workers: dict[tuple[str, int], WorkerView]
    """(token, index) → the newest worker of that task."""


def read_journals(paths: GridPaths, records: Records) -> Journals:
    """Read the journals of submissions with unfinished runs; of arrays, only those of tasks that are not done."""
    events: list[Started | Ended] = []
    workers: dict[tuple[str, int], WorkerView] = {}
    for submission in records.submissions.values():
        unfinished = records.unfinished_rows(submission)
        if not unfinished:
            continue
        for index, lines in _journals(paths.submission(submission.token), None if submission.listed else unfinished):
            workers[submission.token, index] = _view(lines)
            events.extend(line for line in lines if isinstance(line, Started | Ended) and _is_news(line, records))
    return Journals(events=tuple(events), workers=workers)


def _journals(paths: SubmissionPaths, wanted: set[int] | None) -> Iterator[tuple[int, list[JournalLine]]]:
    """Yield (index, lines) of the wanted tasks' journals, None: of all; a task's restarts follow each other."""
    for index, restart in sorted(_journal_names(paths)):
        if wanted is None or index in wanted:
            yield index, list(read_lines(paths.journal(index, restart), decode_journal_line))


def _journal_names(paths: SubmissionPaths) -> Iterator[tuple[int, int]]:
    for name in os.listdir(paths.dir):
        match = _JOURNAL.fullmatch(name)
        if match:
            yield int(match[1]), int(match[2] or 0)


def _view(lines: Iterable[JournalLine]) -> WorkerView:
    arrived = None
    left = ""
    for line in lines:
        if isinstance(line, Arrived):
            arrived = line
        elif isinstance(line, Left):
            left = line.reason
    return WorkerView(arrived=arrived, left=left)


def _is_news(line: Started | Ended, records: Records) -> bool:
    record = records.get(line.run)
    if isinstance(line, Ended) and line.state is State.COMPLETED:
        return record.state is not State.COMPLETED
    if line.attempt < record.attempt:
        return False
    known = next((old for old in record.attempts if (old.number, old.restart) == (line.attempt, line.restart)), None)
    if isinstance(line, Started):
        return known is None
    return known is None or known.ended_at is None
