"""Which configuration `mrsweep run` computes: a run of a grid, a manifest file, the first point of a grid file, or a bare function."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from orchestrator.cli.logs import find_run_folder
from orchestrator.grid.build import Waiting, build_manifests
from orchestrator.grid.dotted import flatten, nest
from orchestrator.grid.entry import find_entry
from orchestrator.grid.identity import run_id
from orchestrator.grid.loading import load_text, plain
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.refusal import ConfigRefused
from orchestrator.grid.schema import Schema, load_schema
from orchestrator.grid.spec import Spec, read_spec
from orchestrator.launch.adopt import NeedResolver
from orchestrator.launch.opened import OpenGrid
from orchestrator.store.errors import InputError, RunFailed, told_at
from orchestrator.store.files import make_dir, read_json, write_atomic
from orchestrator.store.layout import GridPaths, grid_paths
from orchestrator.worker.prepare import ensure
from orchestrator.worker.prepared import PrepareTask, is_done


class Wanted(NamedTuple):
    """What the command line named."""

    target: str
    runs: Path
    grid: str | None
    variant: str | None
    overrides: tuple[str, ...]


class Chosen(NamedTuple):
    """One configuration, the grid file that it comes from, and the command that makes its data where that is still to be run."""

    manifest: Manifest
    spec: Spec | None = None
    prepare: PrepareTask | None = None


def choose(wanted: Wanted, project: Path) -> Chosen:
    """Return the configuration that is meant, with its overrides; raises an InputError for one that cannot be computed."""
    search = (str(project), str(project / "src"))
    if wanted.target.endswith((".yaml", ".yml")):
        return _first_point(wanted, search)
    if ":" in wanted.target and "/" not in wanted.target:
        find_entry(wanted.target, search)
        bare = Manifest(id=run_id(wanted.target, {}, schema=None, runtime=()), version=0, entry=wanted.target, config={})
        return _with(Chosen(bare), wanted.overrides, search)
    if wanted.target.endswith(".json"):
        return _with(_of_grid(Path(wanted.target)), wanted.overrides, search)
    return _with(_of_grid(find_run_folder(wanted.runs, wanted.target, wanted.grid).manifest), wanted.overrides, search)


def _first_point(wanted: Wanted, search: tuple[str, ...]) -> Chosen:
    spec = read_spec(Path(wanted.target), variant=wanted.variant, overrides=wanted.overrides)
    if spec.entry:
        with told_at(spec.place("entry")):
            find_entry(spec.entry, search)
    building = build_manifests(spec, schema=_schema(spec, search), version=0, resolve_need=NeedResolver(wanted.runs))
    first = next(iter(building))
    if isinstance(first, Waiting):
        grids = ", ".join(sorted({query.grid for query in first.missing.values()}))
        raise InputError(f"{wanted.target}: its first point needs results of {grids}, which are not there. Compute them first.")
    command = building.prepares.get(first.prepare)
    done = is_done(grid_paths(wanted.runs, spec.name, spec.variant).prepare(first.prepare))
    task = PrepareTask(argv=command.argv, resources=command.resources) if command is not None and not done else None
    return Chosen(first, spec, task)


def _of_grid(path: Path) -> Chosen:
    """Return the run of a manifest.json, with what its grid folder knows of it."""
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}. Name a run id, a manifest.json, a grid file (grids/NAME.yaml), or module:function."
        ) from error
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: is not a manifest ({error}).") from error
    paths = GridPaths(path.absolute().parents[2]) if len(path.absolute().parents) > 2 else None
    if paths is None or not paths.applied_versions():
        return Chosen(manifest)
    folder = paths.prepare(manifest.prepare)
    task = None if not manifest.prepare or is_done(folder) else read_json(folder.command, PrepareTask)
    return Chosen(manifest, OpenGrid(paths).spec, task)


def _schema(spec: Spec | None, search: tuple[str, ...]) -> Schema | None:
    if spec is None or not spec.schema:
        return None
    with told_at(spec.place("schema")):
        return load_schema(spec.schema, search)


def _with(chosen: Chosen, overrides: tuple[str, ...], search: tuple[str, ...]) -> Chosen:
    """Return the configuration with keys changed, under the id that the change gives it."""
    manifest = chosen.manifest
    if not overrides:
        return chosen
    if manifest.command:
        raise InputError("--set: the command line of this run is fixed. Change the grid file, or run the command by hand.")
    schema = _schema(chosen.spec, search)
    runtime = chosen.spec.runtime if chosen.spec is not None else ()
    config = nest({**flatten(manifest.config), **dict(map(_read_override, overrides))})
    try:
        complete = schema.complete(config) if schema is not None else config
    except ConfigRefused as error:
        raise InputError(f"--set {' --set '.join(overrides)[:120]}: {error}") from error
    changed = run_id(manifest.entry, complete, schema=schema, runtime=runtime, needs=manifest.needs)
    return chosen._replace(manifest=msgspec.structs.replace(manifest, config=complete, id=changed))


def _read_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"--set {text}: an override is a key and a value. Write --set train.epochs=2.")
    return key, plain(load_text(value, f"--set {key}", first_line=None))


def prepare(chosen: Chosen, paths: GridPaths, project: Path, environ: Mapping[str, str]) -> None:
    """Run the command that makes the data of the run, unless it was done. Raises RunFailed with its last line."""
    if chosen.prepare is None:
        return
    folder = paths.prepare(chosen.manifest.prepare)
    make_dir(folder.dir)
    write_atomic(folder.command, msgspec.json.encode(msgspec.structs.replace(chosen.prepare, cwd=str(project), code="")))
    result = ensure(folder, dict(environ))
    if result.exit_code:
        last = (result.log.strip().splitlines() or ["it printed nothing"])[-1]
        raise RunFailed(f"prepare: {shlex.join(chosen.prepare.argv)} ended with code {result.exit_code}: {last[:200]} (log: {folder.log})")
