"""A data set and a config that train in a second."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.data.small_brains import make_brains

QUICK = (
    "test_config",
    "test_model_config",
    "test_build",
    "test_quality",
    "test_losses",
    "test_weighting",
    "test_schedule",
    "test_optimiser",
    "test_progress",
    "test_scores",
    "test_docs",
    "test_plan",
)
"""Modules that compute next to nothing."""


@pytest.fixture(scope="session")
def brains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set that no test changes, in a folder with a space and a quote."""
    return make_brains(tmp_path_factory.mktemp("it's data"))


@pytest.fixture
def config(brains: Path) -> dict[str, Any]:
    """A config of its own for each test: 9 slices in batches of 4 + 4 + 1, dropout, so that generators matter."""
    return copy.deepcopy(
        {
            "model": {"kind": "unet", "chans": 2, "pools": 2, "drop_prob": 0.2},
            "data": {"layout": "fastmri", "root": str(brains)},
            "mask": {"kind": "random", "acceleration": 3, "center_fraction": 0.1},
            "optim": {"kind": "adam", "lr": 3e-3, "schedule": {"kind": "step", "step_epochs": 2, "gamma": 0.5}},
            "train": {"epochs": 4, "batch": 4, "num_workers": 0, "threads": 1, "device": "cpu", "images_every": 3},
            "seed": 7,
        }
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what computes with networks: too slow for every commit."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.path.stem not in QUICK:
            item.add_marker("network")
