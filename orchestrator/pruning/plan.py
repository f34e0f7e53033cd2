"""What a prune would move, by kind: whole runs and parts of runs, and what it leaves and why. Reads folders, writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath

import msgspec

from orchestrator.cluster.scheduler import Snapshot
from orchestrator.launch.opened import OpenGrid
from orchestrator.pruning.duplicates import Duplicate, find_duplicates
from orchestrator.pruning.leftovers import may_be_written, old_checkpoints, output_of, stale_attempts
from orchestrator.pruning.runs import obstacle, why_not_now
from orchestrator.pruning.sizes import Size, measure
from orchestrator.pruning.ties import Ties, find_ties
from orchestrator.pruning.trash import Item, written
from orchestrator.results.select import Selection, select
from orchestrator.store.layout import AttemptPaths
from orchestrator.store.records import Record, Records
from orchestrator.store.states import State
from orchestrator.worker.outcome import attempts


class Kind(Enum):
    """What sort of thing is not wanted any more; the value is the word shown to people."""

    DUPLICATE = "duplicate"
    ORPHAN = "orphan"
    ABORTED = "aborted"
    CHOSEN = "chosen by hand"
    OUTPUT = "output of aborted"
    ATTEMPT = "stale attempt"
    CHECKPOINT = "old checkpoint"


WHOLE = (Kind.DUPLICATE, Kind.ORPHAN, Kind.ABORTED, Kind.CHOSEN)
"""Kinds of which the whole run is moved."""
PARTS = frozenset(Kind) - frozenset(WHOLE)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a prune is to look for."""

    selection: Selection = Selection()
    kinds: frozenset[Kind] = frozenset()
    """Empty: the runs of the selection."""


class PrunePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a prune would do."""

    runs: dict[str, tuple[Kind, str]] = {}
    """Run id → kind and why, for whole runs."""
    parts: tuple[Item, ...] = ()
    duplicates: dict[str, Duplicate] = {}
    """Run id → its like, for those that go as duplicates."""
    kept: tuple[str, ...] = ()
    """What would be moved but for something, and for what."""
    stuck: dict[str, str] = {}
    """Run id → why a run that was chosen cannot be moved now."""
    sizes: dict[Kind, Size] = {}
    """Filled in by `weigh`."""

    def counts(self) -> dict[Kind, int]:
        """Return kind → how many things are moved, in the order of the kinds."""
        named = [kind for kind, _ in self.runs.values()] + [Kind(item.kind) for item in self.parts]
        return {kind: named.count(kind) for kind in Kind if kind in named}

    def within(self, other: PrunePlan) -> PrunePlan:
        """Return what this plan has in common with an earlier one: what was shown, and still holds."""
        paths = {item.path for item in other.parts}
        runs = {run_id: why for run_id, why in self.runs.items() if run_id in other.runs}
        return msgspec.structs.replace(self, runs=runs, parts=tuple(item for item in self.parts if item.path in paths))


@dataclass(frozen=True)
class Scene:
    """What a plan is made from."""

    grid: OpenGrid
    records: Records
    snapshot: Snapshot
    now: float
    taken_up: frozenset[str] = frozenset()
    """Runs that ended badly and that the watchdog takes up again."""
    given_up: frozenset[str] = frozenset()
    """Interrupted runs that nothing takes up again."""


def plan_prune(scene: Scene, wanted: Wanted) -> PrunePlan:
    """Decide what is moved. Parts of a run that goes as a whole are not named beside it."""
    ties = find_ties(scene.grid.paths)
    pairs = select(scene.grid.manifests, scene.records, wanted.selection)
    chosen = [record for _, record in pairs if record.state is not State.PRUNED]
    kept: list[str] = []
    duplicates = _duplicates(scene, {record.id for record in chosen}) if Kind.DUPLICATE in wanted.kinds else {}
    whole = _without_ties(_whole(scene, chosen, wanted.kinds, duplicates), ties, kept)
    stuck = {run_id: told for run_id in whole if (told := _stuck(scene, run_id))}
    runs = {run_id: why for run_id, why in whole.items() if run_id not in stuck}
    rest = [record for record in chosen if record.id not in whole]
    parts = tuple(_parts(scene, rest, wanted.kinds, ties, kept))
    duplicates = {run_id: duplicates[run_id] for run_id in runs if run_id in duplicates}
    return PrunePlan(runs=runs, parts=parts, duplicates=duplicates, kept=tuple(kept), stuck=stuck)


def _stuck(scene: Scene, run_id: str) -> str:
    return obstacle(scene.grid.paths, scene.records, scene.records.get(run_id), scene.snapshot)


def _duplicates(scene: Scene, chosen: Collection[str]) -> dict[str, Duplicate]:
    return {one.run: one for one in find_duplicates(scene.grid, scene.records) if one.run in chosen}


def _whole(
    scene: Scene, chosen: Iterable[Record], kinds: Collection[Kind], duplicates: Mapping[str, Duplicate]
) -> dict[str, tuple[Kind, str]]:
    """Return the runs that go as a whole; of several reasons the first in the order of the kinds is named."""
    found: dict[str, tuple[Kind, str]] = {}
    for record in chosen:
        if record.id in duplicates:
            found[record.id] = (Kind.DUPLICATE, duplicates[record.id].why)
        elif Kind.ORPHAN in kinds and record.id in scene.records.orphans:
            found[record.id] = (Kind.ORPHAN, "no longer in the grid file")
        elif Kind.ABORTED in kinds and is_aborted(record, scene):
            found[record.id] = (Kind.ABORTED, record.cause.value if record.cause else record.state.value)
        elif not kinds:
            found[record.id] = (Kind.CHOSEN, f"{record.state.value}, chosen by hand")
    return found


def is_aborted(record: Record, scene: Scene) -> bool:
    """Say whether a run ended without a result, and nothing takes it up again."""
    if record.state in (State.FAILED, State.CANCELLED):
        return record.id not in scene.taken_up
    return record.state is State.INTERRUPTED and record.id in scene.given_up


def _without_ties(runs: dict[str, tuple[Kind, str]], ties: Ties, kept: list[str]) -> dict[str, tuple[Kind, str]]:
    held = {run_id: told for run_id in runs if (told := ties.of_run(run_id))}
    kept += [f"run {run_id[:8]}…: {told}" for run_id, told in held.items()]
    return {run_id: why for run_id, why in runs.items() if run_id not in held}


def _parts(scene: Scene, rest: Iterable[Record], kinds: Collection[Kind], ties: Ties, kept: list[str]) -> Iterator[Item]:
    """Yield the parts that go of runs that stay. Nothing is taken from a run that lives or may be taken up."""
    if not PARTS & set(kinds):
        return
    for record in rest:
        folder = scene.grid.paths.run(record.id).dir
        if record.adopted_from or (not record.is_final and record.id not in scene.given_up) or record.id in scene.taken_up:
            continue
        if folder.is_symlink() or not folder.is_dir():
            continue
        found = list(_parts_of(scene, record, kinds, ties, kept))
        obstacle = why_not_now(scene.records, record, scene.snapshot) if found else ""
        if obstacle:
            kept.append(f"run {record.id[:8]}…: {obstacle}")
        else:
            yield from found


def _parts_of(scene: Scene, record: Record, kinds: Collection[Kind], ties: Ties, kept: list[str]) -> Iterator[Item]:
    run, gone = scene.grid.paths.run(record.id), set()
    if Kind.ATTEMPT in kinds and record.state is State.COMPLETED:
        for name in stale_attempts(run, record):
            attempt = AttemptPaths(run.dir / name)
            told = ties.of_attempt(record.id, name)
            if not told and may_be_written(attempt, record, scene.now):
                told = "it is not known to have ended; it is kept"
            if told:
                kept.append(f"{name} of run {record.id[:8]}…: {told}")
            else:
                gone.add(name)
                yield _item(scene, attempt.dir, Kind.ATTEMPT, record, "another attempt completed the run")
    if Kind.OUTPUT in kinds and is_aborted(record, scene):
        for number in attempts(run):
            attempt = run.attempt(*number)
            for name in output_of(attempt) if not attempt.dir.is_symlink() else ():
                yield _item(scene, attempt.dir / name, Kind.OUTPUT, record, record.cause.value if record.cause else record.state.value)
    if Kind.CHECKPOINT in kinds:
        for attempt, name, why in old_checkpoints(run, record.best_step):
            told = ties.of_attempt(record.id, attempt.dir.name)
            if attempt.dir.name not in gone and not told:
                yield _item(scene, attempt.checkpoint / name, Kind.CHECKPOINT, record, why)
            elif told and (sentence := f"{attempt.dir.name} of run {record.id[:8]}…: {told}") not in kept:
                kept.append(sentence)


def _item(scene: Scene, path: Path, kind: Kind, record: Record, why: str) -> Item:
    place = PurePosixPath(path.relative_to(scene.grid.paths.dir))
    return Item(path=written(place), kind=kind.value, why=why, run=record.id)


def weigh(plan: PrunePlan, grid: OpenGrid) -> PrunePlan:
    """Return the plan with what each thing takes on disk."""
    sizes: dict[Kind, Size] = {}
    for run_id, (kind, _) in plan.runs.items():
        sizes[kind] = sizes.get(kind, Size()) + measure(grid.paths.run(run_id).dir)
    parts = []
    for item in plan.parts:
        size = measure(grid.paths.dir / item.place)
        sizes[Kind(item.kind)] = sizes.get(Kind(item.kind), Size()) + size
        parts.append(msgspec.structs.replace(item, bytes=size.bytes))
    return msgspec.structs.replace(plan, parts=tuple(parts), sizes=sizes)
