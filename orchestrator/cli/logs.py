"""mrsweep logs: print the output of a run."""

from __future__ import annotations

import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import click

from orchestrator.cli.options import examples, json_option, runs_option
from orchestrator.cli.show import advise, document, pass_over, plain, warn
from orchestrator.grid.manifest import Manifest
from orchestrator.launch.opened import OpenGrid, known_grids
from orchestrator.results.select import find_run
from orchestrator.store.errors import SelectionError, StoreError, did_you_mean
from orchestrator.store.files import read_json
from orchestrator.store.layout import GridPaths, PreparePaths, RunPaths, parse_attempt_name

TAIL_BYTES = 64 * 1024
POLL_S = 0.5

_EXAMPLES = examples(
    """
mrsweep logs 3fa9
mrsweep logs 3fa9 -f
mrsweep logs 3fa9 --grid quickstart --attempt 1 --lines 50
"""
)


@click.command("logs", epilog=_EXAMPLES)
@click.argument("run")
@runs_option
@click.option("--grid", help="Grid of the run, where several hold its id.")
@json_option
@click.option("--attempt", type=click.IntRange(min=1), help="An earlier attempt; the newest without it.")
@click.option("--lines", "-n", type=click.IntRange(min=1), help="Only the last lines.")
@click.option("--follow", "-f", is_flag=True, help="Go on until the attempt ends, or until Ctrl-C.")
def command(run: str, *, runs: Path, grid: str | None, as_json: bool, attempt: int | None, lines: int | None, follow: bool) -> None:
    """Print the output of a run: any unique beginning of its id. Without -n the last 64 KB.

    Of a run that waits for its prepare command, or whose prepare command failed, the output of that.
    """
    folder = find_run_folder(runs, run, grid)
    output = find_output(folder, attempt)
    content = tail(output.log, lines)
    if as_json:
        document("logs", run=folder.dir.name, attempt=output.attempt, file=str(output.log), text=content)
        return
    warn(f"{output.told}{output.log}")
    click.echo(plain(content), nl=False)
    if follow:
        for piece in follow_file(output.log, lambda: any(path.exists() for path in output.ends), time.sleep):
            click.echo(plain(piece), nl=False)


class Output(NamedTuple):
    """The log to print, and how its end is known."""

    log: Path
    ends: tuple[Path, ...]
    """Files, one of which is there when nothing is added any more."""
    attempt: str = ""
    """Empty for a prepare command."""
    told: str = ""
    """Whose output it is, where it is not simply the run's."""


def find_output(run: RunPaths, number: int | None) -> Output:
    """Return the output of attempt `number`, of the newest without it; before the first one that of the prepare command it waits for."""
    prepare = None if number else _unfinished_prepare(run)
    if prepare is not None and not _has_attempts(run):
        told = f"run {run.dir.name[:8]} has not started, for its prepare command has not ended well; the output of that: "
        return Output(prepare.log, (prepare.result, prepare.failed), told=told)
    folder = find_attempt(run, number)
    grid = GridPaths(run.dir.parents[1])
    told = f"in the trash (bring it back with: {advise(f'restore {grid.name}')}); its output: " if run.dir.parent == grid.trash else ""
    return Output(folder / "log.txt", (folder / "end.json",), folder.name, told)


def _unfinished_prepare(run: RunPaths) -> PreparePaths | None:
    manifest = read_json(run.manifest, Manifest)
    if manifest is None or not manifest.prepare:
        return None
    prepare = GridPaths(run.dir.parents[1]).prepare(manifest.prepare)
    return prepare if prepare.log.exists() and not prepare.result.exists() else None


def find_run_folder(runs: Path, prefix: str, grid: str | None = None) -> RunPaths:
    """Return the folder of the one run, in any grid or in `grid`, whose id begins with `prefix`.

    Where several grids hold the id, the one that has computed it is meant: a grid that adopted it has no attempts.
    A run that lies in the trash is meant where nowhere else has computed it.
    """
    known = known_grids(runs)
    if grid is not None and grid not in known:
        raise SelectionError(f"--grid {grid}: there is no such grid in {runs}. {did_you_mean(grid, known)}")
    opened = dict(_readable(runs, known)) if grid is None else {grid: OpenGrid(GridPaths(runs / grid))}
    holders = {name: [run_id for run_id in one.manifests if run_id.startswith(prefix.lower())] for name, one in opened.items()}
    union = {run_id: opened[name].manifests[run_id] for name, ids in holders.items() for run_id in ids}
    if not union:
        place = runs if grid is None else runs / grid
        raise SelectionError(f"'{prefix[:40]}' matches no run in {place}. List runs with: {advise('status GRID --all')}")
    run_id = find_run(union, prefix)
    places = {name: opened[name].paths.run(run_id) for name, ids in holders.items() if ids}
    trashed = {name: RunPaths(opened[name].paths.trash / run_id) for name in places}
    computed = _with_attempts(places) or _with_attempts(trashed)
    if len(computed) > 1:
        first = next(iter(computed))
        raise SelectionError(f"run {run_id[:8]} was computed in several grids: {', '.join(computed)}. Say which, as in: --grid {first}")
    return next(iter((computed or places).values()))


def _readable(runs: Path, names: Iterable[str]) -> Iterator[tuple[str, OpenGrid]]:
    """Yield each grid whose manifests can be read; one that is damaged is told, and does not hide the runs of the others."""
    for name in names:
        opened = OpenGrid(GridPaths(runs / name))
        try:
            opened.manifests  # noqa: B018 - read now, kept for later
        except (StoreError, OSError) as error:
            pass_over(name, error)
            continue
        yield name, opened


def _with_attempts(places: Mapping[str, RunPaths]) -> dict[str, RunPaths]:
    return {name: run for name, run in places.items() if _has_attempts(run)}


def _has_attempts(run: RunPaths) -> bool:
    return any(map(parse_attempt_name, _names(run.dir)))


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def find_attempt(run: RunPaths, number: int | None) -> Path:
    """Return the folder of attempt `number`, of the newest without it."""
    parsed = ((parse_attempt_name(name), name) for name in _names(run.dir))
    known = sorted((key, name) for key, name in parsed if key is not None)
    chosen = [(key, name) for key, name in known if number is None or key[0] == number]
    if chosen:
        return run.dir / chosen[-1][1]
    if known:
        raise SelectionError(f"run {run.dir.name} has no attempt {number}; it has {', '.join(name for _, name in known)}.")
    grid = run.dir.parents[1].name
    raise SelectionError(f"run {run.dir.name} has not started in {grid}; there is no output. See why with: {advise(f'status {grid}')}")


def tail(log: Path, lines: int | None) -> str:
    """Return the end of a log: its last `lines`, in any case at most 64 KB."""
    if not log.exists():
        return ""
    with open(log, "rb") as stream:
        stream.seek(max(0, log.stat().st_size - TAIL_BYTES))
        text = stream.read(TAIL_BYTES).decode(errors="replace")
    return text if lines is None else "".join(text.splitlines(keepends=True)[-lines:])


def follow_file(log: Path, is_over: Callable[[], bool], sleep: Callable[[float], None]) -> Iterator[str]:
    """Yield what is added to a log, piece by piece, until it is over and read to its end."""
    position = log.stat().st_size if log.exists() else 0
    decoder = getincrementaldecoder("utf-8")(errors="replace")  # a piece may end within a character
    while True:
        over = is_over()
        with open(log, "rb") as stream:
            stream.seek(position)
            piece = stream.read(TAIL_BYTES)
        position += len(piece)
        if piece:
            yield decoder.decode(piece)
        elif over:
            return
        else:
            sleep(POLL_S)
