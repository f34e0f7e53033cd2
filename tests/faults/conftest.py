"""A world per test: a grid on disk beside the model of Slurm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.world import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path / "my project's", monkeypatch)
