"""What the folder of an attempt holds that tells of metrics: metrics.jsonl, metrics.json, and the event files of foreign trainers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from orchestrator.metrics.event_scalars import read_scalars
from orchestrator.metrics.lines import as_number, flatten
from orchestrator.metrics.merging import Series, in_one_file
from orchestrator.metrics.reports import (
    LONGEST_LINE,
    OnError,
    decode_report,
    ignore,
    is_absent,
    opened,
    read_reports,
    read_some,
    sound,
    to_series,
)
from orchestrator.store.events import Number
from orchestrator.store.layout import AttemptPaths

MARK = "tfevents"
"""What TensorBoard knows its files by."""

MOST_ENTRIES = 100_000
"""Of a folder that holds more, what comes later is not looked at."""

_METRICS, _FINAL = AttemptPaths(Path()).metrics.name, AttemptPaths(Path()).final.name
_OPENED = re.compile(r"tfevents\.(\d{1,18})(?!\d)")


class Stamp(NamedTuple):
    """What tells one state of a file from another."""

    path: str
    size: int
    changed_ns: int
    inode: int


class Sources(NamedTuple):
    """The files of an attempt that tell of metrics, by path."""

    metrics: str = ""
    final: str = ""
    events: Mapping[str, list[str]] = {}
    """Folder, relative to the attempt → its event files in the order in which they were opened."""


class Told(NamedTuple):
    """What an attempt told."""

    series: dict[str, Series]
    final: dict[str, Number]
    unread: int
    stepless: int


def list_sources(attempt: str, on_error: OnError = ignore) -> tuple[Sources, list[os.DirEntry[str]]]:
    """Look what there is below an attempt's folder, and return the entries of the files as well; links to folders are not followed."""
    single: dict[str, str] = {}
    events: dict[str, list[str]] = {}
    entries: list[os.DirEntry[str]] = []
    for folder, entry in _walk(attempt, on_error):
        if MARK in entry.name:
            events.setdefault(folder[len(attempt) + 1 :], []).append(entry.path)
        else:
            single[entry.name] = entry.path
        entries.append(entry)
    ordered = {folder: sorted(files, key=_opening) for folder, files in sorted(events.items())}
    return Sources(single.get(_METRICS, ""), single.get(_FINAL, ""), ordered), entries


def _walk(top: str, on_error: OnError) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the files that tell of metrics, with their folders: event files at any depth. A folder within that is closed holds none."""
    waiting, left = [top], MOST_ENTRIES
    while waiting and left > 0:
        folder = waiting.pop()
        named = (_METRICS, _FINAL) if folder is top else ()
        try:
            with os.scandir(folder) as entries:
                for entry in islice(entries, left):
                    left -= 1
                    name = entry.name
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif name in named or MARK in name:
                        yield folder, entry
        except OSError as error:
            if not is_absent(error) and (folder is top or not isinstance(error, PermissionError)):
                on_error(error)


def _opening(path: str) -> tuple[int, str]:
    """Return when an event file was opened, by its name [s since 1970]."""
    name = os.path.basename(path)
    match = _OPENED.search(name)
    return (int(match[1]) if match else 0, name)


def stamp(entry: os.DirEntry[str]) -> Stamp:
    """Return the state of a file; one that is gone meanwhile is empty."""
    try:
        status = entry.stat()
    except OSError:
        return Stamp(entry.path, 0, 0, 0)
    return Stamp(entry.path, status.st_size, status.st_mtime_ns, status.st_ino)


def read_attempts(attempts: Sequence[Sources], on_error: OnError = ignore) -> list[Told]:
    """Read what the attempts of a run told."""
    tops = [os.path.commonpath(each.events) if each.events else "" for each in attempts]
    outer = [top for top, each in zip(tops, attempts, strict=True) if each.events]
    return [_read_attempt(each, _outermost(top, outer), on_error) for each, top in zip(attempts, tops, strict=True)]


def _outermost(top: str, tops: Sequence[str]) -> str:
    """Return from where the event files of an attempt are named: one that had not come to all its folders names them as the others do."""
    return min((other for other in tops if PurePosixPath(top).is_relative_to(other)), key=len, default=top)


def _read_attempt(sources: Sources, top: str, on_error: OnError) -> Told:
    """Read what an attempt told; of a metric in both, metrics.jsonl counts and not the event files."""
    unread = stepless = 0
    pieces = []
    for reports in read_reports(sources.metrics, on_error) if sources.metrics else ():
        unread += reports.unread
        series, without = to_series(reports)
        stepless += without
        pieces.append(series)
    final = read_final(sources.final, on_error) if sources.final else {}
    logged = event_series(sources.events, top, on_error) if sources.events else {}
    return Told({**logged, **in_one_file(pieces)}, final or {}, unread + (final is None), stepless)


def event_series(events: Mapping[str, list[str]], top: str | None = None, on_error: OnError = ignore) -> dict[str, Series]:
    """Return metric → series of event files, named by tag, and by the sub-folder of the writer's where `add_scalars` made one.

    `top`: the folder from which sub-folders are named; without it the one that all these files are in.
    """
    top = os.path.commonpath(events) if top is None and events else top or ""
    found: dict[str, Series] = {}
    for folder, files in events.items():
        prefix = PurePosixPath(folder).relative_to(top).parts
        found |= {sound("/".join((*prefix, tag))): series for tag, series in read_scalars(files, on_error).items()}
    return found


def read_final(path: str, on_error: OnError = ignore) -> dict[str, Number] | None:
    """Return the metrics of a metrics.json, nested ones joined by "/"; None for one that is damaged, too long or cannot be read."""
    with opened(path, on_error=on_error) as descriptor:
        content = read_some(descriptor, LONGEST_LINE + 1, on_error) if descriptor is not None else b""
    report = decode_report(content)
    if report is None:
        return None
    found: dict[str, Number] = {}
    for name, value in flatten(report):
        with suppress(TypeError):
            found[sound(name)] = as_number(sound(value) if isinstance(value, str) else value)
    return {name: value for name, value in found.items() if value is not None}
