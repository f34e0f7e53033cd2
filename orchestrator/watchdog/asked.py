"""What a person asks of runs: submit them again, cancel them, move them to the trash. Everything is decided anew with the pen in hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from orchestrator.cluster.scheduler import Snapshot
from orchestrator.launch.launch import renew_code
from orchestrator.launch.opened import OpenGrid
from orchestrator.pruning.carry_out import Moved, carry_out
from orchestrator.pruning.plan import PrunePlan, Scene, Wanted
from orchestrator.store.ledger import take_pen
from orchestrator.store.records import Records
from orchestrator.watchdog.act import Submittal, cancel, remember, submit
from orchestrator.watchdog.decisions import decisions_of
from orchestrator.watchdog.look import Look, Site, ask_of, known_limits
from orchestrator.watchdog.watch import record_under


def submit_again(
    grid: OpenGrid, site: Site, plan: Callable[[Look], Submittal], *, by: str, project: Path | None
) -> tuple[Submittal, list[str]]:
    """Submit what `plan` decides now. `project`: its code runs as it is now; None: as it was launched.

    Returns what was decided, and the tokens of the submissions.
    """
    with take_pen(grid.paths, lease_s=site.profile.lease_s) as pen:
        seen = record_under(pen, grid, site)
        submittal = plan(msgspec.structs.replace(seen, records=pen.records))
        if project is not None:
            renew_code(grid, project)
        tokens = submit(pen, grid, submittal, site, seen.snapshot, reason="requeue")
        remember(pen, submittal.later, by=by)
    return submittal, tokens


def cancel_runs(grid: OpenGrid, site: Site, runs: Collection[str], *, by: str) -> tuple[int, int]:
    """Cancel those of the runs that have not ended meanwhile; returns (cancelled already, told to stop)."""
    with take_pen(grid.paths, lease_s=site.profile.lease_s) as pen:
        seen = record_under(pen, grid, site)
        open_ones = [record for run_id in runs if not (record := pen.records.get(run_id)).is_final]
        return cancel(pen, open_ones, seen.snapshot, site, by=by)


def scene_of(grid: OpenGrid, site: Site, records: Records, snapshot: Snapshot) -> Scene:
    """Return what a prune is planned from."""
    decisions = decisions_of(grid, site, records, snapshot, known_limits(site))
    taken_up = frozenset(decisions.again) | decisions.later.keys()
    return Scene(grid, records, snapshot, time.time(), taken_up=taken_up, given_up=frozenset(decisions.given_up))


def move_to_trash(grid: OpenGrid, site: Site, shown: PrunePlan, wanted: Wanted, *, by: str) -> Moved:
    """Move what was shown, as far as it still is to go."""
    with take_pen(grid.paths, lease_s=site.profile.lease_s) as pen:
        record_under(pen, grid, site)
        chosen = {*shown.runs, *(item.run for item in shown.parts)}
        snapshot = ask_of(chosen, pen.records, site.scheduler, pen.clock())
        return carry_out(pen, scene_of(grid, site, pen.records, snapshot), shown, wanted, by=by)
