"""mrsweep restore: bring back what prune moved to the trash."""

from __future__ import annotations

from pathlib import Path

import click
from click.exceptions import Exit

from orchestrator.cli.event_trees import readable, restore_event_trees
from orchestrator.cli.options import Manner, Target, acting, examples, profile_option, runs_option, selecting, user, variant_option
from orchestrator.cli.show import UNTOUCHED, confirm, document, say, warn
from orchestrator.pruning.carry_out import Moved, Return, carry_back, plan_return
from orchestrator.results.counting import count
from orchestrator.results.select import Selection
from orchestrator.store.ledger import read_records, take_pen

_EXAMPLES = examples(
    """
mrsweep restore mtl_knee
mrsweep restore mtl_knee --where 'seed=2'
mrsweep restore --tensorboard old_logs
"""
)


@click.command("restore", epilog=_EXAMPLES)
@click.argument("grid", required=False)
@runs_option
@variant_option
@profile_option
@click.option("--tensorboard", type=click.Path(path_type=Path), metavar="DIR", help="Bring back what was cleaned from this folder.")
@selecting
@acting
def command(
    *,
    grid: str | None,
    runs: Path,
    variant: str | None,
    profile: str | None,
    tensorboard: Path | None,
    selection: Selection,
    manner: Manner,
) -> None:
    """Move pruned runs back from the trash, to the state that they had, and parts of runs to where they were."""
    if (grid is None) == (tensorboard is None):
        raise click.UsageError("name either GRID, or a folder of TensorBoard files with --tensorboard DIR.")
    if tensorboard is not None:
        restore_event_trees(tensorboard, manner)
    elif grid is not None:
        _restore(Target(grid, runs, variant, profile), selection, manner)


def _restore(target: Target, selection: Selection, manner: Manner) -> None:
    opened, _ = target.open()
    found = plan_return(opened, read_records(opened.paths), selection)
    if not manner.as_json:
        say(f"{opened.paths.name}: {_things(found)} to bring back.")
    moved = Moved()
    if not manner.dry_run and (found.runs or found.parts):
        confirm(f"Bring back {_things(found)}?", yes=manner.yes)
        with take_pen(opened.paths) as pen:
            moved = carry_back(pen, found, by=user())
    for sentence in moved.refused:
        warn(sentence)
    if manner.as_json:
        parts = [item.path for item in found.parts]
        back = {"back": moved.runs, "back_parts": [item.path for item in moved.parts]}
        document(
            "restore",
            grid=opened.paths.name,
            runs=found.runs,
            parts=parts,
            **back,
            refused=[*map(readable, moved.refused)],
            done=not manner.dry_run,
        )
    elif manner.dry_run:
        say(UNTOUCHED)
    elif found.runs or found.parts:
        told = [f"{len(moved.runs):,} of {count(len(found.runs), 'run')}"] if found.runs else []
        told += [f"{len(moved.parts):,} of {count(len(found.parts), 'part')}"] if found.parts else []
        say(f"Brought back {' and '.join(told)}.")
    if moved.refused:
        raise Exit(1)


def _things(found: Return) -> str:
    runs = count(len(found.runs), "run")
    return f"{runs} and {count(len(found.parts), 'part')} of runs" if found.parts else runs
