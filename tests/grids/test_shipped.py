"""Every grid file that comes with the project means what it says: its runs, their settings, their ids, what they need."""

from __future__ import annotations

import shlex
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from models.config import read_config
from tests.grids.shipped import (
    EXAMPLES,
    FILES,
    ROOT,
    SMOKE_RUNS,
    STUDIES,
    claimed_runs,
    matching,
    points_of,
    runs_of,
    shipped_runs,
    spec_of,
    value,
)

VARIANTS = (None, "smoke")
ALL = [(path, variant) for path in [*FILES, *EXAMPLES] for variant in VARIANTS]
KNEES_IN_FULL = {
    "data.layout": "knee",
    "data.datasets": ["div_coronal_pd_fs", "div_coronal_pd"],
    "data.scarce": "div_coronal_pd_fs",
    "data.crop": [360, 320],
    "data.skip_slices": 1,
    "data.sampling": "none",
    "mask.kind": "equispaced_fraction",
    "mask.acceleration": 6,
    "mask.center_fraction": 0.06,
    "test_mask.kind": "equispaced_fraction",
    "test_mask.acceleration": 6,
    "test_mask.center_fraction": 0.07,
    "train_mask.accelerations": [5, 6, 7],
    "train_mask.center_fractions": [0.05, 0.06, 0.07],
    "model.chans": 18,
    "model.pools": 4,
    "loss.kind": "complex_l1",
    "optim.kind": "adam",
    "optim.lr": 2e-4,
    "optim.schedule": {"kind": "step", "step_epochs": 200, "gamma": 0.5},
    "train.epochs": 120,
    "train.batch": 1,
}
ON_ONE = {"data.datasets": ["div_coronal_pd_fs"]}
IN_FULL = {
    "stl_joint": KNEES_IN_FULL | {"model.kind": "stl_varnet", "model.cascades": 12},
    "stl_single": KNEES_IN_FULL | ON_ONE | {"model.cascades": 12},
    "stl_transfer": KNEES_IN_FULL | ON_ONE | {"model.cascades": 12, "optim.lr": 5e-4, "train.init_from": "weights"},
    "mtl_knee": KNEES_IN_FULL | {"model.kind": "mtl_varnet", "model.tasks": 2, "model.share_etas": True, "weighting.temperature": 2.0},
    "mtl_evaluate": {"task": "predict", "test_mask.acceleration": 6, "test_mask.center_fraction": 0.07, "train_mask": None, "model": None},
    "cine_unets": {"data.layout": "cine", "model.chans": 32, "model.pools": 4, "model.residual": "signed", "train.epochs": 20}
    | {"train.batch": 1, "optim.kind": "adam", "optim.lr": 1e-4, "optim.schedule": {"kind": "constant"}},
}
"""Grid → what the publications and programs say of its first run."""


@pytest.mark.parametrize(("path", "variant"), ALL, ids=lambda given: getattr(given, "stem", given or "full"))
def test_grid_has_the_runs_that_it_claims_and_none_twice(path: Path, variant: str | None) -> None:
    spec = spec_of(path, variant)
    points = points_of(spec)
    if "examples" not in path.parts or variant is None:
        assert len(points) == claimed_runs(spec, path.read_text())
    assert len(runs_of(spec)) == len(points)


@pytest.mark.parametrize(("path", "variant"), list(product(FILES, VARIANTS)), ids=lambda given: getattr(given, "stem", given or "full"))
def test_every_config_is_one_that_training_reads(path: Path, variant: str | None) -> None:
    for point in points_of(spec_of(path, variant)):
        assert read_config(point.config) == read_config(point.complete)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_is_named_as_its_grid_and_opens_with_question_and_command(path: Path) -> None:
    spec = spec_of(path)
    assert spec.name == path.stem
    assert spec.question.startswith("Question: ")
    assert f"mrsweep launch grids/{path.name}" in spec.question
    assert "GPU hours" in spec.question


@pytest.mark.parametrize("name", STUDIES)
def test_full_size_is_that_of_the_publications(name: str) -> None:
    first = points_of(spec_of(ROOT / "grids" / f"{name}.yaml"))[0].complete
    assert {key: value(first, key) for key in IN_FULL[name]} == IN_FULL[name]


