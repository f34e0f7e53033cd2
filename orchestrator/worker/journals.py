"""Read what workers wrote since the ledger was last brought up to date: journals, and proofs of success."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import msgspec

from orchestrator.store.events import Ended, JournalLine, Started, decode_journal_line
from orchestrator.store.files import read_lines, read_whole
from orchestrator.store.layout import GridPaths, SubmissionPaths
from orchestrator.store.records import Records
from orchestrator.store.states import State
from orchestrator.worker.outcome import sha256

_JOURNAL = re.compile(r"worker-(\d+)(?:\.(\d+))?\.jsonl")


class Journals(msgspec.Struct, frozen=True, kw_only=True):
    """The news of all open submissions."""

    events: tuple[Started | Ended, ...]
    """Starts and ends that the ledger does not have, in each worker's order; a success only where its proof lies on disk."""


def read_journals(paths: GridPaths, records: Records) -> Journals:
    """Read the journals of submissions with unfinished runs; of arrays, only those of tasks that are not done."""
    return Journals(events=tuple(line for line in _told(paths, records) if _is_news(line, records) and _is_proven(line, paths)))


def _told(paths: GridPaths, records: Records) -> Iterator[Started | Ended]:
    for submission in records.submissions.values():
        unfinished = records.unfinished_rows(submission)
        if unfinished:
            for line in _lines(paths.submission(submission.token), None if submission.listed else unfinished):
                if isinstance(line, Started | Ended):
                    yield line


def _lines(paths: SubmissionPaths, wanted: set[int] | None) -> Iterator[JournalLine]:
    """Yield the lines of the wanted tasks' journals, None: of all; a task's restarts follow each other."""
    for index, _, name in sorted(_journal_names(paths)):
        if wanted is None or index in wanted:
            yield from read_lines(f"{paths.dir}/{name}", decode_journal_line)


def _journal_names(paths: SubmissionPaths) -> Iterator[tuple[int, int, str]]:
    for name in os.listdir(paths.dir) if paths.dir.exists() else ():  # whoever removed it took what its workers said
        match = _JOURNAL.fullmatch(name)
        if match:
            yield int(match[1]), int(match[2] or 0), name


def _is_news(line: Started | Ended, records: Records) -> bool:
    record = records.get(line.run)
    newest = record.current
    if isinstance(line, Ended) and line.state is State.COMPLETED:
        overtaken = newest is not None and newest.ended_at is None and (line.attempt, line.restart) < (newest.number, newest.restart)
        return record.state is not State.COMPLETED and not overtaken
    if line.attempt < record.attempt:
        return False
    known = next((old for old in record.attempts if (old.number, old.restart) == (line.attempt, line.restart)), None)
    if isinstance(line, Started):
        return known is None
    return known is None or known.ended_at is None


def _is_proven(line: Started | Ended, paths: GridPaths) -> bool:
    """Say whether a success has the very result.json that its worker found valid; what is no success needs no proof."""
    if isinstance(line, Started) or line.state is not State.COMPLETED:
        return True
    try:
        return sha256(read_whole(paths.result(line.run, line.attempt, line.restart))) == line.sha256
    except (FileNotFoundError, NotADirectoryError):
        return False
