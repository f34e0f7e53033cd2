"""The config: complete, strict, told in one line, and without torch."""

from __future__ import annotations

import ast
import copy
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from data.errors import BadInput
from data.kspace.masks import MASK_KINDS
from models import config as module
from models import training_config
from models.config import read_config
from models.losses import LOSSES
from models.optimiser import OPTIMISERS

ROOT = Path(__file__).parents[2]
SHORTEST = {"model": {"kind": "unet"}, "data": {"layout": "fastmri", "root": "datasets/a"}}


def changed(key: str, value: object) -> dict[str, object]:
    values = copy.deepcopy(SHORTEST)
    *path, last = key.split(".")
    place = values
    for name in path:
        place = place.setdefault(name, {})
    place[last] = value
    return values


def test_config_imports_neither_torch_nor_numpy():
    code = "import sys, models.config, models.training; print(sorted({'torch', 'numpy', 'h5py'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_defaults_are_those_of_the_baseline_and_survive_a_round_trip():
    config = read_config(SHORTEST)
    assert (config.model.chans, config.model.pools, config.optim.kind, config.optim.lr, config.loss.kind) == (32, 4, "rmsprop", 1e-3, "l1")
    assert read_config(msgspec.to_builtins(config)) == config


WRONG = [
    ("model.kind", "unte", r"model.kind: 'unte' is unknown. Did you mean unet\? Known: unet, e2e_varnet"),
    ("model.kind", "transformer", r"'transformer' is unknown. Known: unet, e2e_varnet, stl_varnet, mtl_varnet, unet3d, unet2d1d, unet2d2d"),
    ("model.chan", 32, r"config: model: 'chan' is unknown. Did you mean chans\? Known: kind, chans, pools, drop_prob\. See docs/models.md"),
    ("model.pools", 0, r"model.pools is 0; it must be between 1 and 8"),
    ("model.drop_prob", 1.0, r"model.drop_prob is 1.0"),
    ("data.root", " ", r"data.root is ' '"),
    ("data.val", "train", r"three different folders"),
    ("mask.kind", "equispace", r"mask.kind: 'equispace' is unknown. Did you mean equispaced\?"),
    ("mask.acceleration", 0.5, r"mask.acceleration is 0.5"),
    ("mask.acceleration", float("nan"), r"mask.acceleration is nan"),
    ("mask.accelaration", 2, r"config: mask: 'accelaration' is unknown. Did you mean acceleration\? Known: kind, acceleration, "),
    ("data.skip_slices", 2, r"config: data: 'skip_slices' is not read by layout fastmri, only by knee. Known: layout, root, "),
    ("model.ensemble", ["flip_x"], r"config: model: 'ensemble' is not read by kind unet, only by varnet_rcan. Known: kind, chans, pools"),
    ("model.cascades", 2, r"'cascades' is not read by kind unet, only by e2e_varnet, stl_varnet. Known"),
    (
        "optim.schedule",
        {"kind": "cosine", "epochs": 3, "gamma": 1},
        r"optim.schedule: 'gamma' is not read by kind cosine, only by step, exp",
    ),
    ("model.chans", [3, 5], r"Expected `int`, got `array` - at `\$.model.chans`, which holds \[3, 5\]\. See"),
    ("model.chans", list(range(99)), r"which holds \[0, 1, .*…\. See"),
    ("train.freeze", ["a", 3], r"Expected `str`, got `int` - at `\$.train.freeze\[1\]`, which holds 3\. See"),
    ("optim.lr_of", {"a.b": "x"}, r"at `\$.optim.lr_of\[...\]`, which holds {'a.b': 'x'}\. See"),
    ("train.epoch", 2, r"config: train: 'epoch' is unknown. Did you mean epochs\? Known: epochs, batch"),
    ("optim.schedule", {"kind": "step", "step": 4}, r"config: optim.schedule: 'step' is unknown. .*Known: kind, step_epochs, gamma\."),
    ("optim.schedule", {"kind": "cosine", "epoch": 4}, r"config: optim.schedule: 'epoch' is unknown. Did you mean epochs\?"),
    ("mask.center_fraction", 0.5, r"center_fraction \* mask.acceleration is 2.0; it must be at most 1"),
    ("loss.kind", "l2", r"loss.kind: 'l2' is unknown. .*Known: l1, complex_l1, mse"),
    ("optim.kind", "sgd", r"optim.kind: 'sgd' is unknown. Known: adam, adamw, rmsprop"),
    ("optim.lr", "1e-3", r"Expected `float`, got `str` - at `\$.optim.lr`, which holds '1e-3'\. See"),
    ("optim.lr", -1, r"optim.lr is -1"),
    ("train.epochs", 1.5, r"at `\$.train.epochs`"),
    ("train.micro_batch", 0, r"train.micro_batch is 0"),
    ("train.device", "gpu", r"train.device: 'gpu' is unknown. .*Known: auto, cpu, cuda"),
    ("seed", -1, r"seed is -1"),
    ("sed", 1, r"config: 'sed' is unknown. Did you mean seed\? Known: task, model, data"),
    ("test_mask", {"kin": "random"}, r"config: test_mask: 'kin' is unknown. Did you mean kind\?"),
    ("optim.schedule", {"kind": "linear"}, r"linear"),
    ("optim.schedule", {"kind": "step", "gamma": 2}, r"optim.schedule.gamma is 2.0; it must be above 0 and at most 1"),
    ("optim.schedule", {"kind": "cosine"}, r"required field `epochs`"),
    ("optim.lr_of", {"unet": 0}, r"optim.lr_of.unet is 0.0"),
    ("weighting.kind", "uncert", r"weighting.kind: 'uncert' is unknown. Did you mean uncertainty\?"),
    ("weighting.temperature", 0, r"weighting.temperature is 0"),
    ("train.precision", "bf32", r"train.precision: 'bf32' is unknown. .*Known: float32, bf16, fp16"),
    ("train.ema_decay", 1, r"train.ema_decay is 1"),
    ("train.clip_norm", 0, r"train.clip_norm is 0.0; it must be above 0, or null"),
    ("train.patience", 0, r"train.patience is 0"),
    ("train.keep_checkpoints", 0, r"train.keep_checkpoints is 0"),
    ("train.freeze", [""], r"train.freeze is"),
    ("task", "test", r"task: 'test' is unknown. .*Known: train, train_and_predict, predict"),
    ("task", "predict", r"model is 'set'; it must be left out for task: predict"),
]


