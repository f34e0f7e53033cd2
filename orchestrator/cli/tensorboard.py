"""mrsweep tensorboard: a folder for TensorBoard with readable names, and TensorBoard on it."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from orchestrator.boards.build import Boards, build_boards
from orchestrator.boards.serve import choose_port, is_free, serving, view_of
from orchestrator.cli.options import Target, examples, json_option, on_grid, open_grid, selecting
from orchestrator.cli.show import document, say, waiting, warn
from orchestrator.launch.opened import OpenGrid
from orchestrator.results.counting import count
from orchestrator.results.select import Selection, check_where, select
from orchestrator.store.errors import MrsweepError, SelectionError
from orchestrator.watchdog.look import Site, look, site_of

REFRESH_S = 30.0
"""How often the folder is brought up to date while TensorBoard shows it."""

_EXAMPLES = examples(
    """
mrsweep tensorboard quickstart
mrsweep tensorboard quickstart --where 'mask.acceleration=8' --port 6010
mrsweep tensorboard quickstart --no-start && tensorboard --logdir runs/quickstart/tensorboard
"""
)


@click.command("tensorboard", epilog=_EXAMPLES)
@on_grid
@selecting
@click.option("--port", type=click.IntRange(1024, 65535), help="Port on this machine; else the first free one from 6006.")
@click.option("--no-start", is_flag=True, help="Only bring the folder up to date; it holds all runs.")
@json_option
def command(*, target: Target, selection: Selection, port: int | None, no_start: bool, as_json: bool) -> None:
    """Bring runs/GRID/tensorboard up to date, a folder a run, and show it with TensorBoard until Ctrl-C."""
    if no_start and (port is not None or selection != Selection()):
        raise click.UsageError("--no-start makes the folder with all runs. Leave out --port and what selects runs.")
    opened = open_grid(target.grid, target.runs, variant=target.variant)
    site = site_of(opened, target.profile, reading=True)
    with waiting("reading what the runs reported"):
        boards, chosen = _build(opened, site, selection)
    if no_start:
        _tell(boards, "", as_json=as_json)
        return
    _serve(opened, site, boards, chosen, port=choose_port(port, is_free), as_json=as_json)


def _build(opened: OpenGrid, site: Site, selection: Selection) -> tuple[Boards, list[str]]:
    """Return the folder, and the names of the runs to show."""
    records = look(opened, site).records
    check_where(opened.manifests, selection.where)
    ids = [manifest.id for manifest, _ in select(opened.manifests, records, selection)]
    if not ids and opened.manifests:
        told = f"the options select none of {count(len(opened.manifests), 'run')}"
        raise SelectionError(f"{opened.paths.name}: {told}. List them with: mrsweep status {opened.paths.name}")
    boards = build_boards(opened.paths, [(manifest, records.get(run_id)) for run_id, manifest in opened.manifests.items()])
    return boards, [boards.names[run_id] for run_id in ids if run_id in boards.names]


def _serve(opened: OpenGrid, site: Site, boards: Boards, chosen: list[str], *, port: int, as_json: bool) -> None:
    if not chosen:
        raise SelectionError(f"{opened.paths.name}: none of the chosen runs has been started; there is nothing to show yet.")
    for told in (signal.SIGTERM, signal.SIGHUP):  # it ends as by Ctrl-C, and TensorBoard with it
        signal.signal(told, signal.default_int_handler)
    with _shown(boards, chosen) as folder, serving(folder, port, opened.paths.name) as process:
        _tell(boards, f"http://localhost:{port}/", as_json=as_json, shown=len(chosen))
        try:
            while process.poll() is None:
                _wait(process)
                _refresh(opened, site)
        except KeyboardInterrupt:
            return
    raise MrsweepError("TensorBoard has ended by itself. Start it again.")


@contextmanager
def _shown(boards: Boards, chosen: list[str]) -> Iterator[Path]:
    """Yield the folder to show: the whole one, or one with the chosen runs only."""
    if len(chosen) == len(boards.names):
        yield boards.dir
        return
    with view_of(boards.dir, chosen) as folder:
        yield folder


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(REFRESH_S)
    except subprocess.TimeoutExpired:
        return


def _refresh(opened: OpenGrid, site: Site) -> None:
    """Take in what runs have reported since; what goes wrong is told, and tried again."""
    try:
        _build(OpenGrid(opened.paths), site, Selection())
    except (MrsweepError, OSError) as error:
        warn(str(error))


def _tell(boards: Boards, url: str, *, as_json: bool, shown: int = 0) -> None:
    if as_json:
        numbers = {"made": boards.made, "removed": boards.removed, "notes": boards.notes}
        document("tensorboard", folder=boards.dir, runs=boards.names, url=url or None, **numbers)
        return
    for note in boards.notes:
        say(f"{note}.")
    say(f"{boards.dir}: {count(len(boards.names), 'run')}, {boards.made} brought up to date, {boards.removed} removed.")
    if not url:
        say(f"Look at it with: tensorboard --logdir {boards.dir}")
        return
    port = url.rstrip("/").rpartition(":")[2]
    say(f"{count(shown, 'run')} shown at {url} (Ctrl-C ends it; whoever is on this machine can look too)")
    say(f"From elsewhere: ssh -L {port}:localhost:{port} {socket.gethostname()}   and then {url} there")
