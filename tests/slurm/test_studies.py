"""The smoke variants of the shipped studies on the real cluster, and the same on this machine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.grids.shipped import CHALLENGE, KNEES, MASKS, SEQUENTIAL, SMOKE_RUNS
from tests.slurm.cluster import Cluster
from tests.slurm.shipped_study import Clone

ONE_OF_EACH_PROJECT = ("stl_single", "mask_learned_digits", "cine_unets", "federated_sites", "snu_varnet")
SMALL_MASKS = tuple(name for name in MASKS if SMOKE_RUNS[name] < 100)
"""The other one has a test of its own: test_big_grid.py."""


@pytest.fixture
def on_cluster(slurm: Cluster, tmp_path: Path) -> Iterator[Clone]:
    clone = Clone(tmp_path / "it's my project", slurm)
    yield clone
    clone.clear()


@pytest.fixture
def at_home(slurm: Cluster, tmp_path: Path) -> Iterator[Clone]:
    clone = Clone(tmp_path / "at home", slurm, profile="local")
    yield clone
    clone.clear()


def test_one_study_of_each_project_completes(slurm: Cluster, tmp_path: Path) -> None:
    clones = {study: Clone(tmp_path / study, slurm) for study in ONE_OF_EACH_PROJECT}
    try:
        for study, clone in clones.items():
            clone.compute(study)
        for study, clone in clones.items():
            clone.watch_to_the_end(SMOKE_RUNS[study], within_s=400)
            assert_tested(clone, study)
    finally:
        for clone in clones.values():
            clone.clear()


@pytest.mark.slow
@pytest.mark.parametrize("studies", [KNEES, ("cine_unets",)], ids=["knees", "cine"])
def test_studies_give_the_same_tables_on_the_cluster_and_here(on_cluster: Clone, at_home: Clone, studies: tuple[str, ...]) -> None:
    for study in studies:
        for place in (on_cluster, at_home):
            place.compute(study)
        for place in (on_cluster, at_home):
            place.watch_to_the_end(SMOKE_RUNS[study], within_s=400)
        assert on_cluster.results() == at_home.results()
        assert_tested(on_cluster, study)


@pytest.mark.slow
@pytest.mark.parametrize("studies", [SMALL_MASKS, SEQUENTIAL, CHALLENGE, ("federated_sites",)], ids=lambda studies: studies[-1])
def test_studies_complete_on_the_cluster(on_cluster: Clone, studies: tuple[str, ...]) -> None:
    for study in studies:
        on_cluster.compute(study)
        on_cluster.watch_to_the_end(SMOKE_RUNS[study], within_s=400)
        assert_tested(on_cluster, study)


def assert_tested(clone: Clone, study: str) -> None:
    """Every run of a study tested its own network, on images that are no constants."""
    rows = clone.rows()
    losses = [row.get("test/loss", row.get("test/auc_nmse")) for row in rows]
    assert len(set(losses)) == SMOKE_RUNS[study]
    assert all(math.isfinite(loss) for loss in losses)
    assert {row.get("test/degenerate", 0) for row in rows} == {0}
