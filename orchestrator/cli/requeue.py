"""mrsweep requeue: submit runs again that ended badly, were cancelled, or wait for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path

import click
import msgspec

from orchestrator.cli.changes import Changes, check_by_schema, read_changes
from orchestrator.cli.options import Manner, Target, acting, examples, on_grid, selecting, user
from orchestrator.cli.show import UNTOUCHED, advise, confirm, document, say
from orchestrator.grid.manifest import Manifest
from orchestrator.launch.opened import OpenGrid
from orchestrator.results.cost import limit_of
from orchestrator.results.counting import count
from orchestrator.results.select import Selection, check_where, select
from orchestrator.store.records import Records
from orchestrator.store.states import ALIVE, State
from orchestrator.watchdog.act import TAKEN_BACK, Submittal, plan_submittal, settings_or_fail
from orchestrator.watchdog.asked import submit_again
from orchestrator.watchdog.look import Look, Site, look
from orchestrator.watchdog.picture import written_spec
from orchestrator.watchdog.watch import record

_EXAMPLES = examples(
    """
mrsweep requeue mtl_knee --state failed
mrsweep requeue mtl_knee --signature 3f9a1c --limit 1
mrsweep requeue mtl_knee --cause host_oom --set resources.mem_gb=64
mrsweep requeue mtl_knee --cause gpu_oom --set train.micro_batch=/2
mrsweep requeue mtl_knee --where 'seed=2 and loss.weighting=dwa' --yes
"""
)


@click.command("requeue", epilog=_EXAMPLES)
@on_grid
@selecting
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change resources.KEY or a runtime key; repeatable.")
@click.option("--code", type=click.Choice(["today", "same"]), default="today", show_default=True, help="Which code runs.")
@acting
def command(*, target: Target, selection: Selection, overrides: tuple[str, ...], code: str, manner: Manner) -> None:
    """Submit failed, cancelled, interrupted, blocked and held runs again; they resume from their checkpoint.

    Without a selection all of them; --state, --cause, --signature and --where choose, --state pruned also what lies in the trash: it
    begins from nothing. --set resources.KEY=VALUE changes what they ask for (mem_gb, time_min, cpus, gpus), and --set KEY=VALUE a key
    that the grid file lists under runtime:, also by a factor: x2 or /2 of what the last attempt had. What finds no slot waits for one.
    """
    opened, site = target.open()
    check_where(opened.manifests, selection.where)
    settings_or_fail(opened)
    changes = read_changes(overrides, written_spec(opened.spec))
    seen = look(opened, site) if manner.dry_run else record(opened, site)
    submittal = _plan(opened, site, seen, selection, changes)
    if not manner.as_json:
        _tell(opened, seen.records, selection, submittal)
    asked, tokens = submittal.runs, list[str]()
    if not manner.dry_run and (submittal.runs or submittal.later):
        confirm(f"Submit {count(submittal.runs + len(submittal.later), 'run')}?", yes=manner.yes)
        shown = {row.run for array in submittal.arrays for row in array.rows} | {job.row.run for job in submittal.later}
        unlimited = msgspec.structs.replace(selection, limit=None)

        def plan(now: Look) -> Submittal:
            return _plan(opened, site, now, unlimited, changes, only=shown)

        submittal, tokens = submit_again(opened, site, plan, by=user(), project=Path.cwd() if code == "today" else None)
    if manner.as_json:
        runs = [row.run for array in submittal.arrays for row in array.rows]
        document("requeue", grid=opened.paths.name, runs=runs, tokens=tokens, done=not manner.dry_run)
    elif manner.dry_run:
        say(UNTOUCHED)
    elif tokens:
        say(f"submitted {count(submittal.runs, 'run')} as {', '.join(tokens)}")
    elif asked:
        say("Nothing was submitted: meanwhile somebody else has taken these runs.")


def _plan(
    opened: OpenGrid, site: Site, seen: Look, selection: Selection, changes: Changes, *, only: Collection[str] | None = None
) -> Submittal:
    """Decide what submitting the chosen runs with the changes does; what their schema refuses is refused before anything is written.

    `only`: the runs that were shown, and that the user agreed to; None: all.
    """
    chosen = [manifest for manifest in choose(opened, seen.records, selection) if only is None or manifest.id in only]
    overrides = changes.overrides(chosen, seen.records)
    if chosen and overrides:
        check_by_schema(chosen[0], overrides[chosen[0].id], opened.spec, [str(Path.cwd()), str(Path.cwd() / "src")])
    return plan_submittal(opened, chosen, seen.records, seen.snapshot, site, changed=changes.resources, overrides=overrides)


def _tell(opened: OpenGrid, records: Records, selection: Selection, submittal: Submittal) -> None:
    limit = limit_of(array.resources for array in submittal.arrays for _ in array.rows)
    if submittal.runs:
        say(f"{opened.paths.name}: {count(submittal.runs, 'run')} to submit again, at most {limit.told}.")
    elif not submittal.later:
        say(f"{opened.paths.name}: no run to submit again: {why_none(opened, records, selection)}.")
    if records.paused:
        say(f"The grid is paused, and nothing of it starts until: {advise(f'launch {opened.paths.name} --resume')}")
    if submittal.later:
        more = " more" if submittal.runs else ""
        say(f"{len(submittal.later):,}{more} wait{'s' * (len(submittal.later) == 1)} for a free slot; a watch submits them.")


def choose(opened: OpenGrid, records: Records, selection: Selection) -> list[Manifest]:
    """Return the selected runs that may be taken back into the queue; pruned ones only by --state pruned, to begin from nothing."""
    pairs = select(opened.manifests, records, msgspec.structs.replace(selection, limit=None))
    wanted = {*TAKEN_BACK, *selection.states} & {*TAKEN_BACK, State.PRUNED}  # what was pruned only where it is named
    chosen = [manifest for manifest, record in pairs if record.state in wanted]
    return chosen[: selection.limit]


def why_none(opened: OpenGrid, records: Records, selection: Selection) -> str:
    """Return the states of the selected runs, none of which is taken back: "2 are queued already, 3 are completed"."""
    pairs = select(opened.manifests, records, msgspec.structs.replace(selection, limit=None))
    counts = Counter(record.state for _, record in pairs)
    told = [f"{number:,} {'is' if number == 1 else 'are'} {_standing(state)}" for state, number in counts.items()]
    return ", ".join(told) or "none is selected"


def _standing(state: State) -> str:
    if state in ALIVE:
        return f"{state.value} already"
    return f"{state.value}, and the scheduler still holds their tasks" if state in TAKEN_BACK else state.value
