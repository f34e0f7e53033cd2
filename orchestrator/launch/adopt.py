"""Results of other grids of the same runs folder: completed runs to adopt, and the ones that `needs:` asks for."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from orchestrator.grid.manifest import Manifest, Need, read_manifests
from orchestrator.grid.needs import NeedQuery
from orchestrator.grid.where import parse_where
from orchestrator.launch.opened import OpenGrid, known_grids
from orchestrator.results.objectives import number
from orchestrator.results.select import flat
from orchestrator.store.errors import InputError, StoreError, did_you_mean
from orchestrator.store.events import Adopted
from orchestrator.store.layout import GridPaths, attempt_name
from orchestrator.store.ledger import read_records
from orchestrator.store.records import Record, Records
from orchestrator.store.states import State
from orchestrator.worker.journals import read_journals

LOG = logging.getLogger(__name__)


def find_adoptable(paths: GridPaths, wanted: Collection[str], now: float) -> list[Adopted]:
    """Return an adoption for each wanted run id that another grid of the same runs folder has completed."""
    missing = set(wanted)
    found = []
    for name in known_grids(paths.dir.parent):
        other = GridPaths(paths.dir.parent / name)
        if not missing or other.dir == paths.dir:
            continue
        for run_id, record in _completed(_readable_records(other), missing):
            missing.discard(run_id)
            found.append(_adoption(other, record, now))
    return found


def _readable_records(other: GridPaths) -> Records:
    """Return another grid's records, with what its workers wrote since; damage over there is told, and does not stop this grid."""
    try:
        return _newest_records(other)
    except (StoreError, OSError) as error:
        LOG.warning("grid %s is passed over: %s", other.name, error)
        return Records()


def _newest_records(other: GridPaths) -> Records:
    """Return another grid's records, with what its workers wrote since: nobody need watch it."""
    records = read_records(other)
    return records.apply(read_journals(other, records).events)


def _completed(records: Records, wanted: Collection[str]) -> Iterator[tuple[str, Record]]:
    """Yield what a grid has computed itself; a damaged history may hold a completed run without the attempt that proves it."""
    for run_id in sorted(records.runs.keys() & wanted):
        record = records.runs[run_id]
        if record.state is State.COMPLETED and not record.adopted_from and record.attempts:
            yield run_id, record


def _adoption(other: GridPaths, record: Record, now: float) -> Adopted:
    last = record.decisive
    assert last is not None  # _completed leaves out those without
    return Adopted(
        at=now,
        run=record.id,
        grid=other.name,
        attempt=attempt_name(last.number, last.restart),
        sha256=record.sha256,
        metrics=record.metrics,
        best=record.best,
        best_step=record.best_step,
        last=record.last,
        runtime_s=last.runtime_s,
    )


class _Other(NamedTuple):
    """A grid whose results are needed."""

    manifests: Mapping[str, Manifest]
    records: Records
    mode: str
    grows: bool
    """It has needs of its own, and gets runs when these are met."""


class NeedResolver:
    """Finds the run that a `needs:` entry means, once it is completed."""

    def __init__(self, runs: Path, kept: Iterable[Manifest] = ()) -> None:
        """`kept`: manifests made before; what they need is not hashed again, and still known when it was pruned since."""
        self._runs = runs
        self._kept = {(need.grid, need.run): need for manifest in kept for need in manifest.needs.values()}
        self._grid = cache(self._read_grid)
        self._hash = cache(hash_folder)

    def __call__(self, query: NeedQuery) -> Need | None:
        """Return the run and its checkpoint; None while a run that matches has not completed, or is not made because it waits itself.

        Raises InputError when the grid is unknown or `where` matches none of its runs.
        """
        other = self._grid(query.grid)
        wanted = parse_where(query.where).select(other.manifests.values(), flat) if query.where else other.manifests.values()
        found = [other.records.get(manifest.id) for manifest in wanted]
        if not found and other.grows:
            return None
        if not found:
            raise InputError(f"needs: grid '{query.grid}' has no run where {query.where}. Look at: mrsweep status {query.grid} --all")
        candidates = [record for record in found if record.state is not State.PRUNED or self._made_before(query, record)]
        if not candidates or any(record.state not in (State.COMPLETED, State.PRUNED) for record in candidates):
            return None
        chosen = _pick(candidates, query.pick, other.mode)
        return self._made_before(query, chosen) if chosen.state is State.PRUNED else self._need(query, chosen)

    def _made_before(self, query: NeedQuery, record: Record) -> Need | None:
        return self._kept.get((record.adopted_from or query.grid, record.id))

    def _read_grid(self, name: str) -> _Other:
        known = known_grids(self._runs)
        if name not in known:
            raise InputError(f"needs: there is no grid '{name}' below {self._runs}. {did_you_mean(name, known)} Launch that grid first.")
        paths = GridPaths(self._runs / name)
        spec = OpenGrid(paths).spec
        mode = spec.objective.mode if spec.objective else "max"
        return _Other(read_manifests(paths.manifest), _newest_records(paths), mode, spec.has_needs)

    def _need(self, query: NeedQuery, record: Record) -> Need:
        grid, attempt = record.adopted_from or query.grid, record.adopted_attempt
        last = record.decisive
        if not attempt and last is None:
            raise InputError(f"needs: the history of grid '{grid}' holds no attempt of run {record.id}. Choose another with where:.")
        if not attempt and last is not None:
            attempt = attempt_name(last.number, last.restart)
        folder = GridPaths(self._runs / grid).run(record.id).dir / attempt / "checkpoint"
        if not folder.is_dir():
            raise InputError(
                f"needs: run {record.id} of grid '{grid}' left no checkpoint; {folder} does not exist. Choose another with where:."
            )
        path, kept = str(folder.relative_to(self._runs)), self._kept.get((grid, record.id))
        if kept is not None and kept.path == path:
            return kept
        return Need(grid=grid, run=record.id, sha256=self._hash(folder), path=path)


def _pick(found: list[Record], pick: str, mode: str) -> Record:
    if pick != "best":
        return found[-1]
    sign = 1.0 if mode == "max" else -1.0
    ranked = [record for record in found if number(record.best) == number(record.best)]  # a NaN is never the best
    return max(ranked or found, key=lambda record: sign * number(record.best))


def hash_folder(folder: Path) -> str:
    """Return the sha256 over names and contents of all files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with open(path, "rb") as stream:
            content = hashlib.file_digest(stream, "sha256").digest()
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + content)
    return digest.hexdigest()
