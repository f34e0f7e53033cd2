"""mrsweep cancel: end runs, or keep them from starting."""

from __future__ import annotations

import click

from orchestrator.cli.options import Manner, Target, acting, examples, on_grid, selecting, user
from orchestrator.cli.show import UNTOUCHED, confirm, document, say
from orchestrator.results.counting import count
from orchestrator.results.select import Selection, check_where, select
from orchestrator.watchdog.asked import cancel_runs
from orchestrator.watchdog.look import look
from orchestrator.watchdog.watch import record

_EXAMPLES = examples(
    """
mrsweep cancel mtl_knee --state queued
mrsweep cancel mtl_knee --where 'loss.weighting=naive' --dry-run
"""
)


@click.command("cancel", epilog=_EXAMPLES)
@on_grid
@selecting
@acting
def command(*, target: Target, selection: Selection, manner: Manner) -> None:
    """End the selected runs. Queued ones never start; running ones are told to end at once.

    What a run computed since its last checkpoint is lost; requeue goes on from there.
    """
    opened, site = target.open()
    check_where(opened.manifests, selection.where)
    seen = look(opened, site) if manner.dry_run else record(opened, site)
    chosen = [found for _, found in select(opened.manifests, seen.records, selection) if not found.is_final]
    if not manner.as_json:
        alive = sum(found.is_alive for found in chosen)
        say(f"{opened.paths.name}: {count(len(chosen), 'run')} to cancel, {alive} of them queued or running.")
    at_once, ending = 0, 0
    if not manner.dry_run and chosen:
        confirm(f"Cancel {count(len(chosen), 'run')}?", yes=manner.yes)
        ids = {found.id for found in chosen}
        at_once, ending = cancel_runs(opened, site, ids, by=user())
    if manner.as_json:
        document("cancel", grid=opened.paths.name, runs=[found.id for found in chosen], done=not manner.dry_run)
    elif manner.dry_run:
        say(UNTOUCHED)
    elif chosen:
        say(f"{at_once} cancelled; {count(ending, 'running one')} told to stop.")
