"""Bring a grid file to disk: today's runs against the kept ones, then grid-<n>.yaml, manifest.jsonl and the run folders."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from orchestrator.grid.build import PrepareCommand, Waiting, build_manifests, changed_defaults
from orchestrator.grid.entry import find_entry
from orchestrator.grid.freeze import frozen_text
from orchestrator.grid.manifest import Manifest, read_manifests
from orchestrator.grid.schema import Schema, load_schema
from orchestrator.grid.spec import Spec, read_spec
from orchestrator.launch.adopt import NeedResolver
from orchestrator.launch.plan import Sorted, sort_runs
from orchestrator.store.errors import LaunchConflict, told_at
from orchestrator.store.events import Applied
from orchestrator.store.files import Journal, make_dir, write_atomic, write_plain
from orchestrator.store.layout import GridPaths, grid_paths
from orchestrator.store.ledger import Pen, read_records
from orchestrator.store.records import Records
from orchestrator.worker.prepared import PrepareTask


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a grid file asks for today, held against what is on disk; nothing is written."""

    paths: GridPaths
    spec: Spec
    text: str
    """The frozen text that becomes grid-<version>.yaml."""
    version: int
    is_new_version: bool
    today: tuple[Manifest, ...]
    waiting: tuple[Waiting, ...]
    collapsed: int
    prepares: dict[str, PrepareCommand]
    """Hash → command."""
    notes: tuple[str, ...]
    """What is worth knowing before the launch."""
    accept_defaults: bool
    """Runs of the same id that were started with other defaults are kept."""
    kept: Mapping[str, Manifest]
    records: Records
    runs: Sorted


def make_draft(spec: Spec, runs: Path, *, project: Path, accept_defaults: bool = False) -> Draft:
    """Expand a grid file and read everything it depends on; raises an InputError for whatever cannot be launched.

    `project` is the folder whose modules entry and schema are resolved in.
    """
    search = [str(project), str(project / "src")]
    schema, notes = _find_schema(spec, search), _find_entry(spec, search, project)
    paths = grid_paths(runs, spec.name, spec.variant)
    kept = read_manifests(paths.manifest)
    text = frozen_text(spec)
    version, is_new = next_version(paths, text)
    building = build_manifests(spec, schema=schema, version=version, resolve_need=NeedResolver(runs, kept.values()))
    built = list(building)
    today = tuple(item for item in built if isinstance(item, Manifest))
    records = read_records(paths)
    draft = Draft(
        paths=paths,
        spec=spec,
        text=text,
        version=version,
        is_new_version=is_new,
        today=today,
        waiting=tuple(item for item in built if isinstance(item, Waiting)),
        collapsed=building.collapsed,
        prepares=building.prepares,
        notes=notes,
        accept_defaults=accept_defaults,
        kept=kept,
        records=records,
        runs=sort_runs(today, kept, records),
    )
    _refuse_changed_defaults(draft)
    return draft


def renew(draft: Draft, kept: Mapping[str, Manifest], records: Records, held: Collection[str] = ()) -> Draft:
    """Return the draft held against manifests and records of a later moment; `held` as in sort_runs.

    Another launch may have applied its own file meanwhile: ours then becomes a later version.
    """
    version, is_new = next_version(draft.paths, draft.text)
    today = tuple(_of_version(manifest, kept.get(manifest.id), version) for manifest in draft.today)
    runs = sort_runs(today, kept, records, held)
    renewed = msgspec.structs.replace(draft, version=version, is_new_version=is_new, today=today, kept=kept, records=records, runs=runs)
    _refuse_changed_defaults(renewed)
    return renewed


def _of_version(manifest: Manifest, kept: Manifest | None, version: int) -> Manifest:
    """Return the manifest with the version that first asked for the run."""
    first = kept.version if kept is not None else version
    return manifest if manifest.version == first else msgspec.structs.replace(manifest, version=first)


def _find_schema(spec: Spec, search: list[str]) -> Schema | None:
    if not spec.schema:
        return None
    with told_at(spec.place("schema")):
        return load_schema(spec.schema, search)


def _find_entry(spec: Spec, search: list[str], project: Path) -> tuple[str, ...]:
    """Return what is worth knowing about the entry; raise EntryError where it is not there."""
    if not spec.entry:
        return ()
    with told_at(spec.place("entry")):
        return _foreign_entry(spec.entry, find_entry(spec.entry, search), project)


