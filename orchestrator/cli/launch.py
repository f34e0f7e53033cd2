"""mrsweep launch: submit the runs of a grid that are missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import msgspec

from orchestrator.cli.options import (
    dry_run_option,
    examples,
    json_option,
    open_grid,
    profile_option,
    runs_option,
    set_option,
    user,
    variant_option,
    yes_option,
)
from orchestrator.cli.show import UNTOUCHED, advise, confirm, document, say, table, waiting, warn
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.spec import read_spec
from orchestrator.launch.apply import make_draft
from orchestrator.launch.opened import OpenGrid, is_grid_file, place_of
from orchestrator.launch.plan import Plan
from orchestrator.results.counting import count
from orchestrator.store.errors import ClusterError
from orchestrator.store.ledger import check_usable
from orchestrator.store.states import State
from orchestrator.watchdog.janitor import check_place
from orchestrator.watchdog.look import site_of
from orchestrator.watchdog.proposal import Canary, Launched, Proposal, carry_out, propose
from orchestrator.watchdog.telling import tell_launch

LOCAL = "--profile local"

_EXAMPLES = examples(
    """
mrsweep launch grids/quickstart.yaml
mrsweep launch grids/quickstart.yaml --profile slurm-gpu --dry-run
mrsweep launch grids/quickstart.yaml --variant smoke --set train.epochs=2 --yes
"""
)


@click.command("launch", epilog=_EXAMPLES)
@click.argument("grid")
@runs_option
@variant_option
@set_option
@profile_option
@dry_run_option
@yes_option
@json_option
@click.option("--no-adopt", is_flag=True, help="Compute runs that another grid has completed.")
@click.option("--accept-defaults", is_flag=True, help="Keep runs that were started with other defaults.")
@click.option("--canary", type=click.IntRange(min=1), default=None, metavar="K", help="The K most different runs go first.")
@click.option("--canary-step", type=click.IntRange(min=0), metavar="N", help="The others follow at step N, not at the canaries' end.")
@click.option("--janitor", is_flag=True, help="Let a tiny job on the cluster watch the grid; --canary brings it along.")
@click.option("--resume", "resuming", is_flag=True, help="Let a paused grid go on, and runs that wait for canaries.")
def command(
    grid: str,
    *,
    runs: Path,
    variant: str | None,
    overrides: tuple[str, ...],
    profile: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    no_adopt: bool,
    accept_defaults: bool,
    canary: int | None,
    canary_step: int | None,
    janitor: bool,
    resuming: bool,
) -> None:
    """Submit what is missing of a grid: new runs and interrupted ones. Expands the grid file first if needed."""
    if canary_step is not None and canary is None:
        raise click.UsageError("--canary-step goes with --canary: --canary 3 --canary-step 10.")
    project = Path.cwd()
    file = Path(grid) if is_grid_file(grid) else open_grid(grid, runs, variant=variant).newest_file
    spec = read_spec(file, variant=variant, overrides=overrides)
    place = place_of(spec, runs)
    if not dry_run:
        check_usable(place.paths)
    try:
        site = site_of(place, profile)
        if janitor:
            check_place(site)
        site.scheduler.ask_ahead()  # its answers come while the grid is expanded
        with waiting(f"expanding {grid}"):
            draft = make_draft(spec, runs, project=project, accept_defaults=accept_defaults)
        first, by = Canary(count=canary or 0, step=canary_step), user() if resuming else ""
        proposal = propose(draft, site, adopt=not no_adopt, canary=first, resume_by=by)
    except ClusterError as error:
        raise ClusterError(_with_way_out(str(error))) from error
    if not as_json:
        _show(proposal, project, with_script=dry_run)
    if dry_run:
        if as_json:
            _document(proposal.plan, draft.paths.name, tokens=())
        else:
            say(UNTOUCHED)
        return
    if proposal.plan.submitted:
        confirm(f"Submit {count(proposal.plan.submitted, 'run')}?", yes=yes)
    with waiting(f"submitting {count(proposal.plan.submitted, 'run')}"):
        launched = carry_out(proposal, project, resume_by=by, janitor=janitor or (bool(canary) and site.scheduler.name != "local"))
    if as_json:
        _document(launched.plan, draft.paths.name, tokens=launched.tokens)
    else:
        _tell(launched, proposal)
    if launched.tokens and spec.notify is not None:
        _tell_others(OpenGrid(draft.paths), tell=warn if as_json else say)


def _tell_others(grid: OpenGrid, *, tell: Callable[[str], None]) -> None:
    """Send the message that the grid was started; all else is said before, for a mail server may be slow."""
    with waiting("sending messages"):
        told = tell_launch(grid, clock=time.time).told
    for sentence in told:
        tell(sentence)


def _with_way_out(message: str) -> str:
    """Return what the cluster's silence means for a launch; nothing was submitted yet."""
    return message if LOCAL in message else f"{message} Nothing was submitted; to compute on this machine, launch with {LOCAL}."


