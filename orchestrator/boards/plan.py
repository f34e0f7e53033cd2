"""Which entries the folder of a run on TensorBoard's page has: links to event files, and small files of our own (pure)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath

import msgspec

from orchestrator.boards.cut import Limits
from orchestrator.boards.event_file import curve_events, encode, ended_at, fact_events
from orchestrator.boards.sources import Source
from orchestrator.grid.manifest import Manifest
from orchestrator.metrics.history import RunHistory
from orchestrator.store.layout import BoardPaths
from orchestrator.store.records import Record

FORMAT = 1
"""Raised when the same sources are to make other files than before."""
OURS = re.compile(r"(attempt-\d{4,}\.\d{3,}-.*tfevents.*|\.?mrsweep-\w+\.tfevents\.0(\.\w+)?|\.mrsweep\.json)\Z", re.DOTALL)
"""Names that we give; nothing else is ever removed."""

Cut = Callable[[Source, Limits], bytes]
Entry = str | bytes
"""Where a link points to, or the content of a file."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What a run's folder was made from: while this stays the same, the folder does."""

    run: str
    state: str
    ended_at: float | None
    sources: tuple[tuple[str, int, int], ...]
    """Path, size and time of change of each file."""
    format: int = FORMAT


class BoardRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run that has been started, and where it is shown."""

    name: str
    manifest: Manifest
    record: Record
    sources: Sequence[Source]
    """Its event files, or else its metrics.jsonl."""

    @property
    def has_event_files(self) -> bool:
        return any(source.is_event_file for source in self.sources)

    @property
    def began_at(self) -> float:
        """When its first attempt began; 0 where nobody knows."""
        return min((attempt.started_at for attempt in self.record.attempts if attempt.started_at is not None), default=0.0)

    @property
    def mark(self) -> bytes:
        files = tuple((str(source.file), source.size, source.changed_ns) for source in self.sources)
        return msgspec.json.encode(Mark(run=self.manifest.id, state=self.record.state.value, ended_at=ended_at(self.record), sources=files))


def stale_runs(runs: Iterable[BoardRun], marks: Mapping[str, bytes]) -> list[BoardRun]:
    """Return the runs whose folder is missing or was made from something else. `marks`: name → mark as it lies there."""
    return [run for run in runs if marks.get(run.name) != run.mark]


def entries_of(run: BoardRun, board: BoardPaths, history: RunHistory, limits: Mapping[str, Limits], cut: Cut) -> dict[Path, Entry]:
    """Return path → entry of all that the run's folder is to hold.

    Of an event file whose end a newer attempt superseded, a copy without it takes the link's place: TensorBoard would
    draw both curves.
    """
    facts = encode(fact_events(run.name, run.manifest.varying, run.record, history.final, run.began_at), run.began_at)
    entries: dict[Path, Entry] = {board.facts: facts}
    if not run.has_event_files:
        return entries | ({board.curves: encode(curve_events(history, run.began_at), run.began_at)} if history.curves else {})
    top = common_folder(run.sources)
    for source in run.sources:
        place = board.dir / source.folder.relative_to(top) / link_name(source)
        superseded = limits.get(str(source.file))
        entries[place] = cut(source, superseded) if superseded else os.path.relpath(source.file, place.parent)
    return entries


def link_name(source: Source) -> str:
    """Return a name that sorts as the attempts do: TensorBoard reads the files of a folder in this order."""
    number, restart = source.attempt
    return f"attempt-{number:04d}.{restart:03d}-{PurePath(source.path).name}"


def common_folder(sources: Sequence[Source]) -> PurePath:
    """Return the innermost folder that holds all event files, seen from each attempt: it becomes the run itself."""
    return PurePath(os.path.commonpath([f"/{source.folder}" for source in sources])).relative_to("/")
