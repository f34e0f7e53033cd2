"""The studies that come with the project, in a clone on the cluster or on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.grids.shipped import ROOT
from tests.slurm.cluster import Cluster
from tests.slurm.project import Project

ORIGIN = {"id", "commit", "seconds", "runtime_s", "spent_s", "peak_mem_gb", "peak_gpu_gb", "node", "job_id"}
"""Columns of the summary that depend on where it was computed; the id of a run holds the checkpoint that it needs."""


class Clone(Project):
    """A clone of which one study at a time is looked at."""

    def __init__(self, folder: Path, cluster: Cluster, *, profile: str = "slurm-test") -> None:
        super().__init__(folder, cluster, profile=profile)
        for name in ("models", "data", "grids"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))

    def compute(self, study: str, *arguments: str) -> None:
        """Launch the smoke variant of a study, a thread a run."""
        self.name = f"{study}@smoke"
        how = ("--variant", "smoke", "--profile", self.profile, "--set", "train.threads=1", "--yes")
        self.document("launch", f"grids/{study}.yaml", *how, *arguments)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the summary."""
        return self.document("summary", self.name)["rows"]

    def results(self) -> list[dict[str, Any]]:
        """Return the rows of the summary without what depends on the machine."""
        return [{key: value for key, value in row.items() if key not in ORIGIN} for row in self.rows()]