def _show(proposal: Proposal, project: Path, *, with_script: bool) -> None:
    plan, draft = proposal.plan, proposal.draft
    sorted_runs = plan.runs
    rows = [
        ("new", _not_adopted(sorted_runs.new, plan), "not on disk yet"),
        ("missing", _not_adopted(sorted_runs.missing, plan), "known, and not in the queue"),
        ("retry", len(sorted_runs.retry), "interrupted; they go on from their checkpoint"),
        ("kept", len(sorted_runs.kept), _kept(proposal)),
        ("adopted", len(plan.adopted), "completed by another grid (--no-adopt computes them)"),
        ("duplicate", plan.collapsed, "points with the id of another one"),
        ("orphan", len(sorted_runs.orphans), "on disk, no longer in the grid file; left alone"),
        ("held", len(sorted_runs.behind), "follow when the canaries are through; watch lets them"),
    ]
    say(f"{draft.paths.name}: {draft.spec.question.splitlines()[0].removeprefix('Question: ') if draft.spec.question else 'no question'}")
    table(["", "runs", ""], [row for row in rows if row[1]], shrink={"": 24})
    for reason in plan.waiting:
        say(reason)
    for text in plan.prepare:
        say(f"prepare: {text}")
    for note in proposal.notes:
        say(note)
    _show_cost(proposal, project, with_script=with_script)


def _not_adopted(manifests: Sequence[Manifest], plan: Plan) -> int:
    adopted = {adoption.run for adoption in plan.adopted}
    return sum(manifest.id not in adopted for manifest in manifests)


def _kept(proposal: Proposal) -> str:
    counts: dict[str, int] = {}
    for manifest in proposal.plan.runs.kept:
        word = proposal.draft.records.get(manifest.id).state.value
        counts[word] = counts.get(word, 0) + 1
    told = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    hint = f" (again: {advise(f'requeue {proposal.draft.paths.name}')})" if "failed" in counts else ""
    return told + hint


def _show_cost(proposal: Proposal, project: Path, *, with_script: bool) -> None:
    plan, site = proposal.plan, proposal.site
    kind = ("set of workers", "sets of workers") if site.scheduler.name == "local" else ("array", "arrays")
    estimate = "" if plan.estimate is None else f", about {plan.estimate.told} by the runs that finished"
    if plan.arrays:
        say(
            f"{count(plan.submitted, 'run')} in {len(plan.arrays)} {kind[len(plan.arrays) != 1]} with profile {site.profile.name}; "
            f"at most {plan.limit.told}{estimate}."
        )
    elif with_script:
        say("Nothing to submit.")
    if plan.later:
        later = f"{count(len(plan.later), 'run')} wait{'s' * (len(plan.later) == 1)}"
        say(f"{later} for a free slot (max_parallel, or the cluster's submit limit); watch submits them.")
    if with_script:
        for request in proposal.requests(project)[:1]:
            click.echo(site.scheduler.preview(request))


def _document(plan: Plan, grid: str, *, tokens: tuple[str, ...]) -> None:
    document(
        "launch",
        grid=grid,
        new=_not_adopted(plan.runs.new, plan),
        missing=_not_adopted(plan.runs.missing, plan),
        retry=len(plan.runs.retry),
        kept=len(plan.runs.kept),
        orphans=len(plan.runs.orphans),
        adopted=len(plan.adopted),
        collapsed=plan.collapsed,
        waiting=plan.waiting,
        submitted=plan.submitted,
        arrays=[{"runs": len(array.rows), "tasks": array.tasks, "throttle": array.throttle} for array in plan.arrays],
        later=len(plan.later),
        limit=msgspec.to_builtins(plan.limit),
        estimate=msgspec.to_builtins(plan.estimate),
        tokens=tokens,
    )


def _tell(launched: Launched, proposal: Proposal) -> None:
    grid = proposal.draft.paths.name
    for sentence in launched.told:
        say(sentence)
    if not launched.tokens:
        say(f"Nothing to submit{': meanwhile another launch has submitted these runs' if proposal.plan.submitted else ''}.")
    for token in launched.tokens:
        say(f"submitted {token}")
    if _is_finished(proposal):
        say(f"Its results: {advise(f'summary {grid}')}")
        return
    say(f"Look at it with: {advise(f'status {grid} --watch')}")
    say(f"Keep it alive with: {advise(f'watch {grid}')}")


def _is_finished(proposal: Proposal) -> bool:
    """Say whether every run that the grid file asks for is completed, here or by adoption."""
    plan, records = proposal.plan, proposal.draft.records
    todo = plan.submitted or plan.later or plan.waiting
    return not todo and all(records.get(manifest.id).state is State.COMPLETED for manifest in plan.runs.kept)
