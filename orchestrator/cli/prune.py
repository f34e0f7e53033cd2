"""mrsweep prune: move what is not wanted any more to the trash, and empty the trash."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click
from click.core import ParameterSource
from click.exceptions import Exit

from orchestrator.cli.empty_trash import empty_trash
from orchestrator.cli.event_trees import KEEP, clean_event_trees, readable
from orchestrator.cli.options import (
    Manner,
    Target,
    acting,
    examples,
    profile_option,
    runs_option,
    selecting,
    user,
    variant_option,
)
from orchestrator.cli.show import UNTOUCHED, advise, confirm, document, say, table, warn
from orchestrator.launch.opened import OpenGrid
from orchestrator.pruning.carry_out import Moved, was_cut_off
from orchestrator.pruning.plan import Kind, PrunePlan, Wanted, plan_prune, weigh
from orchestrator.pruning.sizes import Size
from orchestrator.results.counting import count
from orchestrator.results.select import Selection, check_where
from orchestrator.store.errors import SelectionError
from orchestrator.watchdog.asked import move_to_trash, scene_of
from orchestrator.watchdog.look import look
from orchestrator.watchdog.watch import record

SHOWN = 20
DAY_S = 86400.0
_UNITS = {"": DAY_S, "min": 60.0, "h": 3600.0, "d": DAY_S, "w": 7 * DAY_S}

_EXAMPLES = examples(
    """
mrsweep prune mtl_knee_again --duplicates --dry-run
mrsweep prune mtl_knee --aborted --stale-attempts --checkpoints
mrsweep prune mtl_knee --state failed --cause error
mrsweep prune mtl_knee --empty-trash --older-than 30d
mrsweep prune --tensorboard old_logs --dry-run
mrsweep restore mtl_knee
"""
)

_KINDS = {
    "duplicates": (Kind.DUPLICATE, "Runs that another grid has: same id, or same entry and config."),
    "orphans": (Kind.ORPHAN, "Runs that the grid file no longer asks for."),
    "aborted": (Kind.ABORTED, "Runs that ended without result and that nothing takes up again."),
    "stale-attempts": (Kind.ATTEMPT, "Attempts of completed runs that did not count."),
    "checkpoints": (Kind.CHECKPOINT, "Checkpoints that a later one replaced; the best and the last of a run stay."),
}


def _choosing(function: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each kind."""
    for name, (_, told) in reversed(_KINDS.items()):
        function = click.option(f"--{name}", is_flag=True, help=told)(function)
    return function