def _foreign_entry(entry: str, file: Path, project: Path) -> tuple[str, ...]:
    if file.resolve().is_relative_to(project.resolve()):
        return ()
    return (f"entry {entry} is {file}, outside {project}: the code snapshot does not hold it",)


def next_version(paths: GridPaths, text: str) -> tuple[int, bool]:
    """Return the number of the applied file with this text, or the next number and True."""
    versions = paths.applied_versions()
    if versions and paths.applied(versions[-1]).read_text() == text:
        return versions[-1], False
    return (versions[-1] + 1 if versions else 1), True


def _meant_to_change(paths: GridPaths, spec: Spec) -> list[str]:
    """Return the runtime keys of today's file that were runtime keys when the kept runs were started."""
    versions = paths.applied_versions()
    before = read_spec(paths.applied(versions[-1])).runtime if versions else ()
    return [key for key in spec.runtime if key in before]


def _refuse_changed_defaults(draft: Draft) -> None:
    if draft.accept_defaults:
        return
    started = {run_id: manifest for run_id, manifest in draft.kept.items() if draft.records.get(run_id).attempt}
    changes = changed_defaults(started, draft.today, ignore=_meant_to_change(draft.paths, draft.spec))
    if not changes:
        return
    told = "; ".join(change.told for change in changes[:5])
    raise LaunchConflict(
        f"{draft.paths.manifest}: runs of the same id were started with other values: {told}. "
        "Keep them with --accept-defaults, or give the grid a new name."
    )


def write_draft(pen: Pen, draft: Draft) -> None:
    """Write the applied file, the new manifests and the run folders, in an order in which any cut-off can be taken up."""
    paths = draft.paths
    if draft.is_new_version:
        write_atomic(paths.applied(draft.version), draft.text.encode())
    changed = [manifest for manifest in draft.runs.to_compute if _is_changed(manifest, draft.kept.get(manifest.id))]
    encoded = {manifest.id: msgspec.json.encode(manifest) for manifest in changed}
    for run_id in encoded.keys() & draft.kept.keys():
        _forget_derived(paths, run_id)  # first: after a cut-off the truth counts, and not what was derived from an older line
    _append_manifests(paths, encoded.values())
    _write_run_folders(paths, draft.runs.to_compute, encoded)
    _write_prepares(paths, draft.prepares)
    if draft.is_new_version or draft.runs.new or draft.runs.orphans or draft.runs.revived:
        event = Applied(
            at=pen.clock(), version=draft.version, added=len(draft.runs.new), orphans=draft.runs.orphans, revived=draft.runs.revived
        )
        pen.write(event)


def _forget_derived(paths: GridPaths, run_id: str) -> None:
    paths.run(run_id).manifest.unlink(missing_ok=True)


def _is_changed(manifest: Manifest, kept: Manifest | None) -> bool:
    """Say whether a run is new, or what does not make its id has changed: resources, prepare, runtime keys."""
    return kept is None or _of_version(manifest, kept, kept.version) != kept


def _append_manifests(paths: GridPaths, manifests: Iterable[bytes]) -> None:
    """Append with one fsync; of an id the last line holds."""
    journal = Journal(paths.manifest)
    try:
        journal.append(*map(msgspec.Raw, manifests))
    finally:
        journal.close()


def _write_run_folders(paths: GridPaths, manifests: Iterable[Manifest], changed: Mapping[str, bytes]) -> None:
    """Write each run's derived manifest.json; one that is there and unchanged is left alone. `changed`: id → content."""
    for manifest in manifests:
        file = paths.run_manifest(manifest.id)
        if manifest.id in changed or not os.path.exists(file):
            make_dir(os.path.dirname(file))
            write_plain(file, changed.get(manifest.id) or msgspec.json.encode(manifest))


def _write_prepares(paths: GridPaths, prepares: Mapping[str, PrepareCommand]) -> None:
    """Write what each prepare command runs; where and with which code is added when it is submitted."""
    for digest, command in prepares.items():
        folder = paths.prepare(digest)
        if not folder.command.exists():
            make_dir(folder.dir)
            write_atomic(folder.command, msgspec.json.encode(PrepareTask(argv=command.argv, resources=command.resources)))
