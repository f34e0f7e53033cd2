"""mrsweep prune: move duplicates or chosen runs to the trash."""

from __future__ import annotations

import click
from click.exceptions import Exit

from orchestrator.cli.options import Manner, Target, acting, examples, on_grid, selecting, user
from orchestrator.cli.show import UNTOUCHED, advise, confirm, count, document, say, table, warn
from orchestrator.launch.opened import OpenGrid
from orchestrator.results.select import Selection, select
from orchestrator.store.errors import SelectionError
from orchestrator.store.ledger import take_pen
from orchestrator.store.records import Records
from orchestrator.store.states import State
from orchestrator.watchdog.look import ask_of, look
from orchestrator.watchdog.prune import adopters, find_duplicates, prune
from orchestrator.watchdog.watch import record, record_under

SHOWN = 20

_EXAMPLES = examples(
    """
mrsweep prune mtl_knee_again --duplicates --dry-run
mrsweep prune mtl_knee --state failed --cause error
mrsweep restore mtl_knee
"""
)


@click.command("prune", epilog=_EXAMPLES)
@on_grid
@selecting
@click.option("--duplicates", is_flag=True, help="Runs whose result another grid has: same id, or same entry and config.")
@click.option("--orphans", is_flag=True, help="Runs that the grid file no longer asks for.")
@acting
def command(*, target: Target, selection: Selection, duplicates: bool, orphans: bool, manner: Manner) -> None:
    """Move runs to the trash of their grid; restore brings them back. Runs that are alive are refused, and then the exit code is 1."""
    if not (duplicates or orphans or selection.where or selection.states or selection.causes):
        raise SelectionError("prune moves what you name, and nothing was named. Use --duplicates, --orphans, --state, --cause or --where.")
    opened, site = target.open()
    seen = look(opened, site) if manner.dry_run else record(opened, site)
    chosen = _choose(opened, seen.records, selection, duplicates=duplicates, orphans=orphans)
    if not manner.as_json:
        if chosen:
            table(["id", "why"], [(run_id[:8], why) for run_id, why in list(chosen.items())[:SHOWN]])
        say(f"{opened.paths.name}: {count(len(chosen), 'run')} to move to {opened.paths.trash}.")
    refused: list[str] = []
    moved: list[str] = []
    if not manner.dry_run and chosen:
        confirm(f"Move {count(len(chosen), 'run')} to the trash?", yes=manner.yes)
        with take_pen(opened.paths, lease_s=site.profile.lease_s) as pen:
            record_under(pen, opened, site)
            refused = prune(pen, opened, chosen, ask_of(chosen, pen.records, site.scheduler, pen.clock()), by=user())
            moved = [run_id for run_id in chosen if pen.records.get(run_id).state is State.PRUNED]
    for sentence in refused:
        warn(sentence)
    if manner.as_json:
        document("prune", grid=opened.paths.name, runs=chosen, moved=moved, refused=refused, done=not manner.dry_run)
    elif manner.dry_run:
        say(UNTOUCHED)
    elif chosen:
        way_back = f" Bring them back with: {advise(f'restore {opened.paths.name}')}" if moved else ""
        say(f"Moved {len(moved):,} of {count(len(chosen), 'run')} to the trash.{way_back}")
    if refused:
        raise Exit(1)


def _choose(opened: OpenGrid, records: Records, selection: Selection, *, duplicates: bool, orphans: bool) -> dict[str, str]:
    """Return run id → why it is pruned."""
    pairs = [(manifest, found) for manifest, found in select(opened.manifests, records, selection) if found.state is not State.PRUNED]
    ids = {manifest.id for manifest, _ in pairs}
    if duplicates:
        return {
            twin.run: f"{twin.why} as {twin.other_run[:8]}… of {twin.other_grid}"
            for twin in find_duplicates(opened, records)
            if twin.run in ids
        }
    if orphans:
        ids &= records.orphans
    adopted = adopters(opened, sorted(ids))
    for run_id, name in adopted.items():
        warn(f"run {run_id[:8]}…: grid {name} has adopted its result; it is kept")
    return {
        manifest.id: "no longer in the grid file" if orphans else f"{found.state.value}, chosen by hand"
        for manifest, found in pairs
        if manifest.id in ids and manifest.id not in adopted
    }
