"""What the keys r, c and p do: first what it would come to, as a question, then, when a person agrees, the same that the verbs do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from orchestrator.launch.opened import OpenGrid
from orchestrator.live.words import Words
from orchestrator.pruning.plan import PrunePlan, Wanted, plan_prune
from orchestrator.results.cost import limit_of
from orchestrator.results.counting import count
from orchestrator.results.select import Selection
from orchestrator.store.layout import GridPaths
from orchestrator.watchdog.act import TAKEN_BACK, Submittal, plan_submittal, settings_or_fail
from orchestrator.watchdog.asked import cancel_runs, move_to_trash, scene_of, submit_again
from orchestrator.watchdog.look import Look, Site, look, site_of


class Deed(NamedTuple):
    """Something that changes a grid, not done yet."""

    question: str
    """What would be done, to be answered with yes or no; where there is nothing to do, why."""
    do: Callable[[], str] | None
    """Does it and returns what was done; None: there is nothing to do."""


Plan = Callable[[GridPaths, str | None, Sequence[str], Words], Deed]
"""Grid, profile and runs → what would be done; looks at the scheduler, and writes nothing."""


def requeue(paths: GridPaths, profile: str | None, runs: Sequence[str], words: Words) -> Deed:
    """Submit runs again, with the code of the working folder, as the verb does."""
    grid, site = _open(paths, profile)
    settings_or_fail(grid)
    shown = _submittal(grid, site, look(grid, site), set(runs))
    agreed = {row.run for array in shown.arrays for row in array.rows} | {job.row.run for job in shown.later}
    if not agreed:
        return Deed(
            f"{_these(runs)} cannot be submitted again: no failed, cancelled, interrupted, blocked or held one is among them.", None
        )
    limit = limit_of(array.resources for array in shown.arrays for _ in array.rows)
    most = f", at most {limit.told}" if shown.runs else ""
    waiting = f", {len(shown.later):,} of them" if shown.runs else ""
    later = f"{waiting} as soon as a slot is free" if shown.later else ""
    code = f"They run the code of {words.cell(str(Path.cwd()))}."

    def do() -> str:
        done, tokens = submit_again(grid, site, lambda seen: _submittal(grid, site, seen, agreed), by=words.user(), project=Path.cwd())
        waiting = f", {len(done.later):,} for when a slot is free" if done.later else ""
        named = f" as {', '.join(tokens)}" if tokens else ""
        return f"submitted {_these(range(done.runs))}{named}{waiting}"

    return Deed(f"Submit {_these(agreed)} again{most}{later}? {code}", do)


def _submittal(grid: OpenGrid, site: Site, seen: Look, runs: Collection[str]) -> Submittal:
    chosen = [one for one in grid.manifests.values() if one.id in runs and seen.records.get(one.id).state in TAKEN_BACK]
    return plan_submittal(grid, chosen, seen.records, seen.snapshot, site)


def cancel(paths: GridPaths, profile: str | None, runs: Sequence[str], words: Words) -> Deed:
    """End runs, or keep them from starting."""
    grid, site = _open(paths, profile)
    records = look(grid, site).records
    chosen = [run_id for run_id in runs if not records.get(run_id).is_final]
    if not chosen:
        return Deed(f"{_these(runs)} cannot be cancelled: no one is left that has not ended.", None)
    alive = sum(records.get(run_id).is_alive for run_id in chosen)

    def do() -> str:
        at_once, ending = cancel_runs(grid, site, chosen, by=words.user())
        return f"{at_once:,} cancelled, {ending:,} running told to stop"

    return Deed(f"Cancel {_these(chosen)}, {alive:,} of them queued or running? What was computed since the last checkpoint is lost.", do)


def prune(paths: GridPaths, profile: str | None, runs: Sequence[str], words: Words) -> Deed:
    """Move runs to the trash of the grid."""
    grid, site = _open(paths, profile)
    seen = look(grid, site)
    wanted = Wanted(selection=Selection(runs=tuple(runs)))
    plan = plan_prune(scene_of(grid, site, seen.records, seen.snapshot), wanted)
    left = _left(plan, words)
    if not plan.runs:
        return Deed(f"{_these(runs)} cannot be moved to the trash.{left or ' Nothing else is known of it.'}", None)

    def do() -> str:
        moved = move_to_trash(grid, site, plan, wanted, by=words.user())
        refused = f"; not: {words.cell(moved.refused[0])}" if moved.refused else ""
        return f"moved {_these(moved.runs)} to the trash; mrsweep restore {paths.name} brings them back{refused}"

    return Deed(f"Move {_these(plan.runs)} to the trash? mrsweep restore {paths.name} brings them back.{left}", do)


def _left(plan: PrunePlan, words: Words) -> str:
    """Return the first reason for which a chosen run stays where it is."""
    reasons = (*plan.kept, *(f"run {run_id[:8]}…: {why}" for run_id, why in plan.stuck.items()))
    more = f" (and {len(reasons) - 1:,} more stay)" if len(reasons) > 1 else ""
    return f" Stays: {words.cell(reasons[0])}{more}" if reasons else ""


def _these(runs: Collection[object]) -> str:
    return count(len(runs), "run")


def _open(paths: GridPaths, profile: str | None) -> tuple[OpenGrid, Site]:
    """Open the grid for an act: one that acts looks at the scheduler at once, whoever only shows waits for its turn."""
    grid = OpenGrid(paths)
    return grid, site_of(grid, profile)


PLANS: dict[str, Plan] = {"requeue": requeue, "cancel": cancel, "prune": prune}
