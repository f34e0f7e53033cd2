"""mrsweep restore: bring pruned runs back."""

from __future__ import annotations

import click
import msgspec
from click.exceptions import Exit

from orchestrator.cli.options import Manner, Target, acting, examples, on_grid, selecting, user
from orchestrator.cli.show import UNTOUCHED, confirm, count, document, say, warn
from orchestrator.results.select import Selection, select
from orchestrator.store.ledger import read_records, take_pen
from orchestrator.store.states import State
from orchestrator.watchdog.prune import restore

_EXAMPLES = examples(
    """
mrsweep restore mtl_knee
mrsweep restore mtl_knee --where 'seed=2'
"""
)


@click.command("restore", epilog=_EXAMPLES)
@on_grid
@selecting
@acting
def command(*, target: Target, selection: Selection, manner: Manner) -> None:
    """Move pruned runs back from the trash, to the state that they had."""
    opened, _ = target.open()
    pruned = msgspec.structs.replace(selection, states=(State.PRUNED,))
    chosen = [manifest.id for manifest, _ in select(opened.manifests, read_records(opened.paths), pruned)]
    if not manner.as_json:
        say(f"{opened.paths.name}: {count(len(chosen), 'run')} to bring back.")
    refused: list[str] = []
    if not manner.dry_run and chosen:
        confirm(f"Bring back {count(len(chosen), 'run')}?", yes=manner.yes)
        with take_pen(opened.paths) as pen:
            refused = restore(pen, chosen, by=user())
    for sentence in refused:
        warn(sentence)
    back = len(chosen) - len(refused)
    if manner.as_json:
        document("restore", grid=opened.paths.name, runs=chosen, refused=refused, done=not manner.dry_run)
    elif manner.dry_run:
        say(UNTOUCHED)
    elif chosen:
        say(f"Brought back {back:,} of {count(len(chosen), 'run')}.")
    if refused:
        raise Exit(1)
