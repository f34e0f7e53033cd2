"""mrsweep expand: write the manifests of a grid, or only say what there would be."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import dry_run_option, examples, json_option, runs_option, set_option, variant_option
from orchestrator.cli.show import document, say, table, waiting
from orchestrator.grid.spec import read_spec
from orchestrator.launch.apply import Draft, make_draft
from orchestrator.launch.plan import tell_waiting
from orchestrator.results.cost import limit_of
from orchestrator.results.counting import count
from orchestrator.results.select import varying_keys
from orchestrator.watchdog.proposal import expand_only

SHOWN = 20

_EXAMPLES = examples(
    """
mrsweep expand grids/quickstart.yaml --dry-run
mrsweep expand grids/quickstart.yaml --variant smoke
"""
)


@click.command("expand", epilog=_EXAMPLES)
@click.argument("grid", type=click.Path(path_type=Path))
@runs_option
@variant_option
@set_option
@dry_run_option
@json_option
@click.option("--accept-defaults", is_flag=True, help="Keep runs that were started with other defaults.")
def command(
    grid: Path, *, runs: Path, variant: str | None, overrides: tuple[str, ...], dry_run: bool, as_json: bool, accept_defaults: bool
) -> None:
    """Write grid-<n>.yaml and the manifest of every run; with --dry-run count and show them."""
    with waiting(f"expanding {grid}"):
        spec = read_spec(grid, variant=variant, overrides=overrides)
        draft = make_draft(spec, runs, project=Path.cwd(), accept_defaults=accept_defaults)
    if not dry_run:
        expand_only(draft)
    if as_json:
        _document(draft)
        return
    _print(draft, dry_run=dry_run)


def _document(draft: Draft) -> None:
    document(
        "expand",
        grid=draft.paths.name,
        version=draft.version,
        runs=[{"id": manifest.id, **manifest.varying} for manifest in draft.today],
        new=len(draft.runs.new),
        collapsed=draft.collapsed,
        waiting=tell_waiting(draft.waiting),
        orphans=draft.runs.orphans,
    )


def _print(draft: Draft, *, dry_run: bool) -> None:
    keys = varying_keys(draft.today)
    rows = [[manifest.id[:8], *(manifest.varying.get(key) for key in keys)] for manifest in draft.today[:SHOWN]]
    table(["id", *keys], rows)
    if len(draft.today) > SHOWN:
        say(f"… and {len(draft.today) - SHOWN} more")
    limit = limit_of(manifest.resources for manifest in draft.today)
    say(f"{draft.paths.name}: {count(len(draft.today), 'run')}, at most {limit.told} by their time limits.")
    if draft.collapsed:
        say(f"{count(draft.collapsed, 'point')} came to the same run as another one.")
    for sentence in (*tell_waiting(draft.waiting), *draft.notes):
        say(sentence)
    if dry_run:
        say("Nothing was written (--dry-run).")
        return
    say(f"{count(len(draft.runs.new), 'new manifest')} in {draft.paths.dir}. Submit them with: mrsweep launch {draft.spec.source}")