@pytest.mark.parametrize("name", STUDIES)
def test_smoke_simulates_its_data_and_asks_for_one_core(name: str) -> None:
    points = points_of(spec_of(ROOT / "grids" / f"{name}.yaml", "smoke"))
    assert len(points) == SMOKE_RUNS[name]
    for point in points:
        assert (point.resources.gpus, point.resources.cpus) == (0, 1)
        words = shlex.split(point.prepare or "")
        assert words[:4] == ["python", "-m", "data.simulate", point.config["data"]["layout"]]
        assert words[words.index("--out") + 1] == point.config["data"]["root"]


def test_smoke_grids_on_knees_share_one_data_set() -> None:
    prepared = {point.prepare for name in STUDIES[:-1] for point in points_of(spec_of(ROOT / "grids" / f"{name}.yaml", "smoke"))}
    assert len(prepared) == 1


@pytest.mark.parametrize(("name", "variant"), list(product(("stl_transfer", "mtl_evaluate"), VARIANTS)), ids=str)
def test_each_need_means_one_run_of_a_shipped_grid_with_the_same_seed_and_scarcity(name: str, variant: str | None) -> None:
    for point in points_of(spec_of(ROOT / "grids" / f"{name}.yaml", variant)):
        ((named, query),) = point.needs.items()
        assert named == point.config["train"]["init_from"]
        assert query.grid.partition("@")[2] == (variant or "")
        (run,) = matching(query)
        assert run.config["seed"] == point.config["seed"]
        if name == "mtl_evaluate":
            assert run.config["data"]["halvings"] == point.config["data"]["halvings"]


def test_evaluation_measures_every_network_of_the_study_once() -> None:
    needed = [need.run for run in shipped_runs("mtl_evaluate") for need in run.needs.values()]
    trained = [run.id for name in ("stl_joint", "stl_single", "stl_transfer", "mtl_knee") for run in shipped_runs(name)]
    assert Counter(needed) == Counter(trained)


def test_joint_grid_on_one_contrast_is_the_single_grid() -> None:
    joint = runs_of(spec_of(ROOT / "grids" / "stl_joint.yaml", overrides=["data.datasets=[div_coronal_pd_fs]"]))
    single = {run.id: run.config for run in shipped_runs("stl_single")}
    assert [run.id for run in joint] == [run for run in single if single[run]["data"]["scarce"] == "div_coronal_pd_fs"]


@pytest.mark.parametrize("name", STUDIES)
def test_means_of_computing_do_not_enter_the_id(name: str) -> None:
    path = ROOT / "grids" / f"{name}.yaml"
    others = [
        "train.num_workers=9",
        "train.threads=3",
        "train.device=cuda",
        "train.checkpoint_min=1",
        "train.processes=1",
        "train.split=true",
        "train.recompute=true",
        "train.keep_checkpoints=5",
        "train.images_every=1",
        "train.preview=true",
        "train.show_volumes=[a]",
        "train.export=true",
        "data.cache=c",
    ]
    assert [run.id for run in runs_of(spec_of(path, overrides=others))] == [run.id for run in shipped_runs(name)]


def test_cine_grid_holds_every_network_loss_and_regularisation() -> None:
    configs = [run.config for run in shipped_runs("cine_unets")]
    networks = {(c["model"]["kind"], c["model"]["up_kernel"], c["model"]["regularise_last"]) for c in configs}
    assert networks == {("unet3d", 2, False), ("unet2d1d", 2, False), ("unet2d2d", 2, False), ("unet3d", 3, True)}
    held = {(c["model"]["kind"], c["model"]["up_kernel"], c["loss"]["kind"], c["model"]["regularisation"]["kind"]) for c in configs}
    assert len(held) == 4 * 5 * 8
    kinds = {c["model"]["regularisation"]["kind"]: c["model"]["regularisation"] for c in configs}
    assert kinds["dropout"]["drop_prob"] == 0.2
    assert (kinds["dropblock"]["keep_prob"], kinds["dropblock"]["block_size"]) == (0.9, 5)
