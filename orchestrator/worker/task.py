"""What a child process is told of the run that it computes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.grid.manifest import Manifest
from orchestrator.store.layout import AttemptPaths, GridPaths, RunPaths
from orchestrator.worker.submission import Submission


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one run; as JSON it reaches a fresh interpreter."""

    manifest: Manifest
    submission: Submission
    attempt: int
    restart: int = 0
    resume: str = ""
    """Folder name of the attempt whose checkpoint is continued, empty for a start from nothing."""
    overrides: dict[str, Any] = {}
    """Dotted runtime keys that this attempt sets."""
    threads: int = 1
    environ: dict[str, str] = {}
    """The environment that the worker was started with; a fresh interpreter has inherited it, and gets none here."""
    parent: int
    """Process id of the worker."""

    @property
    def run(self) -> RunPaths:
        return GridPaths(Path(self.submission.grid_dir)).run(self.manifest.id)

    @property
    def paths(self) -> AttemptPaths:
        return self.run.attempt(self.attempt, self.restart)

    @property
    def config(self) -> dict[str, Any]:
        """The manifest's config with this attempt's overrides."""
        return with_overrides(self.manifest.config, self.overrides)

    @property
    def roots(self) -> list[Path]:
        """Folders in which the run's code is looked for first: the snapshot, or the project itself, and its src."""
        project = Path(self.submission.code or self.submission.cwd)
        return [project, project / "src"] if (project / "src").is_dir() else [project]


def with_overrides(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of `config` with dotted keys set: {"train.micro_batch": 2} sets config["train"]["micro_batch"]."""
    result = copy.deepcopy(dict(config))
    for dotted, value in overrides.items():
        *parents, key = dotted.split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = value
    return result