@pytest.mark.parametrize(("key", "value", "message"), WRONG)
def test_wrong_value_is_told_in_one_line_with_key_and_way_out(key, value, message):
    with pytest.raises(BadInput, match=message) as caught:
        read_config(changed(key, value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["model", "data"])
def test_missing_section_is_named(missing):
    with pytest.raises(BadInput, match=f"required field `{missing}`"):
        read_config({key: value for key, value in SHORTEST.items() if key != missing})


def test_every_kind_that_a_config_allows_can_be_built():
    assert set(module.MASKS) == set(MASK_KINDS)
    assert set(training_config.LOSSES) == set(LOSSES)
    assert set(training_config.OPTIMISERS) == set(OPTIMISERS)


@pytest.mark.parametrize("described", [module, training_config])
def test_every_field_of_the_config_is_described(described):
    tree = ast.parse(Path(described.__file__).read_text())
    for struct in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, after in pairwise(struct.body):
            if isinstance(field, ast.AnnAssign):
                assert isinstance(after, ast.Expr), f"{struct.name}.{ast.unparse(field.target)}"


def test_prediction_needs_a_checkpoint_and_no_network():
    values = {"task": "predict", "data": SHORTEST["data"]}
    with pytest.raises(BadInput, match=r"train.init_from is ''; it must be a checkpoint for task: predict"):
        read_config(values)
    assert read_config({**values, "train": {"init_from": "best.pt"}}).model is None


def test_a_run_that_is_to_train_and_predict_keeps_its_predictions():
    with pytest.raises(BadInput, match=r"train.keep_predictions is False; it must be true for task: train_and_predict"):
        read_config({**SHORTEST, "task": "train_and_predict", "train": {"keep_predictions": False}})
    kept = [read_config({**SHORTEST, "task": task}).keeps_predictions for task in ("train", "train_and_predict")]
    assert kept == [False, True]


@pytest.mark.parametrize("key", ["mask", "test_mask"])
def test_mask_of_everything_is_refused_for_a_network_that_keeps_what_is_sampled(key):
    values = {**SHORTEST, "model": {"kind": "spirit"}, key: {"kind": "uniform", "acceleration": 1}}
    with pytest.raises(BadInput, match=rf"{key}.acceleration is 1.0; it must be above 1 for model.kind spirit"):
        read_config(values)
    assert read_config({**values, "model": {"kind": "unet"}}).mask is not None
