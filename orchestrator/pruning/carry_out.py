"""Carry out a prune that was shown, as far as it still holds, and bring back what was moved."""

from __future__ import annotations

import os

import msgspec

from orchestrator.launch.opened import OpenGrid
from orchestrator.pruning.plan import PARTS, PrunePlan, Scene, Wanted, plan_prune
from orchestrator.pruning.runs import prune, restore
from orchestrator.pruning.trash import Item, bring_back, finish, held, is_unsettled, throw
from orchestrator.results.select import Selection, select
from orchestrator.store.ledger import Pen
from orchestrator.store.records import Record, Records
from orchestrator.store.states import State


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What was moved, and why the rest was not."""

    runs: tuple[str, ...] = ()
    parts: tuple[Item, ...] = ()
    refused: tuple[str, ...] = ()


def was_cut_off(grid: OpenGrid, records: Records) -> bool:
    """Say whether an earlier prune or restore ended in the middle."""
    return is_unsettled(grid.paths.parts) or any(
        _waits(grid, record.id) for record in records.runs.values() if record.state is State.PRUNED
    )


def _waits(grid: OpenGrid, run_id: str) -> bool:
    return os.path.lexists(grid.paths.run(run_id).dir) and not os.path.lexists(grid.paths.trash / run_id)


def carry_out(pen: Pen, scene: Scene, shown: PrunePlan, wanted: Wanted, *, by: str) -> Moved:
    """Move what was shown and still is to go: things may have changed between the question and the pen.

    `scene` is made with the pen in hand. What an earlier prune had begun is finished first.
    """
    grid, trash = scene.grid, scene.grid.paths.parts
    refused: list[str] = []
    if is_unsettled(trash):
        still = plan_prune(scene, Wanted(kinds=PARTS))
        refused += finish(trash, {item.path for item in still.parts})
    plan = plan_prune(scene, wanted).within(shown)
    refused += [sentence for sentence in plan.kept if sentence not in shown.kept]
    told = "\n".join(plan.kept)
    for run in shown.runs:
        if run not in plan.runs and run[:8] not in told:
            refused.append(f"run {run[:8]}…: {plan.stuck.get(run, 'has changed meanwhile; it is kept')}")
    whys = {run_id: why for run_id, (_, why) in plan.runs.items()}
    refused += prune(pen, grid, whys, scene.snapshot, by=by, duplicates=plan.duplicates)
    sizes = {item.path: item.bytes for item in shown.parts}
    pen.check()
    weighed = [msgspec.structs.replace(item, bytes=sizes[item.path]) for item in plan.parts]
    parts, left = throw(trash, weighed, by=by, at=pen.clock())
    runs = tuple(run_id for run_id in plan.runs if pen.records.get(run_id).state is State.PRUNED)
    return Moved(runs=runs, parts=tuple(parts), refused=(*refused, *left))


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """What would come back from the trash."""

    runs: tuple[str, ...] = ()
    parts: tuple[Item, ...] = ()


def plan_return(grid: OpenGrid, records: Records, selection: Selection) -> Return:
    """Find what lies in the trash of the selected runs: whole runs, and parts of runs."""
    was = {run_id: _before(record) for run_id, record in records.runs.items()}
    then = msgspec.structs.replace(records, runs=was)
    chosen = [manifest.id for manifest, _ in select(grid.manifests, then, msgspec.structs.replace(selection, limit=None))]
    parts = [item for _, _, item in held(grid.paths.parts)]
    has_parts = {item.run for item in parts}
    back = [run_id for run_id in chosen if records.get(run_id).state is State.PRUNED or run_id in has_parts][: selection.limit]
    runs = tuple(run_id for run_id in back if records.get(run_id).state is State.PRUNED)
    return Return(runs=runs, parts=tuple(item for item in parts if item.run in back))


def _before(record: Record) -> Record:
    """Return a pruned run as it was."""
    return msgspec.structs.replace(record, state=record.before) if record.state is State.PRUNED else record


def carry_back(pen: Pen, shown: Return, *, by: str) -> Moved:
    """Bring back what was shown, whole runs first: their parts have a place again then."""
    trash = pen.paths.parts
    refused = finish(trash, ()) if is_unsettled(trash) else []
    refused += restore(pen, shown.runs, by=by)
    parts, left = bring_back(trash, shown.parts)
    runs = tuple(run_id for run_id in shown.runs if pen.records.get(run_id).state is not State.PRUNED)
    return Moved(runs=runs, parts=tuple(parts), refused=(*refused, *left))
