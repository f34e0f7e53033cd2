"""Every grid file that comes with the project means what it says: its runs, their settings, their ids, what they need."""

from __future__ import annotations

import shlex
from collections import Counter
from itertools import product
from operator import attrgetter
from pathlib import Path

import pytest

from models.config import read_config
from models.federated.config import read_federated
from models.model_config import VarNetRcanConfig
from models.sequential.config import POLICY_KINDS, read_sequential
from tests.grids.shipped import (
    EXAMPLES,
    FILES,
    KNEES,
    MASKS,
    ROOT,
    SIMULATED,
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
BRAINS_IN_FULL = {
    "data.layout": "paired",
    "loss": {"kind": "masked_ssim", "mask_threshold": 5e-5},
    "optim.kind": "adam",
    "optim.weight_decay": 0.0,
    "train.batch": 1,
}
MASKS_IN_FULL = {
    "data.layout": "arrays",
    "model.kind": "spirit",
    "model.centre": "all",
    "model.padding": "zeros",
    "loss.kind": "kspace_nmse",
    "optim.kind": "adam",
    "optim.schedule": {"kind": "constant"},
}
DIGITS_IN_FULL = MASKS_IN_FULL | {"model.coils": 1, "model.init_std": None, "train.epochs": 5, "train.batch": 128}
DIPOLES_IN_FULL = MASKS_IN_FULL | {"model.coils": 8, "model.init_std": 0.02, "train.epochs": 50, "train.batch": 16}
VARNET_IN_FULL = {"kind": "e2e_varnet", "cascades": 12, "chans": 18, "pools": 4, "sens_chans": 8, "sens_pools": 4, "drop_prob": 0.0}
ON_ONE = {"data.datasets": ["div_coronal_pd_fs"]}
IN_FULL = {
    "stl_joint": KNEES_IN_FULL | {"model.kind": "stl_varnet", "model.cascades": 12},
    "stl_single": KNEES_IN_FULL | ON_ONE | {"model.cascades": 12},
    "stl_transfer": KNEES_IN_FULL | ON_ONE | {"model.cascades": 12, "optim.lr": 5e-4, "train.init_from": "weights"},
    "mtl_knee": KNEES_IN_FULL | {"model.kind": "mtl_varnet", "model.tasks": 2, "model.share_etas": True, "weighting.temperature": 2.0},
    "mtl_evaluate": {"task": "predict", "test_mask.acceleration": 6, "test_mask.center_fraction": 0.07, "train_mask": None, "model": None},
    "cine_unets": {"data.layout": "cine", "model.chans": 32, "model.pools": 4, "model.residual": "signed", "train.epochs": 20}
    | {"train.batch": 1, "optim.kind": "adam", "optim.lr": 1e-4, "optim.schedule": {"kind": "constant"}},
    "federated_sites": {"data.layout": "sites", "mask.kind": "random", "mask.acceleration": 4, "mask.center_fraction": 0.08}
    | {"model.kind": "unet", "model.chans": 32, "model.pools": 4, "loss.kind": "l1", "optim.kind": "rmsprop", "optim.lr": 1e-4}
    | {"optim.schedule": {"kind": "step", "step_epochs": 40, "gamma": 0.1}, "train.epochs": 50, "train.batch": 16}
    | {"federated.local_epochs": 2, "federated.average": "equal", "federated.alignment.weight": 1.0}
    | {"federated.alignment.optim.lr": 1e-3, "federated.alignment.optim.schedule": {"kind": "constant"}},
    "mask_learned_digits": DIGITS_IN_FULL | {"mask.kind": "learned", "mask.calibration": "none", "mask.noise_end": None},
    "mask_fixed_digits": DIGITS_IN_FULL | {"mask.acceleration": 4, "mask.calibration": "none"},
    "mask_learned_brain": DIPOLES_IN_FULL | {"mask.kind": "learned", "mask.rounding": "straight_through", "mask.noise_end": None},
    "mask_fixed_brain": DIPOLES_IN_FULL | {"mask.acceleration": 4},
    "sequential_spirit": DIGITS_IN_FULL | {"mask.kind": "random", "mask.acceleration": 4, "model.blocks": 5, "model.kernel": 7},
    "sequential_digits": {"data.layout": "arrays", "acquisition": {"start": 2, "budget": 5}, "train.episodes": 16},
    "snu_varnet": BRAINS_IN_FULL
    | {"model": VARNET_IN_FULL, "train.epochs": 50, "optim.lr": 1e-3}
    | {"optim.schedule": {"kind": "step", "step_epochs": 40, "gamma": 0.1}},
    "snu_varnet_rcan": BRAINS_IN_FULL
    | {"model.kind": "varnet_rcan", "model.frozen": VARNET_IN_FULL, "model.groups": 4, "model.blocks": 25, "model.chans": 160}
    | {"model.block": "bottleneck", "model.reduction": 16, "model.res_scale": 0.125, "model.ensemble": ["flip_x"]}
    | {"model.ensemble_validation": False, "model.add_image": False, "train.epochs": 20, "optim.lr": 1e-4}
    | {"optim.schedule": {"kind": "exponential", "gamma": 0.5}},
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
    spec = spec_of(path, variant)
    read = {
        "models.config:TrainConfig": read_config,
        "models.federated.config:FederatedConfig": read_federated,
        "models.sequential.config:SequentialConfig": read_sequential,
    }[spec.schema or ""]
    for point in points_of(spec):
        assert read(point.config) == read(point.complete)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_is_named_as_its_grid_and_opens_with_question_and_command(path: Path) -> None:
    spec = spec_of(path)
    assert spec.name == path.stem
    assert spec.question.startswith("Question: ")
    assert f"mrsweep launch grids/{path.name}" in spec.question
    assert "GPU hours" in spec.question


@pytest.mark.parametrize("name", [*STUDIES, "sequential_digits"])
def test_full_size_is_that_of_the_publications(name: str) -> None:
    first = points_of(spec_of(ROOT / "grids" / f"{name}.yaml"))[0].complete
    assert {key: value(first, key) for key in IN_FULL[name]} == IN_FULL[name]


@pytest.mark.parametrize("name", [*STUDIES, "sequential_digits"])
def test_smoke_simulates_its_data_and_asks_for_one_core(name: str) -> None:
    points = points_of(spec_of(ROOT / "grids" / f"{name}.yaml", "smoke"))
    assert len(points) == SMOKE_RUNS[name]
    for point in points:
        assert (point.resources.gpus, point.resources.cpus) == (0, 1)
        words = shlex.split(point.prepare or "")
        assert words[:4] == ["python", "-m", "data.simulate", SIMULATED.get(name, point.config["data"]["layout"])]
        assert words[words.index("--out") + 1] == point.config["data"]["root"]


def test_smoke_grids_on_knees_share_one_data_set() -> None:
    prepared = {point.prepare for name in KNEES for point in points_of(spec_of(ROOT / "grids" / f"{name}.yaml", "smoke"))}
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


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_refining_network_needs_the_varnet_of_its_seed_and_has_its_architecture(variant: str | None) -> None:
    for point in points_of(spec_of(ROOT / "grids" / "snu_varnet_rcan.yaml", variant)):
        ((named, query),) = point.needs.items()
        assert named == point.config["model"]["varnet"]
        assert query.grid.partition("@")[2] == (variant or "")
        (run,) = matching(query)
        assert run.config["seed"] == point.config["seed"]
        ours, theirs = (read_config(config).model for config in (point.config, run.config))
        assert isinstance(ours, VarNetRcanConfig)
        assert ours.frozen == theirs


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_sampler_needs_the_networks_of_its_seed_and_every_kind_is_there(variant: str | None) -> None:
    points = points_of(spec_of(ROOT / "grids" / "sequential_digits.yaml", variant))
    for point in points:
        runs = {name: matching(query) for name, query in point.needs.items()}
        assert {name: [run.config["mask"]["kind"] for run in held] for name, held in runs.items()} == {
            "reconstructor": ["random"],
            "columns": ["learned"],
        }
        assert {run.config["seed"] for held in runs.values() for run in held} == {point.config["seed"]}
    assert {point.config["policy"]["kind"] for point in points} == set(POLICY_KINDS)


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
        *(() if name == "federated_sites" else ("train.processes=1", "train.split=true")),
        "train.recompute=true",
        "train.keep_checkpoints=5",
        "train.images_every=1",
        "train.preview=true",
        "train.show_volumes=[a]",
        "train.export=true",
        "data.cache=c",
    ]
    assert [run.id for run in runs_of(spec_of(path, overrides=others))] == [run.id for run in shipped_runs(name)]


def test_federated_grid_holds_every_target_with_and_without_its_scans_and_its_truths() -> None:
    configs = [run.config["federated"] for run in shipped_runs("federated_sites")]
    held = Counter((config["method"], config.get("target", ""), config.get("target", "") in config["clients"]) for config in configs)
    unseen = {(method, target, False): 6 for method in ("fedavg", "mrcm") for target in "BFHI"}
    assert held == {**unseen, **{("mrcm", target, True): 6 for target in "BFHI"}, ("fedavg", "", False): 6}
    assert {len(config["clients"]) for config in configs if config.get("target", "") not in (*config["clients"], "")} == {3}


def test_cine_grid_holds_every_network_loss_and_regularisation() -> None:
    configs = [run.config for run in shipped_runs("cine_unets")]
    networks = {(c["model"]["kind"], c["model"]["up_kernel"], c["model"]["regularise_last"]) for c in configs}
    assert networks == {("unet3d", 2, False), ("unet2d1d", 2, False), ("unet2d2d", 2, False), ("unet3d", 3, True)}
    held = {(c["model"]["kind"], c["model"]["up_kernel"], c["loss"]["kind"], c["model"]["regularisation"]["kind"]) for c in configs}
    assert len(held) == 4 * 5 * 8
    kinds = {c["model"]["regularisation"]["kind"]: c["model"]["regularisation"] for c in configs}
    assert kinds["dropout"]["drop_prob"] == 0.2
    assert (kinds["dropblock"]["keep_prob"], kinds["dropblock"]["block_size"]) == (0.9, 5)


@pytest.mark.parametrize("name", ["digits", "brain"])
def test_grids_of_masks_have_the_axes_of_the_published_program(name: str) -> None:
    blocks = (1, 5, 10)
    kernels = {"digits": (5, 7), "brain": (11, 13)}[name]
    size, noises = {"digits": ((28, 28), (0.0175, 0.03, 0.05)), "brain": ((121, 145), (0.0175, 0.05))}[name]
    calibrations = {"digits": ("none",), "brain": ("none", "square")}[name]
    mask_rates = {"digits": (1e-1, 1e-2, 1e-3, 1e-4), "brain": (1e-2, 1e-3, 1e-4)}[name]
    learned = [read_config(run.config) for run in shipped_runs(f"mask_learned_{name}")]
    of_mask = attrgetter("tile", "acceleration", "noise_std", "calibration")
    held = {(*of_mask(c.mask), c.network.blocks, c.network.kernel, c.optim.lr_of["sampling"], c.optim.lr) for c in learned}
    rates = (1e-2, 1e-3, 1e-4)
    assert held == set(product(((4, 4), size), (8, 4), noises, calibrations, blocks, kernels, mask_rates, rates))
    assert len(learned) == 864
    fixed = [read_config(run.config) for run in shipped_runs(f"mask_fixed_{name}")]
    fixed_rates = {"digits": (1e-1, 1e-2, 1e-3, 1e-4, 1e-5), "brain": rates}[name]
    masks = {(c.mask.kind, c.mask.seed) for c in fixed}
    kinds = Counter(kind for kind, _ in masks)
    assert kinds == {"caipirinha": 1, "uniform": 1, "column_uniform": 1, "tile_random": {"digits": 30, "brain": 20}[name]}
    assert ("tile_random", 91329) in masks
    others = {(c.mask.kind, c.mask.seed, c.network.blocks, c.network.kernel, c.optim.lr, c.mask.calibration) for c in fixed}
    assert others == {(*mask, *rest) for mask, rest in product(masks, product(blocks, kernels, fixed_rates, calibrations))}
    assert len(fixed) == {"digits": 990, "brain": 828}[name]


@pytest.mark.parametrize("name", MASKS)
def test_grids_of_masks_ask_for_what_the_published_jobs_had(name: str) -> None:
    spec = spec_of(ROOT / "grids" / f"{name}.yaml")
    first = points_of(spec)[0]
    assert (first.resources.gpus, first.resources.cpus, spec.max_parallel) == (1, 2, 9)
    sizes = [first.resources.mem_gb * 2**attempt for attempt in range(3)]  # host_oom: x2, 3 attempts
    assert sizes[-1] == 64
