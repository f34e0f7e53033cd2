"""Looks at grids again and again: what has not changed on disk is not read again. Writes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from orchestrator.launch.opened import OpenGrid, known_grids
from orchestrator.live.filters import Filter
from orchestrator.live.glimpse import Glimpses
from orchestrator.results.failures import failure_id
from orchestrator.results.overview import Overview
from orchestrator.results.select import Selection, find_failure, select
from orchestrator.store.errors import SelectionError, StoreError
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import read_records
from orchestrator.store.records import Records
from orchestrator.watchdog.look import Site, look, site_of
from orchestrator.watchdog.picture import take_picture
from orchestrator.watchdog.recorded import Recorded, read_recorded

Stamp = tuple[object, ...]

BELIEVED_S = 60.0
"""After so long the ledger is read again, though it has not changed."""


class Sight(NamedTuple):
    """A grid at one moment."""

    grid: OpenGrid
    records: Records
    overview: Overview
    at: float


class Base(NamedTuple):
    """What is known before a look."""

    stamp: Stamp
    read_at: float
    """When the ledger was read."""
    records: Records
    """The ledger's, with what was found out since: journals of runs that have ended are not read again."""


class GridReader:
    """Looks at one grid."""

    def __init__(self, paths: GridPaths, *, profile: str | None = None) -> None:
        self.paths = paths
        self.profile = profile
        self.glimpses = Glimpses(self.paths)
        self._grid: tuple[Stamp, OpenGrid, Site] | None = None
        self._base: Base | None = None
        self._matching: tuple[str, OpenGrid, frozenset[str]] | None = None

    def look(self) -> Sight:
        """Look once. Raises StoreError for a grid that is gone or damaged, ClusterError where no scheduler is found."""
        grid, site = self._open()
        base = self._read_base()
        seen = look(grid, site, records=base.records)
        self._base = base._replace(records=seen.records)
        return Sight(grid, seen.records, take_picture(grid, site, Selection(), seen=seen), time.time())

    @property
    def patience_s(self) -> float:
        """How long the site wants to be left alone between two looks."""
        return self._grid[2].profile.poll_s / 10 if self._grid else 0.0

    def matching(self, sight: Sight, wanted: Filter) -> frozenset[str] | None:
        """Return the runs whose config the filter's expression selects; None: all. Configs never change, so this is found once."""
        where = wanted.selection.where
        if not where:
            return None
        known = self._matching
        if known is None or known[0] != where or known[1] is not sight.grid:
            with _named_filter("--where"):
                pairs = select(sight.grid.manifests, Records(), Selection(where=where))
            known = self._matching = (where, sight.grid, frozenset(manifest.id for manifest, _ in pairs))
        return known[2]

    def alike(self, sight: Sight, wanted: Filter) -> frozenset[str] | None:
        """Return the runs that ended as the filter's signature says; None: all."""
        if not wanted.selection.signature:
            return None
        records = sight.records.runs.values()
        with _named_filter("--signature"):
            failure = find_failure(records, wanted.selection.signature)
        return frozenset(record.id for record in records if failure_id(record) == failure)

    def _open(self) -> tuple[OpenGrid, Site]:
        """Return the grid and its site, opened anew when it was applied or launched again."""
        paths = self.paths
        if not paths.manifest.exists():
            raise StoreError(f"{paths.dir}: is not there any more, or not to be read. Leave with q, or wait until it is back.")
        stamp = (_stamp(paths.manifest), _stamp(paths.settings), tuple(paths.applied_versions()))
        if self._grid is None or self._grid[0] != stamp:
            grid = OpenGrid(paths)
            self._grid = (stamp, grid, site_of(grid, self.profile, reading=True))
        return self._grid[1], self._grid[2]

    def _read_base(self) -> Base:
        """Return what a look starts from: what the last one found out, as long as nobody has written to the ledger since."""
        stamp, base, now = ledger_stamp(self.paths), self._base, time.monotonic()
        if base is None or base.stamp != stamp or now - base.read_at > BELIEVED_S:
            base = Base(stamp, now, read_records(self.paths))
        return base


@contextmanager
def _named_filter(option: str) -> Iterator[None]:
    """Let an error name the filter, in which the words of an option were typed."""
    try:
        yield
    except SelectionError as error:
        raise SelectionError(str(error).replace(option, "filter:" if option == "--where" else "filter: signature", 1)) from error


class GridsReader:
    """Lists the grids below a runs folder."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._kept: dict[str, tuple[Stamp, Recorded]] = {}

    def look(self) -> list[Recorded]:
        """Return every grid; one that is damaged says so, and does not hide the others."""
        return [self._one(name) for name in known_grids(self._runs)]

    def _one(self, name: str) -> Recorded:
        paths = GridPaths(self._runs / name)
        try:
            stamp = (_stamp(paths.manifest), ledger_stamp(paths))
            if name not in self._kept or self._kept[name][0] != stamp:
                self._kept[name] = (stamp, read_recorded(self._runs, name))
        except (StoreError, OSError) as error:
            return Recorded(name, problem=str(error).replace(f"{self._runs}/", ""))  # the places differ in their ends
        return self._kept[name][1]


def ledger_stamp(paths: GridPaths) -> Stamp:
    """Return what changes whenever something is written to the ledger: of all segments only the newest grows."""
    try:
        names = sorted(os.listdir(paths.ledger))
    except FileNotFoundError:
        return ()
    newest = [name for name in names if name.endswith(".jsonl")][-1:]
    return (len(names), *(_stamp(paths.ledger / name) for name in newest))


def _stamp(file: Path) -> Stamp:
    try:
        status = file.stat()
    except FileNotFoundError:
        return ()
    return (file.name, status.st_size, status.st_mtime_ns, status.st_ino)
