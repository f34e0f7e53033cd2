"""mrsweep run: compute one configuration here, in the foreground."""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path

import click
import msgspec

from orchestrator.cli.configuration import Chosen, Wanted, choose, prepare
from orchestrator.cli.options import examples, json_option, runs_option, set_option, variant_option
from orchestrator.cli.show import document, say, waiting, warn
from orchestrator.grid.objective import Objective
from orchestrator.launch.commit import new_token
from orchestrator.metrics.lines import as_float
from orchestrator.store.errors import RunFailed
from orchestrator.store.events import Ended
from orchestrator.store.layout import GridPaths
from orchestrator.store.states import State
from orchestrator.tables.notes import told_extreme
from orchestrator.worker.foreground import foreground
from orchestrator.worker.submission import Submission

FOREGROUND = "foreground"
"""Folder below runs/ for runs that belong to no grid; it has no manifest.jsonl, so no verb takes it for one."""

_EXAMPLES = examples(
    """
mrsweep run grids/quickstart.yaml --variant smoke                    the first point of a grid file
mrsweep run grids/quickstart.yaml --variant smoke --set optim.lr=1e-2 --set seed=7
mrsweep run 2eb9 --runs demo/runs --grid quickstart@smoke            a run of a grid, again, with today's code
"""
)


@click.command("run", epilog=_EXAMPLES)
@click.argument("target", metavar="RUN|MANIFEST|GRID.yaml|ENTRY")
@runs_option
@click.option("--grid", help="Grid of the run, where several hold its id.")
@variant_option
@set_option
@json_option
def command(target: str, *, runs: Path, grid: str | None, variant: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Compute a run by its id, a manifest.json, the first point of a grid file, or a function module:name, with its output on the terminal.

    The files go to runs/foreground/, beside the grids; no grid is changed by it. An ENTRY gets the keys of --set and nothing else.
    """
    project = Path.cwd()
    environ = dict(os.environ)
    chosen = choose(Wanted(target, runs, grid, variant, overrides), project)
    paths = GridPaths(runs / FOREGROUND)
    with waiting("preparing data"):
        prepare(chosen, paths, project, environ)
    ended = foreground(chosen.manifest, _submission(chosen, paths, project), write=_write_nothing if as_json else _write, environ=environ)
    folder = paths.run(chosen.manifest.id).attempt(ended.attempt, ended.restart).dir
    if as_json:
        document("run", run=chosen.manifest.id, folder=str(folder), ended=msgspec.to_builtins(ended))
    _tell(ended, folder, chosen.spec.objective if chosen.spec is not None else None, as_json=as_json)


def _submission(chosen: Chosen, paths: GridPaths, project: Path) -> Submission:
    bare = Submission(
        token=new_token(FOREGROUND, time.time()), grid_dir=str(paths.dir.absolute()), cwd=str(project), resources=chosen.manifest.resources
    )
    spec = chosen.spec
    if spec is None:
        return bare
    return msgspec.structs.replace(bare, objective=spec.objective, signal=spec.signal, keep_env=spec.keep_env)


def _write(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _write_nothing(content: bytes) -> None:
    """With --json the output stays in log.txt."""


def _tell(ended: Ended, folder: Path, objective: Objective | None, *, as_json: bool) -> None:
    if ended.state is not State.COMPLETED:
        cause = f" ({ended.cause.value})" if ended.cause else ""
        raise RunFailed(f"the run ended as {ended.state.value}{cause}: {_sentence(ended.message)} See {folder / 'log.txt'}")
    if as_json:
        return
    for name, value in ended.metrics.items():
        say(f"{name} = {value}")
    if objective is not None:
        say(_told(objective, ended))
    warn(f"completed in {ended.runtime_s:.1f} s; files in {folder}")


def _told(objective: Objective, ended: Ended) -> str:
    """Return the objective of the run and the step at which it was best: what a table of the grid would show."""
    if ended.best is None:
        return f"{objective.name}, the objective: not reported, or no number"
    at = f" at step {ended.best_step}" if ended.best_step is not None else ""
    last = as_float(ended.last)
    broken = f"; {last} at its end" if last is not None and not math.isfinite(last) else ""
    return f"{objective.name}, the objective: {told_extreme(objective)} {ended.best}{at}{broken}"


def _sentence(text: str) -> str:
    text = text.strip() or "it left no word"
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
