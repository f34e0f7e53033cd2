"""mrsweep status: states, metrics, time left, why runs wait, why they failed."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from orchestrator.cli.options import examples, json_option, open_grid, profile_option, runs_option, selecting, variant_option
from orchestrator.cli.show import advise, arrange, cell, count, document, make_table, minutes, pass_over, say, table, terminal_width
from orchestrator.launch.opened import OpenGrid, known_grids
from orchestrator.results.overview import Line, Overview
from orchestrator.results.select import Selection, short_names
from orchestrator.store.errors import StoreError
from orchestrator.store.layout import GridPaths
from orchestrator.store.ledger import read_records
from orchestrator.store.states import State
from orchestrator.watchdog.look import Site, site_of
from orchestrator.watchdog.picture import take_picture

LINES = 20
FAILURES = 5
REFRESH_S = 2.0
COLUMNS = ["id", "state", "try", "step", "objective", "time", "run", "note", "node"]
LABEL = COLUMNS.index("run")
SHRINK = {"state": 9, "run": 18, "note": 18}
"""Columns that give way on a narrow terminal, and how far."""
_ACTIVE_FIRST = [state.value for state in (State.RUNNING, State.STALLED, State.INTERRUPTED, State.FAILED, State.BLOCKED, State.HELD)]
_MOVING = {state.value for state in (State.QUEUED, State.RUNNING, State.STALLED, State.INTERRUPTED)}

_EXAMPLES = examples(
    """
