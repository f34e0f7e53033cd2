"""The smoke variants of the shipped studies on the real cluster, against the same on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.grids.shipped import KNEES, ROOT, SMOKE_RUNS
from tests.slurm.cluster import Cluster
from tests.slurm.project import Project

ORIGIN = {"id", "commit", "seconds", "runtime_s", "spent_s", "peak_mem_gb", "peak_gpu_gb", "node", "job_id"}
"""Columns of the summary that depend on where it was computed; the id of a run holds the checkpoint that it needs."""


@pytest.fixture
def places(slurm: Cluster, tmp_path: Path) -> Iterator[tuple[Project, Project]]:
    """A clone on the cluster, and one on this machine."""
    both = Project(tmp_path / "it's my project", slurm), Project(tmp_path / "at home", slurm, profile="local")
    for place in both:
        for name in ("models", "data", "grids"):
            shutil.copytree(ROOT / name, place.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    yield both
    for place in both:
        place.clear()


def compute(place: Project, study: str) -> None:
    """Launch the smoke variant of a study."""
    place.name = f"{study}@smoke"
    place.document("launch", f"grids/{study}.yaml", "--variant", "smoke", "--profile", place.profile, "--set", "train.threads=1", "--yes")


def rows(place: Project) -> list[dict[str, Any]]:
    """Return the rows of the summary without what depends on the machine."""
    return [{key: value for key, value in row.items() if key not in ORIGIN} for row in place.document("summary", place.name)["rows"]]


@pytest.mark.slow
@pytest.mark.parametrize("studies", [KNEES, ("cine_unets",)], ids=["knees", "cine"])
def test_studies_give_the_same_tables_on_the_cluster_and_here(places: tuple[Project, Project], studies: tuple[str, ...]) -> None:
    for study in studies:
        for place in places:
            compute(place, study)
        for place in places:
            place.watch_to_the_end(SMOKE_RUNS[study], within_s=400)
        on_cluster, at_home = (rows(place) for place in places)
        assert on_cluster == at_home
        assert len({row["test/loss"] for row in on_cluster}) == SMOKE_RUNS[study]
        assert {row["test/degenerate"] for row in on_cluster} == {0}
