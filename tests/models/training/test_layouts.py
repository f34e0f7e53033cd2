"""Training from files to test metrics on every layout, each with a network that is made for it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from models.training import train
from tests.data.volumes.written import X, Y, write_arrays, write_cine, write_knees, write_pairs, write_sites
from tests.models.local_run import LocalRun

SMALL = {"chans": 2, "pools": 2}
POINTS = {"kind": "caipirinha", "acceleration": 4, "calibration": "square", "center_fraction": 0.2}
RANGE = {"accelerations": [2, 3], "center_fractions": [0.1, 0.2]}


def write_layout(layout: str, root: Path) -> dict[str, Any]:
    match layout:
        case "knee":
            write_knees(root, {"pd": 2, "fs": 1})
            return {"layout": layout, "root": str(root), "datasets": ["pd", "fs"], "crop": [24, 20], "sampling": "upsample"}
        case "sites":
            write_sites(root, {"B": (Y, X), "F": (25, 30)})
            return {"layout": layout, "root": str(root), "sites": ["B", "F"], "contrast": "T1"}
        case "cine":
            return {"layout": layout, "root": str(write_cine(root))}
        case "arrays":
            return {"layout": layout, "root": str(write_arrays(root))}
        case _:
            return {"layout": layout, "root": str(write_pairs(root))}


CASES = {
    "knees of one task with points": ("knee", {"kind": "stl_varnet", "cascades": 2}, {"mask": POINTS}),
    "knees of two tasks": ("knee", {"kind": "mtl_varnet", "blocks": "IV", "tasks": 2}, {"train_mask": RANGE}),
    "sites": ("sites", {"kind": "unet"}, {}),
    "cine": ("cine", {"kind": "unet3d"}, {}),
    "arrays": ("arrays", {"kind": "unet"}, {"mask": POINTS}),
    "pairs": ("paired", {"kind": "e2e_varnet", "cascades": 1, "sens_chans": 2, "sens_pools": 2}, {}),
}


def config_of(name: str, root: Path) -> dict[str, Any]:
    layout, model, sections = CASES[name]
    loop = {"epochs": 2, "batch": 2, "num_workers": 0, "threads": 1, "device": "cpu", "images_every": 1}
    optim = {"kind": "adam", "lr": 1e-3}
    return {"model": {**SMALL, **model}, "data": write_layout(layout, root), "optim": optim, "train": loop, **sections}


@pytest.mark.parametrize("name", CASES)
def test_a_run_trains_validates_and_tests(tmp_path, name):
    run = LocalRun(tmp_path / "run")
    result = train(config_of(name, tmp_path / "data"), run)
    assert list(run.reports) == [1, 2]
    assert run.reports[2]["train/loss"] != run.reports[1]["train/loss"]
    assert result["test/n"] >= 1
    assert all(math.isfinite(value) for value in result.values())


@pytest.mark.parametrize("polls", [1, 9])
def test_a_run_on_two_tasks_resumes_in_the_middle_of_an_epoch_as_if_it_had_not_stopped(tmp_path, polls):
    config = config_of("knees of two tasks", tmp_path / "data")
    config["data"]["flips"] = True
    whole = LocalRun(tmp_path / "whole")
    expected = train(config, whole)
    first = LocalRun(tmp_path / "first", polls=polls)  # an epoch asks 8 times: after 4 batches and after 4 slices
    with pytest.raises(LocalRun.Interrupted):
        train(config, first)
    second = LocalRun(tmp_path / "second", resume_from=first.checkpoint_dir)
    assert train(config, second) == expected
    assert {**first.reports, **second.reports} == whole.reports
    assert f"after {polls % 8 + 1} batches" in "".join(second.logged)
