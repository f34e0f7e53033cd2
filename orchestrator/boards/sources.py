"""Which files a run reported into: the event files of its attempts, or else their metrics.jsonl. Nothing is opened, no link followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePath

import msgspec

from orchestrator.metrics.attempts import attempts_of
from orchestrator.metrics.sources import MARK, Sources, list_sources
from orchestrator.store.layout import GridPaths, parse_attempt_name
from orchestrator.store.records import Record


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A file that an attempt reported into, as its folder shows it."""

    attempt: tuple[int, int]
    """Number and restart."""
    root: str
    """Folder of the attempt."""
    path: str
    """Below `root`."""
    size: int
    changed_ns: int

    @property
    def file(self) -> Path:
        return Path(self.root, self.path)

    @property
    def folder(self) -> PurePath:
        return PurePath(self.path).parent

    @property
    def is_event_file(self) -> bool:
        return MARK in PurePath(self.path).name


def find_sources(paths: GridPaths, record: Record) -> list[Source]:
    """Return the event files of a run's attempts, oldest attempt first; without any, what its attempts reported as lines."""
    listed = [(attempt, list_sources(attempt)[0]) for attempt in attempts_of(paths, record)]
    events = [source for attempt, found in listed for file in _event_files(found) for source in _source(attempt, file)]
    return events or [source for attempt, found in listed if found.metrics for source in _source(attempt, found.metrics)]


def _event_files(found: Sources) -> Iterator[str]:
    """Yield the event files of an attempt, folder by folder, in the order in which they were opened."""
    for files in found.events.values():
        yield from files


def _source(attempt: str, file: str) -> Iterator[Source]:
    """Yield the file as a source; nothing for what has gone, is no file, or is a link."""
    number = parse_attempt_name(os.path.basename(attempt))
    try:
        status = os.lstat(file)
    except OSError:
        return
    if number is not None and stat.S_ISREG(status.st_mode):
        path = os.path.relpath(file, attempt)
        yield Source(attempt=number, root=attempt, path=path, size=status.st_size, changed_ns=status.st_mtime_ns)
