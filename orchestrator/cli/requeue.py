"""mrsweep requeue: submit runs again that ended badly, were cancelled, or wait for a person."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import click
import msgspec

from orchestrator.cli.options import Manner, Target, acting, examples, on_grid, selecting
from orchestrator.cli.show import UNTOUCHED, confirm, count, document, say
from orchestrator.cluster.resources import Resources
from orchestrator.grid.manifest import Manifest
from orchestrator.launch.launch import renew_code
from orchestrator.launch.opened import OpenGrid
from orchestrator.results.cost import limit_of
from orchestrator.results.select import Selection, select
from orchestrator.store.errors import SelectionError, did_you_mean
from orchestrator.store.ledger import take_pen
from orchestrator.store.records import Records
from orchestrator.store.states import ALIVE, State
from orchestrator.watchdog.act import TAKEN_BACK, plan_submittal, settings_or_fail, submit
from orchestrator.watchdog.look import look
from orchestrator.watchdog.watch import record, record_under

_EXAMPLES = examples(
    """
mrsweep requeue mtl_knee --state failed
mrsweep requeue mtl_knee --cause host_oom --set resources.mem_gb=64
mrsweep requeue mtl_knee --where 'seed=2 and loss.weighting=dwa' --yes
"""
)


@click.command("requeue", epilog=_EXAMPLES)
@on_grid
@selecting
@click.option("--set", "overrides", multiple=True, metavar="resources.KEY=VALUE", help="Change what the runs ask for; repeatable.")
@click.option("--code", type=click.Choice(["today", "same"]), default="today", show_default=True, help="Which code runs.")
@acting
def command(*, target: Target, selection: Selection, overrides: tuple[str, ...], code: str, manner: Manner) -> None:
    """Submit failed, cancelled, interrupted, blocked and held runs again; they resume from their checkpoint.

    Without a selection all of them; --state, --cause and --where choose. --set resources.KEY=VALUE changes what they ask for:
    mem_gb, time_min, cpus, gpus.
    """
    opened, site = target.open()
    settings_or_fail(opened)
    changed = read_changes(overrides)
    seen = look(opened, site) if manner.dry_run else record(opened, site)
    chosen = choose(opened, seen.records, selection)
    submittal = plan_submittal(opened, chosen, seen.records, seen.snapshot, site, changed=changed)
    limit = limit_of(array.resources for array in submittal.arrays for _ in array.rows)
    if not manner.as_json:
        if submittal.runs:
            say(f"{opened.paths.name}: {count(submittal.runs, 'run')} to submit again, at most {limit.told}.")
        elif not submittal.later:
            say(f"{opened.paths.name}: no run to submit again: {why_none(opened, seen.records, selection)}.")
        if submittal.later:
            say(f"{len(submittal.later)} more wait{'s' * (len(submittal.later) == 1)} for a free slot: repeat this later.")
    asked, tokens = submittal.runs, list[str]()
    if not manner.dry_run and submittal.runs:
        confirm(f"Submit {count(submittal.runs, 'run')}?", yes=manner.yes)
        with take_pen(opened.paths, lease_s=site.profile.lease_s) as pen:
            seen = record_under(pen, opened, site)
            submittal = plan_submittal(opened, choose(opened, pen.records, selection), pen.records, seen.snapshot, site, changed=changed)
            if code == "today":
                renew_code(opened, Path.cwd())
            tokens = submit(pen, opened, submittal, site, seen.snapshot, reason="requeue")
    if manner.as_json:
        runs = [row.run for array in submittal.arrays for row in array.rows]
        document("requeue", grid=opened.paths.name, runs=runs, tokens=tokens, done=not manner.dry_run)
    elif manner.dry_run:
        say(UNTOUCHED)
    elif tokens:
        say(f"submitted {count(submittal.runs, 'run')} as {', '.join(tokens)}")
    elif asked:
        say("Nothing was submitted: meanwhile somebody else has taken these runs.")


def choose(opened: OpenGrid, records: Records, selection: Selection) -> list[Manifest]:
    """Return the selected runs that may be taken back into the queue: failed, cancelled, interrupted, blocked and held ones."""
    pairs = select(opened.manifests, records, msgspec.structs.replace(selection, limit=None))
    chosen = [manifest for manifest, record in pairs if record.state in TAKEN_BACK]
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


def read_changes(overrides: tuple[str, ...]) -> dict[str, float]:
    """Return the resource fields that --set changes: "resources.mem_gb=64" → {"mem_gb": 64.0}."""
    changes = {}
    known = [field.name for field in msgspec.structs.fields(Resources) if field.name != "sbatch"]
    for text in overrides:
        key, equals, value = text.partition("=")
        name = key.removeprefix("resources.")
        if not equals or name == key or name not in known:
            raise SelectionError(f"--set {text}: requeue changes resources only. {did_you_mean(name, known)} Write resources.mem_gb=64.")
        changes[name] = _number(text, value, whole=name in ("gpus", "cpus", "nodes"))
    return changes


def _number(text: str, value: str, *, whole: bool) -> float:
    try:
        number = int(value) if whole else float(value)
    except ValueError:
        raise SelectionError(f"--set {text}: '{value}' is not a {'whole number' if whole else 'number'}.") from None
    if not 0 <= number < math.inf:
        raise SelectionError(f"--set {text}: {value} is no number of 0 or above.")
    return number