mrsweep status                        every grid under runs/
mrsweep status quickstart --watch
mrsweep status quickstart --state failed --all
mrsweep status quickstart --where 'mask.acceleration=8' --json
"""
)


@click.command("status", epilog=_EXAMPLES)
@click.argument("grid", required=False)
@runs_option
@variant_option
@profile_option
@selecting
@json_option
@click.option("--all", "show_all", is_flag=True, help=f"List every run, not only {LINES}.")
@click.option("--watch", "live", is_flag=True, help="Refresh until every run has ended, or until Ctrl-C. Writes nothing.")
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
) -> None:
    """Show how a grid stands, or all grids. Asks the scheduler once and writes nothing."""
    if grid is None:
        _all_grids(runs, as_json=as_json)
        return
    opened = open_grid(grid, runs, variant=variant)
    site = site_of(opened, profile)
    limit = None if show_all else LINES
    if live:
        _watch(opened, site, selection, limit)
        return
    picture = take_picture(opened, site, selection)
    if as_json:
        document("status", **msgspec.to_builtins(picture))
        return
    _print(picture, limit)


def _all_grids(runs: Path, *, as_json: bool) -> None:
    known = known_grids(runs)
    grids = list(_readable(runs, known))
    if as_json:
        document("grids", grids=[grid._asdict() for grid in grids])
        return
    if not known:
        say(f"There are no grids in {runs}. Launch one with: {advise('launch grids/NAME.yaml')}")
        return
    now = time.time()
    rows = [(grid.grid, sum(grid.counts.values()), _words(grid.counts), _age(grid.recorded_at, now)) for grid in grids]
    table(["grid", "runs", "states", "last recorded"], rows)
    if any(set(grid.counts) & _MOVING for grid in grids):
        say(f"Runs may have moved on since; how they are now: {advise('status GRID')}")


class Recorded(NamedTuple):
    """A grid as its ledger has it."""

    grid: str
    counts: dict[str, int]
    recorded_at: float | None
    """When it was written to last; None before the first launch."""


def _readable(runs: Path, names: Iterable[str]) -> Iterator[Recorded]:
    """Yield each grid that can be read; one that is damaged is told, and does not hide the others."""
    for name in names:
        try:
            yield _recorded(runs, name)
        except (StoreError, OSError) as error:
            pass_over(name, error)


def _recorded(runs: Path, name: str) -> Recorded:
    opened = OpenGrid(GridPaths(runs / name))
    records = read_records(opened.paths)
    opened.check(records)
    counts = Counter(records.get(run_id).state.value for run_id in opened.manifests)
    at = max((records.looked_at, *(record.since for record in records.runs.values())))
    return Recorded(name, dict(counts), at or None)


def _age(at: float | None, now: float) -> str:
    return "" if at is None else f"{minutes(max(0.0, now - at) / 60)} ago"


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {word}" for word, count in counts.items())


def _print(picture: Overview, limit: int | None) -> None:
    for line in _head(picture):
        say(line)
    columns, rows, more = _listing(picture, limit, terminal_width())
    table(columns, rows, shrink=SHRINK)
    for line in (*more, *_tail(picture)):
        say(line)


def _head(picture: Overview) -> Iterator[str]:
    total = sum(picture.counts.values())
    yield f"{picture.grid}: {count(total, 'run')}{': ' if total else ''}{_words(picture.counts)}"
    eta = f", about {minutes(picture.eta_min)} left" if picture.eta_min is not None else ""
    yield f"{picture.spent.told} spent{eta}; {_watched(picture)}"


def _watched(picture: Overview) -> str:
    if not picture.looked_at:
        return f"nobody has watched yet ({advise(f'watch {picture.grid}')})"
    return f"last recorded {_age(picture.looked_at, time.time())}"


def _listing(picture: Overview, limit: int | None, width: int) -> tuple[list[str], list[list[object]], list[str]]:
    ranked = sorted(picture.lines, key=_rank)
    shown = ranked if limit is None else ranked[:limit]
    rows = [_row(line, line.label) for line in shown]
    if _is_cut(rows, width):
        names = short_names({key: None for line in shown for key in line.varying})
        rows = [_row(line, _short_label(line, names)) for line in shown]
    if _is_cut(rows, width):
        rows = [[*row[:-1], ""] for row in rows]  # values are worth more than the node
    more = [f"… and {len(ranked) - len(shown):,} more (--all lists them)"] if len(shown) < len(ranked) else []
    return COLUMNS, rows, more


def _is_cut(rows: list[list[object]], width: int) -> bool:
    """Say whether the labels have less room than they need."""
    shown, cells, _ = arrange(COLUMNS, rows, width, SHRINK)
    place = shown.index("run") if "run" in shown else None
    return place is not None and any(cells[row][place] != cell(rows[row][LABEL]) for row in range(len(rows)))


def _short_label(line: Line, names: Mapping[str, str]) -> str:
    return " ".join(f"{names[key]}={value}" for key, value in line.varying.items()) or line.label


def _rank(line: Line) -> int:
    return _ACTIVE_FIRST.index(line.state) if line.state in _ACTIVE_FIRST else len(_ACTIVE_FIRST)


def _row(line: Line, label: str) -> list[object]:
    state = f"{line.state} ({line.cause})" if line.cause and line.state != State.COMPLETED.value else line.state
    return [line.id[:8], state, line.attempt or "", line.step, line.objective, minutes(line.minutes), label, line.note, line.node]


def _tail(picture: Overview) -> Iterator[str]:
    if picture.pending:
        yield "waiting: " + ", ".join(f"{count:,} × {reason}" for reason, count in picture.pending.items())
    if picture.failures:
        yield _failed(picture)
    for failure in picture.failures[:FAILURES]:
        yield f"  {len(failure.runs):,} × {failure.cause}: {failure.message[:160]}   ({advise(f'logs {failure.runs[0][:8]}')})"
    if len(picture.failures) > FAILURES:
        yield f"  … and {count(len(picture.failures) - FAILURES, 'more message')}"
    if picture.orphans:
        yield f"{count(picture.orphans, 'run')} {'is' if picture.orphans == 1 else 'are'} no longer in the grid file."
    yield from picture.notes


def _failed(picture: Overview) -> str:
    """Return how many runs stand still, in which states, and how many different causes and messages they have."""
    ids = {run_id for failure in picture.failures for run_id in failure.runs}
    states = sorted({line.state for line in picture.lines if line.id in ids})
    causes = {failure.cause for failure in picture.failures}
    messages = f", {count(len(picture.failures), 'message')}" if len(picture.failures) > len(causes) else ""
    return f"{len(ids):,} {' or '.join(states)}, {count(len(causes), 'cause')}{messages}:"


def _watch(opened: OpenGrid, site: Site, selection: Selection, limit: int | None) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    room = max(5, (console.height if sys.stdout.isatty() else 40) - 14)
    with Live(console=console, refresh_per_second=4, screen=False) as live:
        while True:
            picture = take_picture(opened, site, selection)
            live.update(_renderable(picture, min(limit or room, room), console.width))
            if not set(picture.counts) & _MOVING:
                return
            time.sleep(max(REFRESH_S, site.profile.poll_s / 10))


def _renderable(picture: Overview, limit: int, width: int) -> Any:
    from rich.console import Group
    from rich.text import Text

    columns, rows, more = _listing(picture, limit, width)
    shown, cells, _ = arrange(columns, rows, width, SHRINK)
    return Group(*map(Text, _head(picture)), make_table(shown, cells), *map(Text, (*more, *_tail(picture))))