def _age(_context: click.Context, option: click.Parameter, text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(min|h|d|w|)", text.strip())
    if match is None:
        raise click.BadParameter(f"'{text}' is no span of time. Write 30d, 12h or 2w.", param=option)
    return float(match[1]) * _UNITS[match[2]]


@click.command("prune", epilog=_EXAMPLES)
@click.argument("grid", required=False)
@runs_option
@variant_option
@profile_option
@_choosing
@click.option("--keep-checkpoints", is_flag=True, help="With --aborted: the runs stay with their checkpoints, their output goes.")
@selecting
@click.option("--empty-trash", "empty_trash_wanted", is_flag=True, help="Delete what has lain in the trash for long. There is no way back.")
@click.option("--older-than", default="30d", show_default=True, callback=_age, help="With --empty-trash: only what was moved so long ago.")
@click.option(
    "--tensorboard", type=click.Path(path_type=Path), metavar="DIR", help="Clean a folder of TensorBoard files of scripts that re-ran."
)
@click.option("--keep", type=click.Choice(KEEP), default=KEEP[0], show_default=True, help="With --tensorboard: which re-run stays.")
@acting
def command(
    *,
    grid: str | None,
    runs: Path,
    variant: str | None,
    profile: str | None,
    selection: Selection,
    keep_checkpoints: bool,
    empty_trash_wanted: bool,
    older_than: float,
    tensorboard: Path | None,
    keep: str,
    manner: Manner,
    **named: bool,
) -> None:
    """Move what is not wanted any more to the trash of its grid; restore brings it back.

    What lives, and what another run refers to, is left; where something that was chosen could not be moved the exit code is 1.
    """
    kinds = {kind for name, (kind, _) in _KINDS.items() if named[name.replace("-", "_")]}
    if tensorboard is not None:
        if grid is not None or kinds or empty_trash_wanted:
            raise click.UsageError("--tensorboard cleans a folder of its own. Leave out GRID and the other kinds.")
        clean_event_trees(tensorboard, keep, manner)
        return
    if _is_given("keep"):
        raise click.UsageError("--keep goes with --tensorboard.")
    if _is_given("older_than") and not empty_trash_wanted:
        raise click.UsageError("--older-than goes with --empty-trash: other kinds are chosen whatever their age.")
    if grid is None:
        raise click.UsageError("GRID is missing. Name a grid, or a folder of TensorBoard files with --tensorboard DIR.")
    target = Target(grid, runs, variant, profile)
    if empty_trash_wanted:
        if kinds or _selects(selection):
            raise click.UsageError("--empty-trash deletes by age alone. Leave out the other kinds, and what selects runs.")
        empty_trash(target, older_than, manner)
        return
    if keep_checkpoints:
        if Kind.ABORTED not in kinds:
            raise click.UsageError("--keep-checkpoints goes with --aborted.")
        kinds = kinds - {Kind.ABORTED} | {Kind.OUTPUT}
    if not (kinds or selection.where or selection.states or selection.causes or selection.signature):
        options = ", ".join(f"--{name}" for name in _KINDS)
        raise SelectionError(f"prune moves what you name, and nothing was named. Use {options}, --state, --cause, --signature or --where.")
    _prune(target, Wanted(selection=selection, kinds=frozenset(kinds)), manner)


def _is_given(name: str) -> bool:
    """Say whether an option stands on the command line, rather than having its default."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _selects(selection: Selection) -> bool:
    return selection != Selection()


def _prune(target: Target, wanted: Wanted, manner: Manner) -> None:
    opened, site = target.open()
    check_where(opened.manifests, wanted.selection.where)
    seen = look(opened, site) if manner.dry_run else record(opened, site)
    plan = weigh(plan_prune(scene_of(opened, site, seen.records, seen.snapshot), wanted), opened)
    cut_off = was_cut_off(opened, seen.records)
    if not manner.as_json:
        _show(opened, plan, cut_off=cut_off)
    moved = Moved()
    if not manner.dry_run and (plan.runs or plan.parts or cut_off):
        confirm(f"Move {_things(plan)} to the trash?", yes=manner.yes)
        moved = move_to_trash(opened, site, plan, wanted, by=user())
    _report(opened, plan, moved, manner)


def _things(plan: PrunePlan) -> str:
    """Return "2 runs and 3 parts of runs"."""
    named = [count(len(plan.runs), "run")] if plan.runs or not plan.parts else []
    if plan.parts:
        named.append(f"{count(len(plan.parts), 'part')} of {count(len({item.run for item in plan.parts}), 'run')}")
    return " and ".join(named)


def _show(opened: OpenGrid, plan: PrunePlan, *, cut_off: bool) -> None:
    rows = [(run_id[:8], "the run", why) for run_id, (_, why) in plan.runs.items()]
    rows += [(item.run[:8], "/".join(item.place.parts[2:]), item.why) for item in plan.parts]
    if rows:
        table(["id", "what", "why"], rows[:SHOWN], shrink={"what": 24, "why": 30})
    if len(rows) > SHOWN:
        say(f"… and {len(rows) - SHOWN:,} more; --json lists them all.")
    for sentence in _differences(plan):
        say(sentence)
    for sentence in (*plan.kept, *_stuck(plan)):
        warn(sentence)
    if len(plan.counts()) > 1:
        table(["kind", "things", "files", "size"], [(kind.value, number, *_told(plan, kind)) for kind, number in plan.counts().items()])
    if cut_off:
        say("An earlier prune or restore was cut off; this one finishes it.")
    total = sum(plan.sizes.values(), Size())
    say(f"{opened.paths.name}: {_things(plan)} to move to {opened.paths.trash} ({total.text}).")


def _stuck(plan: PrunePlan) -> list[str]:
    return [f"run {run_id[:8]}…: {why}" for run_id, why in plan.stuck.items()]


def _told(plan: PrunePlan, kind: Kind) -> tuple[str, str]:
    size = plan.sizes.get(kind, Size())
    return f"{size.files:,}", size.text


def _differences(plan: PrunePlan) -> list[str]:
    """Return what differs between duplicates and the runs that are kept, each sentence once."""
    found: dict[str, int] = {}
    for duplicate in plan.duplicates.values():
        for sentence in duplicate.differences:
            found[sentence] = found.get(sentence, 0) + 1
    ranked = sorted(found, key=lambda sentence: -found[sentence])
    told = [f"Ignored in {count(found[sentence], 'run')}: {sentence}." for sentence in ranked[:SHOWN]]
    return told + ([f"… and {len(ranked) - SHOWN:,} more; --json lists them all."] if len(ranked) > SHOWN else [])


def _report(opened: OpenGrid, plan: PrunePlan, moved: Moved, manner: Manner) -> None:
    for sentence in moved.refused:
        warn(sentence)
    if manner.as_json:
        document("prune", grid=opened.paths.name, done=not manner.dry_run, **_content(plan, moved))
    elif manner.dry_run:
        say(UNTOUCHED)
    elif plan.runs or plan.parts:
        way_back = f" Bring them back with: {advise(f'restore {opened.paths.name}')}" if moved.runs or moved.parts else ""
        told = [f"{len(moved.runs):,} of {count(len(plan.runs), 'run')}"] if plan.runs else []
        told += [f"{len(moved.parts):,} of {count(len(plan.parts), 'part')}"] if plan.parts else []
        say(f"Moved {' and '.join(told)} to the trash.{way_back}")
    if moved.refused or (plan.stuck and not manner.dry_run):
        raise Exit(1)


def _content(plan: PrunePlan, moved: Moved) -> dict[str, object]:
    """Return what --json tells."""
    kinds = {kind.value: {"things": number, **_size(plan.sizes.get(kind, Size()))} for kind, number in plan.counts().items()}
    twins = {
        run_id: {"grid": twin.other_grid, "run": twin.other_run, "match": twin.match, "kept": twin.kept, "differences": twin.differences}
        for run_id, twin in plan.duplicates.items()
    }
    return {
        "runs": {run_id: why for run_id, (_, why) in plan.runs.items()},
        "parts": plan.parts,
        "kinds": kinds,
        **_size(sum(plan.sizes.values(), Size())),
        "duplicates": twins,
        "kept": [*map(readable, plan.kept)],
        "moved": moved.runs,
        "moved_parts": [item.path for item in moved.parts],
        "refused": [*map(readable, (*_stuck(plan), *moved.refused))],
    }


def _size(size: Size) -> dict[str, int]:
    return {"bytes": size.bytes, "files": size.files}
