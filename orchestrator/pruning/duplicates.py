"""Find runs that other grids of the same runs folder hold as well, say what differs all the same, and which of the two is kept."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import msgspec

from orchestrator.grid.canonical import same
from orchestrator.grid.dotted import ABSENT, is_below
from orchestrator.grid.identity import Identity
from orchestrator.grid.manifest import Manifest
from orchestrator.launch.opened import OpenGrid, known_grids
from orchestrator.results.select import flat
from orchestrator.store.errors import MrsweepError
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import read_records
from orchestrator.store.records import Record, Records
from orchestrator.store.states import State

LOG = logging.getLogger(__name__)


class Duplicate(msgspec.Struct, frozen=True, kw_only=True):
    """A run whose like another grid keeps."""

    run: str
    other_grid: str
    other_run: str
    match: str
    """same id · same entry and complete config · same entry, and same config but for runtime keys."""
    kept: str
    """Why the other one is kept."""
    differences: tuple[str, ...] = ()
    """What differs all the same, and why that was ignored."""

    @property
    def why(self) -> str:
        like = (
            f"same id in {self.other_grid}" if self.run == self.other_run else f"same config as {self.other_run[:8]}… of {self.other_grid}"
        )
        return f"{like}; that one {self.kept}"


@dataclass(frozen=True)
class Side:
    """One of the two grids that are compared."""

    grid: OpenGrid
    records: Records

    @cached_property
    def runtime(self) -> tuple[str, ...]:
        """Keys that do not change the science."""
        return tuple(self.grid.spec.runtime)

    @property
    def name(self) -> str:
        return self.grid.paths.name


def find_duplicates(grid: OpenGrid, records: Records) -> list[Duplicate]:
    """Return the runs of this grid whose like another grid of the runs folder keeps.

    The like has the same id, or the same entry, needs and config under another id; runtime keys of either grid do not count.
    Of two, the completed one is kept, else the one that came further, else the newer. Of two completed ones that came equally far
    this grid's is the duplicate, for it is the one that was named. Runs that are alive, pruned or adopted have no files of their
    own to move or to be kept for.
    """
    ours = Side(grid, records)
    candidates = {run_id: manifest for run_id, manifest in grid.manifests.items() if _has_own_files(records.get(run_id))}
    found: dict[str, Duplicate] = {}
    for name in known_grids(grid.paths.dir.parent):
        other = OpenGrid(GridPaths(grid.paths.dir.parent / name))
        if other.paths.dir == grid.paths.dir:
            continue
        try:
            theirs = Side(other, read_records(other.paths))
            left = {run_id: manifest for run_id, manifest in candidates.items() if run_id not in found}
            found |= {one.run: one for one in _against(left, ours, theirs)}
        except (MrsweepError, OSError) as error:
            LOG.warning("grid %s is passed over: %s", name, error)
    return list(found.values())


def _has_own_files(record: Record) -> bool:
    return not record.is_alive and record.state is not State.PRUNED and not record.adopted_from and record.attempt > 0


def _against(candidates: Mapping[str, Manifest], ours: Side, theirs: Side) -> Iterator[Duplicate]:
    """Yield the candidates whose like the other grid keeps."""
    present = {run_id: manifest for run_id, manifest in theirs.grid.manifests.items() if _is_there(theirs, run_id)}
    if not candidates or not present:
        return
    identity = Identity(None, {*ours.runtime, *theirs.runtime})
    alike = {_science(identity, manifest): run_id for run_id, manifest in present.items()}
    for run_id, manifest in candidates.items():
        twin = run_id if run_id in present else alike.get(_science(identity, manifest))
        if twin is None:
            continue
        kept = why_kept(theirs.records.get(twin), ours.records.get(run_id))
        if kept:
            differences = tuple(tell_differences(manifest, ours, present[twin], theirs))
            match = _match(manifest, present[twin])
            yield Duplicate(run=run_id, other_grid=theirs.name, other_run=twin, match=match, kept=kept, differences=differences)


def _is_there(side: Side, run_id: str) -> bool:
    """Say whether a run is one to keep: it has ended with files of its own, which lie where they belong."""
    return _has_own_files(side.records.get(run_id)) and side.grid.paths.run(run_id).dir.is_dir()


def still_kept(grid: OpenGrid, duplicates: Collection[Duplicate]) -> set[str]:
    """Return the runs whose like is still where it was; each of the other grids is read once."""
    others = {name: OpenGrid(GridPaths(grid.paths.dir.parent / name)) for name in {one.other_grid for one in duplicates}}
    sides = {name: Side(other, read_records(other.paths)) for name, other in others.items()}
    return {one.run for one in duplicates if _is_there(sides[one.other_grid], one.other_run)}


def _science(identity: Identity, manifest: Manifest) -> str:
    """Return what a run computes as text, runtime keys left out: entry or command, config, and the results that it starts from."""
    target = manifest.entry or msgspec.json.encode(manifest.command).decode()
    return identity.document(target, manifest.config, manifest.needs)


def _match(ours: Manifest, theirs: Manifest) -> str:
    if ours.id == theirs.id:
        return "same id"
    everything = Identity(None, ())
    if _science(everything, ours) == _science(everything, theirs):
        return "same entry and complete config"
    return "same entry, and same config but for runtime keys"


def why_kept(theirs: Record, ours: Record) -> str:
    """Return why the other of two runs is kept: completed before furthest before newest; empty when ours is the better one."""
    completed, completed_here = (record.state is State.COMPLETED for record in (theirs, ours))
    if completed != completed_here:
        return "is completed" if completed else ""
    step, step_here = furthest(theirs), furthest(ours)
    if step is not None and step_here is not None and step != step_here:
        return f"came to step {step:g}, not {step_here:g}" if step > step_here else ""
    if completed:
        return "is completed too"
    return "is newer" if _newest(theirs) >= _newest(ours) else ""


def furthest(record: Record) -> float | None:
    """Return the last step that any attempt of a run reported, None when none is known."""
    steps = [attempt.last_step for attempt in record.attempts if isinstance(attempt.last_step, int | float)]
    return max(map(float, steps), default=None if record.best_step is None else float(record.best_step))


def _newest(record: Record) -> float:
    last = record.decisive
    return (last.ended_at or last.started_at or 0.0) if last else 0.0


def tell_differences(ours: Manifest, here: Side, theirs: Manifest, there: Side) -> Iterator[str]:
    """Yield a sentence for each key that differs between two runs of one science, and one for ids that differ."""
    left, right = flat(ours), flat(theirs)
    runtime = {*here.runtime, *there.runtime}
    for key in sorted((left.keys() | right.keys()) - {"id"}):
        told = _tell_key(key, left.get(key, ABSENT), right.get(key, ABSENT), runtime)
        if told:
            yield told
    if ours.id != theirs.id:
        yield f"the ids differ: {_why_ids_differ(here, there)}"


def _tell_key(key: str, ours: object, theirs: object, runtime: Collection[str]) -> str:
    if ours is ABSENT or theirs is ABSENT:
        value, place = (theirs, "there") if ours is ABSENT else (ours, "here")
        return f"{key} is {value} {place} and not named {'here' if place == 'there' else 'there'} ({_reason(key, runtime)})"
    if not same(ours, theirs):
        return f"{key} is {ours} here and {theirs} there ({_reason(key, runtime)})"
    return f"{key} is {ours!r} here and {theirs!r} there (the same value)" if repr(ours) != repr(theirs) else ""


def _reason(key: str, runtime: Collection[str]) -> str:
    return "a runtime key" if any(key == each or is_below(key, each) for each in runtime) else "a default of the schema when it was made"


def _why_ids_differ(here: Side, there: Side) -> str:
    """Return what makes two ids of one science differ."""
    keys = sorted(set(here.runtime) ^ set(there.runtime))
    if keys:
        return f"{', '.join(keys)} is a runtime key of only one of the grids"
    if here.grid.spec.schema != there.grid.spec.schema:
        return "only with a schema are its defaults left out of the id"
    return "one was made from an older canonical form"
