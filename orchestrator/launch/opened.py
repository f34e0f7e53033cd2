"""A grid as it lies on disk: its newest applied file, its manifests, and how it was launched last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.grid.manifest import Manifest, read_manifests
from orchestrator.grid.spec import Spec, read_spec
from orchestrator.store.errors import InputError, StoreError, did_you_mean
from orchestrator.store.files import read_whole
from orchestrator.store.layout import GridPaths, grid_paths
from orchestrator.store.records import Records


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """launch.json: how the grid was launched last; what watch and requeue use again."""

    profile: str
    cwd: str
    version: int = 0
    """The applied grid file, and with it the runs, that were launched; what was only expanded since is left alone."""
    code: str = ""
    provenance: dict[str, Any] = {}
    canaries: tuple[str, ...] = ()
    """Runs that go first; the others are held until these are through."""
    canary_step: int | None = None
    """A canary is through at this step; None: when it has completed."""
    janitor: bool = False
    """A job on the cluster watches the grid."""


@dataclass(frozen=True)
class OpenGrid:
    """A grid that has been applied at least once."""

    paths: GridPaths

    @cached_property
    def spec(self) -> Spec:
        """The applied grid file that was launched last; before the first launch the newest."""
        return read_spec(self.launched_file)

    @property
    def newest_file(self) -> Path:
        """The newest applied grid file, with base and csv files frozen in."""
        return self.paths.applied(self.paths.applied_versions()[-1])

    @property
    def launched_file(self) -> Path:
        """The applied grid file that was launched last, the newest before the first launch."""
        settings = self.settings
        return self.paths.applied(settings.version) if settings and settings.version else self.newest_file

    @cached_property
    def manifests(self) -> Mapping[str, Manifest]:
        """Run id → manifest, in the order in which the runs were added."""
        return read_manifests(self.paths.manifest)

    def check(self, records: Records) -> None:
        """Raise StoreError when the ledger knows runs that manifest.jsonl does not: they would be missing from every table."""
        lost = records.runs.keys() - self.manifests.keys()
        if lost:
            raise StoreError(
                f"{self.paths.manifest}: lacks {len(lost)} of {len(records.runs)} runs that the ledger knows, {min(lost)} among them. "
                "Restore it from a backup, or put it together again: each run's folder has its line in manifest.json."
            )

    def launched(self) -> Mapping[str, Manifest]:
        """Return the manifests of the runs that were launched, without those that were only expanded since."""
        settings = self.settings
        newest = settings.version or inf if settings else 0
        return {run_id: manifest for run_id, manifest in self.manifests.items() if manifest.version <= newest}

    @property
    def settings(self) -> Settings | None:
        """How it was launched; None when it was only expanded. Raises StoreError for a damaged file: it tells where the runs are."""
        try:
            return msgspec.json.decode(read_whole(self.paths.settings), type=Settings)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise StoreError(
                f"{self.paths.settings}: is damaged ({error}). Restore it from a backup, or remove it and launch again."
            ) from error


def place_of(spec: Spec, runs: Path) -> OpenGrid:
    """Return the grid that a grid file means; nothing need be there yet."""
    return OpenGrid(grid_paths(runs, spec.name, spec.variant))


def is_grid_file(grid: str) -> bool:
    """Say whether a GRID argument names a file rather than a folder under runs/."""
    return grid.endswith((".yaml", ".yml")) or "/" in grid


def find_grid(grid: str, runs: Path, *, variant: str | None = None) -> OpenGrid:
    """Return the grid on disk that a GRID argument means: the name of a folder under `runs`, or a grid file."""
    name = read_spec(Path(grid), variant=variant).name if is_grid_file(grid) else grid
    base, _, suffix = name.partition("@")
    paths = grid_paths(runs, base, variant or suffix or None)
    if paths.applied_versions():
        return OpenGrid(paths)
    known = known_grids(runs)
    hint = did_you_mean(paths.name, known) if known else f"There are none in {runs}."
    file = grid if is_grid_file(grid) else f"grids/{base}.yaml"
    raise InputError(f"{paths.dir}: no grid of this name was launched. {hint} Launch it with: mrsweep launch {file}")


def known_grids(runs: Path) -> list[str]:
    """Return the names of all grids below a runs folder."""
    if not runs.is_dir():
        return []
    return sorted(folder.name for folder in runs.iterdir() if _holds_manifest(folder))


def _holds_manifest(folder: Path) -> bool:
    """Say whether a folder is a grid's; one that may not be looked into counts, and whoever reads it says so."""
    try:
        return (folder / "manifest.jsonl").exists()
    except PermissionError:
        return True
