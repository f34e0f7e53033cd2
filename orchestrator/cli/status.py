"""mrsweep status: states, metrics, time left, why runs wait, why they failed, what they cost."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from orchestrator.cli.labels import COLUMNS, SHRINK, list_runs
from orchestrator.cli.options import examples, json_option, open_grid, profile_option, runs_option, selecting, variant_option
from orchestrator.cli.show import advise as advised
from orchestrator.cli.show import arrange, document, make_table, pass_over, say, table, terminal_width
from orchestrator.cli.spoken import spoken
from orchestrator.cli.standing import advice_lines, age, below, head, inert, tail, words
from orchestrator.cluster.choose import spent_calls
from orchestrator.launch.opened import OpenGrid, known_grids
from orchestrator.results.overview import Overview
from orchestrator.results.select import Selection, check_where
from orchestrator.store.errors import StoreError
from orchestrator.store.states import State
from orchestrator.watchdog.look import Site, site_of
from orchestrator.watchdog.picture import take_advice, take_picture
from orchestrator.watchdog.recorded import Recorded, read_recorded

LINES = 20
REFRESH_S = 2.0
_MOVING = {state.value for state in (State.QUEUED, State.RUNNING, State.STALLED, State.INTERRUPTED)}

_EXAMPLES = examples(
    """
mrsweep status                        every grid under runs/
mrsweep status --watch                the live view: grids, runs, logs, keys to requeue, cancel and prune
mrsweep status quickstart --watch
mrsweep status quickstart --state failed --all
mrsweep status quickstart --signature 3f9a1c
mrsweep status quickstart --where 'mask.acceleration=8' --json
mrsweep status quickstart --advise    what finished runs needed of what they asked for
"""
)


def _a_number(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    """Refuse nan, which is neither below nor above any bound."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("it must be a number.")
    return value


@click.command("status", epilog=_EXAMPLES)
@click.argument("grid", required=False)
@runs_option
@variant_option
@profile_option
@selecting
@json_option
@click.option("--all", "show_all", is_flag=True, help=f"List every run, not only {LINES}.")
@click.option("--watch", "live", is_flag=True, help="The live view; into a pipe a table until every run has ended.")
@click.option("--advise", "advising", is_flag=True, help="Say which resources would do, from what finished runs used.")
@click.option(
    "--gpu-gb",
    type=click.FloatRange(0, 10_000, min_open=True),
    callback=_a_number,
    help="Memory of one GPU [GB]: --advise then says how many runs fit.",
)
def command(
    grid: str | None,
    *,
    runs: Path,
    variant: str | None,
    profile: str | None,
    selection: Selection,
    as_json: bool,
    show_all: bool,
    live: bool,
    advising: bool,
    gpu_gb: float | None,
) -> None:
    """Show how a grid stands, or all grids. Asks the scheduler once and writes nothing."""
    if live and as_json:
        raise click.UsageError("--watch refreshes a table; leave out --json.")
    if live and advising:
        raise click.UsageError("--advise is said once; leave out --watch.")
    if gpu_gb is not None and not advising:
        raise click.UsageError("--gpu-gb goes with --advise.")
    if grid is None:
        if advising or selection != Selection() or (live and not _is_screen()):
            raise click.UsageError("GRID is missing: --advise, what selects runs, and --watch without a terminal are about one grid.")
        if live:
            _live_view(runs, None, selection, profile)
        else:
            _all_grids(runs, as_json=as_json)
        return
    opened = open_grid(grid, runs, variant=variant)
    check_where(opened.manifests, selection.where)
    if live and _is_screen():
        _live_view(runs, opened, selection, profile)
        return
    site = site_of(opened, profile, reading=True)
    if advising:
        _advise(opened, site, selection, gpu_gb, as_json=as_json)
    elif live:
        _watch(opened, site, selection, sys.maxsize if show_all else LINES)
    elif as_json:
        picture = take_picture(opened, site, selection)
        document("status", **msgspec.to_builtins(picture), calls=msgspec.to_builtins(spent_calls(site.profile)))
    else:
        _print(take_picture(opened, site, selection, lines=sys.maxsize if show_all else LINES))


def _all_grids(runs: Path, *, as_json: bool) -> None:
    known = known_grids(runs)
    grids = list(_readable(runs, known))
    if as_json:
        document("grids", grids=[{"grid": grid.grid, "counts": grid.counts, "recorded_at": grid.recorded_at} for grid in grids])
        return
    if not known:
        say(f"There are no grids in {runs}. Launch one with: {advised('launch grids/NAME.yaml')}")
        return
    now = time.time()
    rows = [(grid.grid, sum(grid.counts.values()), words(grid.counts), age(grid.recorded_at, now)) for grid in grids]
    table(["grid", "runs", "states", "last recorded"], rows)
    if any(set(grid.counts) & _MOVING for grid in grids):
        say(f"Runs may have moved on since; how they are now: {advised('status GRID')}")


def _readable(runs: Path, names: Iterable[str]) -> Iterator[Recorded]:
    """Yield each grid that can be read; one that is damaged is told, and does not hide the others."""
    for name in names:
        try:
            yield read_recorded(runs, name)
        except (StoreError, OSError) as error:
            pass_over(name, error)


def _print(picture: Overview) -> None:
    width = terminal_width()
    for line in inert(head(picture, width)):
        click.echo(line)
    rows, notes = list_runs(picture.lines, width)
    table(COLUMNS, rows, shrink=SHRINK)
    for line in inert((*below(picture, notes, width), *tail(picture, width))):
        click.echo(line)


def _advise(opened: OpenGrid, site: Site, selection: Selection, gpu_gb: float | None, *, as_json: bool) -> None:
    advice = take_advice(opened, site, selection, gpu_gb=gpu_gb)
    if as_json:
        document("advice", grid=opened.paths.name, classes=msgspec.to_builtins(advice))
        return
    for line in inert(advice_lines(advice, opened.paths.name, terminal_width())):
        click.echo(line)


def _is_screen() -> bool:
    """Say whether there is a terminal that shows whole screens and takes keys."""
    streams = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    return os.environ.get("TERM", "dumb") != "dumb" and all(stream is not None and stream.isatty() for stream in streams)


def _live_view(runs: Path, opened: OpenGrid | None, selection: Selection, profile: str | None) -> None:
    from orchestrator.live.app import INTERRUPTED, LiveView
    from orchestrator.live.filters import Filter
    from orchestrator.live.reading import GridReader

    reader = None if opened is None else GridReader(opened.paths, profile=profile)
    view = LiveView(runs, spoken(), reader=reader, profile=profile, wanted=Filter(selection))
    if view.run() == INTERRUPTED:
        raise click.Abort
    if view.return_code:
        raise click.exceptions.Exit(view.return_code)


def _watch(opened: OpenGrid, site: Site, selection: Selection, limit: int) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    room = max(5, (console.height if sys.stdout.isatty() else 40) - 14)
    with Live(console=console, refresh_per_second=4, screen=False) as live:
        while True:
            picture = take_picture(opened, site, selection, lines=min(limit, room))
            live.update(_renderable(picture, console.width))
            if not set(picture.counts) & _MOVING:
                return
            time.sleep(max(REFRESH_S, site.profile.poll_s / 10))


def _renderable(picture: Overview, width: int) -> Any:
    from rich.console import Group
    from rich.text import Text

    rows, notes = list_runs(picture.lines, width)
    shown, cells, _ = arrange(COLUMNS, rows, width, SHRINK)
    under = inert((*below(picture, notes, width), *tail(picture, width)))
    return Group(*map(Text, inert(head(picture, width))), make_table(shown, cells), *map(Text, under))
