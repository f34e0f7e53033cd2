"""Networks learn: on volumes that they have not seen they are better than zero-filling, by a margin; what tasks gain is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from data.simulate.__main__ import main as simulate
from models.config import read_config
from models.losses import l1_loss
from models.training import train
from models.training.evaluate import AsGiven, evaluate
from models.training.feed import open_feed
from models.training.precision import Precision
from tests.models.local_run import LocalRun

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def knees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four volumes to train of one contrast, two of the other."""
    root = tmp_path_factory.mktemp("knees")
    asked = "--train 4,2 --val 1 --test 2 --size 48x40 --slices 4 --coils 3 --oversampling 1 --seed 1"
    assert simulate(["knee", "--out", str(root), *asked.split()]) == 0
    return root


def config(root: Path, datasets: list[str], model: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {
        "model": {"chans": 4, "pools": 2, **model},
        "data": {"layout": "knee", "root": str(root), "datasets": datasets, "crop": [48, 40]},
        "mask": {"kind": "equispaced_fraction", "acceleration": 4, "center_fraction": 0.1},
        "loss": {"kind": "complex_l1"},
        "optim": {"kind": "adam", "lr": 3e-3, "schedule": {"kind": "cosine", "epochs": 20}},
        "train": {"epochs": 20, "threads": 1, "num_workers": 0, "device": "cpu", "images_every": 0},
        **changed,
    }


def zero_filled(values: dict[str, Any]) -> dict[str, float]:
    feed = open_feed(read_config(values), CPU)
    found = evaluate(AsGiven(), feed.test, l1_loss, CPU, precision=Precision("float32", CPU), between=lambda: None)
    feed.close()
    return found.means("test")


def test_varnet_beats_zero_filling_on_unseen_volumes(knees, tmp_path):
    values = config(knees, ["div_coronal_pd"], {"kind": "stl_varnet", "cascades": 2})
    result = train(values, LocalRun(tmp_path))
    assert result["test/ssim"] > zero_filled(values)["test/ssim"] + 0.05


def test_tasks_trained_together_are_compared_with_one_alone(knees, tmp_path, record_property):
    """Whether a scarce contrast gains from a common network is a finding and no requirement; both have to learn."""
    scarce = "div_coronal_pd_fs"
    alone = config(knees, [scarce], {"kind": "stl_varnet", "cascades": 2})
    together = config(knees, ["div_coronal_pd", scarce], {"kind": "mtl_varnet", "blocks": "IV"}, weighting={"kind": "naive"})
    runs = {name: LocalRun(tmp_path / name) for name in ("alone", "together")}
    train(alone, runs["alone"])
    train(together, runs["together"])
    first, best = ({name: ssims(run, scarce, pick) for name, run in runs.items()} for pick in (first_of, max))
    told = f"best val/ssim of the scarce contrast: {best['alone']:.4f} alone, {best['together']:.4f} together"
    record_property("finding", told)
    print(told)
    assert all(best[name] > first[name] + 0.05 for name in runs)


def ssims(run: LocalRun, task: str, pick: Callable[[list[float]], float]) -> float:
    """Return one of the values of val/ssim of a task over the epochs."""
    return pick([report.get(f"val/ssim/{task}", report["val/ssim"]) for report in run.reports.values()])


def first_of(values: list[float]) -> float:
    return values[0]
