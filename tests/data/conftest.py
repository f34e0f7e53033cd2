"""Volumes shared by the tests of data."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.data.small_brains import make_brains


@pytest.fixture(scope="session")
def brains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set that no test changes."""
    return make_brains(tmp_path_factory.mktemp("brains"))


@pytest.fixture
def own_brains(brains: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage, in a folder with a space and a quote."""
    return Path(shutil.copytree(brains, tmp_path / "it's a copy"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what reads and writes volumes: too slow for every commit."""
    for item in items:
        if {Path(__file__).parent / room for room in ("convert", "simulate", "volumes")} & {*item.path.parents}:
            item.add_marker("network")
