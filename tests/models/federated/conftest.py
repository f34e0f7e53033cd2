"""Three small sites of different sizes, and a config that trains across them in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.data.volumes.written import write_sites

SIZES = {"B": (20, 17), "F": (17, 20), "H": (18, 18)}


def make_config(root: Path) -> dict[str, Any]:
    """Return a config in which B and F train in batches of 3 + 1, and H is the target; dropout, so that generators matter."""
    return {
        "model": {"kind": "unet", "chans": 2, "pools": 2, "drop_prob": 0.2},
        "data": {"layout": "sites", "root": str(root), "sites": ["B", "F", "H"], "contrast": "T1"},
        "mask": {"kind": "random", "acceleration": 3, "center_fraction": 0.1},
        "optim": {"kind": "adam", "lr": 3e-3, "schedule": {"kind": "step", "step_epochs": 1, "gamma": 0.5}},
        "train": {"epochs": 2, "batch": 3, "num_workers": 0, "threads": 1, "device": "cpu", "images_every": 0},
        "federated": {"method": "mrcm", "clients": ["B", "F"], "target": "H", "local_epochs": 2, "keep_optimiser": True},
        "seed": 7,
    }


@pytest.fixture(scope="session")
def shared_sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sites that no test changes, in a folder with a space and a quote: 4 training slices, 2 to validate and 2 to test at each."""
    return write_sites(tmp_path_factory.mktemp("it's sites"), SIZES)


@pytest.fixture
def config(shared_sites: Path) -> dict[str, Any]:
    """A config of its own for each test."""
    return make_config(shared_sites)
