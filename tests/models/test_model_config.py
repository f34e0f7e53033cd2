"""Configs of networks: defaults of the papers, limits, one-line messages, identities."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from data.errors import BadInput
from models import model_config, regularisation_config
from models.config import TrainConfig, read_config
from models.model_config import MODEL_KINDS

ROOT = Path(__file__).parents[2]
REQUIRED = {"varnet_rcan": {"varnet": "v"}}


def read(**model: object) -> TrainConfig:
    return read_config({"model": model, "data": {"layout": "fastmri", "root": "a"}})


def test_kinds_are_known_by_name():
    assert MODEL_KINDS == ("unet", "e2e_varnet", "stl_varnet", "mtl_varnet", "unet3d", "unet2d1d", "unet2d2d", "varnet_rcan", "spirit")


def test_defaults_are_those_of_the_papers():
    spirit = read(kind="spirit").model
    assert (spirit.coils, spirit.blocks, spirit.kernel, spirit.centre, spirit.padding, spirit.init_std) == (1, 5, 5, "all", "zeros", None)
    refining = read(kind="varnet_rcan", varnet="v").model
    assert (refining.groups, refining.blocks, refining.chans, refining.block, refining.reduction) == (4, 25, 160, "bottleneck", 16)
    assert (refining.res_scale, refining.add_image, refining.ensemble, refining.frozen) == (
        0.125,
        False,
        ("flip_x",),
        read(kind="e2e_varnet").model,
    )
    varnet, unrolled, shared, cine = (read(kind=kind).model for kind in ("e2e_varnet", "stl_varnet", "mtl_varnet", "unet2d2d"))
    assert (varnet.cascades, varnet.chans, varnet.pools, varnet.sens_chans, varnet.sens_pools) == (12, 18, 4, 8, 4)
    assert (unrolled.cascades, unrolled.chans, unrolled.pools) == (12, 18, 4)
    assert (len(shared.blocks), shared.tasks, shared.share_etas, shared.chans, shared.pools) == (12, 2, True, 18, 4)
    assert (cine.chans, cine.pools, cine.up_kernel, cine.residual) == (32, 4, 2, "signed")
    assert isinstance(cine.regularisation, regularisation_config.NoRegularisation)


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_every_kind_survives_a_round_trip(kind):
    config = read(kind=kind, **REQUIRED.get(kind, {}))
    assert read_config(msgspec.to_builtins(config)) == config


@pytest.mark.parametrize(
    ("kind", "defaults"),
    [
        ("none", {}),
        ("l1", {"l1": 1e-5}),
        ("l2", {"l2": 1e-5}),
        ("l1_l2", {"l1": 1e-5, "l2": 1e-5}),
        ("batch_norm", {}),
        ("instance_norm", {}),
        ("dropout", {"drop_prob": 0.2}),
        ("dropblock", {"keep_prob": 0.9, "block_size": 5, "ramp_epochs": 0}),
    ],
)
def test_every_regularisation_can_be_chosen_with_the_defaults_of_the_published_grid(kind, defaults):
    chosen = read(kind="unet3d", regularisation={"kind": kind}).model.regularisation
    assert msgspec.to_builtins(chosen) == {"kind": kind, **defaults}


WRONG = [
    ({"kind": "stl_varne"}, r"'stl_varne' is unknown. Did you mean stl_varnet\? Known: unet, e2e_varnet, stl_varnet, mtl_varnet, unet3d"),
    ({"kind": "e2e_varnet", "cascades": 0}, r"model.cascades is 0; it must be between 1 and 100"),
    ({"kind": "e2e_varnet", "sens_chans": 0}, r"model.sens_chans is 0"),
    ({"kind": "e2e_varnet", "sens_pools": 9}, r"model.sens_pools is 9; it must be between 1 and 8"),
    ({"kind": "stl_varnet", "cascades": 101}, r"model.cascades is 101"),
    ({"kind": "stl_varnet", "chans": 0}, r"model.chans is 0"),
    ({"kind": "mtl_varnet", "blocks": "IIX"}, r"model.blocks is 'IIX'; it must be 1 to 100 letters of I, Y, V, W"),
    ({"kind": "mtl_varnet", "blocks": "iiv"}, r"model.blocks is 'iiv'"),
    ({"kind": "mtl_varnet", "blocks": ""}, r"model.blocks is ''"),
    ({"kind": "mtl_varnet", "tasks": 0}, r"model.tasks is 0"),
    ({"kind": "mtl_varnet", "share_etas": 1}, r"Expected `bool`, got `int` - at `\$.model.share_etas`"),
    ({"kind": "spirit", "coils": 0}, r"model.coils is 0"),
    ({"kind": "spirit", "blocks": 101}, r"model.blocks is 101"),
    ({"kind": "spirit", "kernel": 4}, r"model.kernel is 4; it must be an odd number between 3 and 63"),
    ({"kind": "spirit", "kernel": 1}, r"model.kernel is 1"),
    ({"kind": "spirit", "centre": "others"}, r"model.centre: 'others' is unknown. Known: all, own"),
    ({"kind": "spirit", "padding": "circle"}, r"model.padding: 'circle' is unknown. Did you mean circular\?"),
    ({"kind": "spirit", "init_std": 0}, r"model.init_std is 0"),
    ({"kind": "varnet_rcan"}, r"missing required field `varnet` - at `\$.model`"),
    ({"kind": "varnet_rcan", "varnet": " "}, r"model.varnet is ' '; it must be a checkpoint, or a name under needs"),
    ({"kind": "varnet_rcan", "varnet": "v", "frozen": {"cascades": 0}}, r"model.cascades is 0"),
    ({"kind": "varnet_rcan", "varnet": "v", "groups": 0}, r"model.groups is 0"),
    ({"kind": "varnet_rcan", "varnet": "v", "blocks": 0}, r"model.blocks is 0"),
    ({"kind": "varnet_rcan", "varnet": "v", "block": "plane"}, r"model.block: 'plane' is unknown. Did you mean plain\?"),
    ({"kind": "varnet_rcan", "varnet": "v", "chans": 2}, r"model.chans is 2; it must be 4 or more"),
    ({"kind": "varnet_rcan", "varnet": "v", "chans": 8, "reduction": 9}, r"model.reduction is 9; it must be between 1 and model.chans"),
    ({"kind": "varnet_rcan", "varnet": "v", "res_scale": 0}, r"model.res_scale is 0"),
    ({"kind": "varnet_rcan", "varnet": "v", "ensemble": ["turn_45"]}, r"model.ensemble: 'turn_45' is unknown. Did you mean turn_"),
    ({"kind": "varnet_rcan", "varnet": "v", "ensemble": ["flip_x"] * 2}, r"model.ensemble is \('flip_x', 'flip_x'\)"),
    ({"kind": "unet3d", "up_kernel": 4}, r"model.up_kernel is 4; it must be 2 or 3"),
    ({"kind": "unet2d1d", "residual": "rellu"}, r"model.residual: 'rellu' is unknown. Did you mean relu\?"),
    ({"kind": "unet2d2d", "pools": 0}, r"model.pools is 0"),
    ({"kind": "unet3d", "regularisation": {"kind": "l3"}}, r"Invalid value 'l3' - at `\$.model.regularisation.kind`"),
    (
        {"kind": "unet3d", "regularisation": {"kind": "l1", "l2": 1}},
        r"config: model.regularisation: 'l2' is not read by kind l1, only by l2, l1_l2. Known: kind, l1",
    ),
    ({"kind": "unet3d", "regularisation": {"kind": "l1", "l1": -1}}, r"model.regularisation.l1 is -1"),
    ({"kind": "unet3d", "regularisation": {"kind": "l1_l2", "l2": float("nan")}}, r"model.regularisation.l2 is nan"),
    ({"kind": "unet3d", "regularisation": {"kind": "dropout", "drop_prob": 1}}, r"model.regularisation.drop_prob is 1.0"),
    ({"kind": "unet3d", "regularisation": {"kind": "dropblock", "keep_prob": 0}}, r"model.regularisation.keep_prob is 0"),
    ({"kind": "unet3d", "regularisation": {"kind": "dropblock", "block_size": 0}}, r"model.regularisation.block_size is 0"),
    ({"kind": "unet3d", "regularisation": {"kind": "dropblock", "ramp_epochs": -1}}, r"model.regularisation.ramp_epochs is -1"),
]


@pytest.mark.parametrize(("model", "message"), WRONG)
def test_wrong_value_is_told_in_one_line_with_key_and_way_out(model, message):
    with pytest.raises(BadInput, match=message) as caught:
        read(**model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("module", [model_config, regularisation_config])
def test_every_field_of_the_config_is_described(module):
    tree = ast.parse(Path(module.__file__).read_text())
    for struct in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, after in pairwise(struct.body):
            if isinstance(field, ast.AnnAssign):
                assert isinstance(after, ast.Expr), f"{struct.name}.{ast.unparse(field.target)}"
