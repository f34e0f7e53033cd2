"""The real Slurm cluster as a fixture: one for all tests and all xdist workers, gone after the last of them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.cluster_process import SLURM_PREFIXES, ClusterDown
from tests.slurm.project import Project

FIXTURES = {"slurm", "slurm_alone"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses the cluster, so that `-m "not slurm"` runs without one."""
    for item in items:
        if FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """The cluster, shared with other tests: use names of your own, and no fault that others would feel.

    SLURM_CONF is set for this process and what it starts, and nothing else of Slurm's variables.
    """
    cluster = Cluster()
    try:
        with _turn(cluster, alone=False):  # not in the middle of another worker's fault
            cluster.join()
    except ClusterDown as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the Slurm test cluster is missing: {error}", pytrace=False)
        pytest.skip(f"no Slurm test cluster: {error}")
    with pytest.MonkeyPatch.context() as patch:
        for key in [key for key in os.environ if key.startswith(SLURM_PREFIXES)]:
            patch.delenv(key)
        patch.setenv("SLURM_CONF", str(cluster.conf))
        try:
            yield cluster
        finally:
            cluster.leave()


@pytest.fixture
def slurm_alone(slurm: Cluster) -> Iterator[Cluster]:
    """The cluster for this test alone, with every node idle: faults are allowed, and are mended afterwards."""
    slurm.reset()
    yield slurm
    slurm.reset()


@pytest.fixture(params=[1, 6], ids=["one run a task", "six a task"])
def packed(request: pytest.FixtureRequest, slurm: Cluster, tmp_path: Path) -> Iterator[Project]:
    """A project whose tasks compute one run each; then one whose tasks compute six, two side by side."""
    project = Project(tmp_path / "a project", slurm, per_task=request.param)
    yield project
    project.clear()


@pytest.fixture
def both(slurm: Cluster, tmp_path: Path) -> Iterator[tuple[Project, Project]]:
    """Two such projects for one test, which lets them wait for Slurm side by side."""
    projects = Project(tmp_path / "one", slurm), Project(tmp_path / "six", slurm, per_task=6)
    yield projects
    for project in projects:
        project.clear()


@pytest.fixture(autouse=True)
def _in_turn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let tests share the cluster, and let one that wants it alone wait for the others."""
    wanted = FIXTURES & set(request.fixturenames)
    if not wanted:
        yield
        return
    with _turn(request.getfixturevalue("slurm"), alone="slurm_alone" in wanted):
        yield


@contextlib.contextmanager
def _turn(cluster: Cluster, *, alone: bool) -> Iterator[None]:
    """Hold the cluster with others or alone. Who waits for it alone keeps the gate shut, so that no newcomer overtakes."""
    with open(f"{cluster.folder}.gate", "a") as gate, open(f"{cluster.folder}.use", "a") as use:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(use, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
