"""Every kind of network from its config."""

from __future__ import annotations

import pytest
import torch

from models.build import build_model
from models.cine.unet import CineUnet
from models.config import read_config
from models.model_config import MODEL_KINDS
from models.multitask.varnet import MultiTaskVarNet
from models.network import Network
from models.spirit import Spirit
from models.unet import ZeroFilledUnet
from models.varnet import EndToEndVarNet, UnrolledVarNet
from models.varnet_rcan import VarNetRcan
from tests.models.samples import draw_cine, draw_sample

CLASSES = {
    "unet": ZeroFilledUnet,
    "e2e_varnet": EndToEndVarNet,
    "stl_varnet": UnrolledVarNet,
    "mtl_varnet": MultiTaskVarNet,
    "varnet_rcan": VarNetRcan,
    "spirit": Spirit,
    "unet3d": CineUnet,
    "unet2d1d": CineUnet,
    "unet2d2d": CineUnet,
}
CHANGED = {
    "unet": {"chans": 3, "pools": 3, "drop_prob": 0.5},
    "e2e_varnet": {"chans": 3, "pools": 3, "drop_prob": 0.5, "cascades": 3, "sens_chans": 3, "sens_pools": 3},
    "stl_varnet": {"chans": 3, "pools": 3, "drop_prob": 0.5, "cascades": 3},
    "mtl_varnet": {"chans": 3, "pools": 3, "drop_prob": 0.5, "blocks": "WYV", "tasks": 3, "share_etas": False},
    "varnet_rcan": {"frozen": {"cascades": 2}, "groups": 3, "blocks": 3, "chans": 16, "block": "plain", "reduction": 4},
    "spirit": {"coils": 4, "blocks": 3, "kernel": 7, "centre": "own", "padding": "circular", "init_std": 0.5},
    "unet3d": {"chans": 3, "pools": 3, "up_kernel": 3, "residual": "relu", "regularise_last": True, "regularisation": {"kind": "dropout"}},
}
CHANGED |= dict.fromkeys(("unet2d1d", "unet2d2d"), CHANGED["unet3d"])
SMALL = {"chans": 2, "pools": 2}
UNROLLED = {"e2e_varnet": {"cascades": 2, "sens_chans": 2, "sens_pools": 2}, "stl_varnet": {"cascades": 2}, "mtl_varnet": {"blocks": "IV"}}

OWN: dict[str, dict[str, object]] = {
    "varnet_rcan": {"varnet": "v", "frozen": {"cascades": 1, **SMALL}, "groups": 2, "blocks": 2, "chans": 8, "reduction": 2},
    "spirit": {"coils": 3, "blocks": 2, "kernel": 3},
}
"""Of kinds that have no U-Net of their own."""


def small(kind: str) -> dict[str, object]:
    return OWN.get(kind) or {**SMALL, **UNROLLED.get(kind, {})}


def build(kind: str, **changed: object) -> Network:
    return build_model(read_config({"model": {"kind": kind, **changed}, "data": {"layout": "fastmri", "root": "a"}}).model)


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_every_kind_makes_its_network_and_reconstructs(kind):
    model = build(kind, **small(kind))
    sample = draw_cine() if kind.startswith("unet2d") or kind == "unet3d" else draw_sample()
    assert type(model) is CLASSES[kind]
    assert model(sample).image.shape == sample.target.shape
    assert model.penalty() == 0


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_every_key_of_a_config_changes_the_network(kind):
    plain = text(build(kind, **small(kind)))
    for key, value in CHANGED[kind].items():
        other = build(kind, **{**small(kind), key: value})
        assert text(other) != plain, key


def text(model: Network) -> str:
    return repr(model) + repr([tuple(weights.shape) for weights in model.parameters()])


def test_cine_kinds_differ_in_their_kernels():
    kernels = {
        kind: [tuple(weights.shape[2:]) for weights in build(kind, **SMALL).down[0].parameters() if weights.dim() == 5]
        for kind in CHANGED
        if kind in ("unet3d", "unet2d1d", "unet2d2d")
    }
    assert kernels == {"unet3d": [(3, 3, 3), (3, 3, 3)], "unet2d1d": [(1, 3, 3), (3, 1, 1)], "unet2d2d": [(3, 1, 3), (3, 3, 1)]}


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_first_weights_follow_from_the_seed(kind):
    weights = []
    for _ in range(2):
        torch.manual_seed(5)
        weights.append(build(kind, **small(kind)).state_dict())
    assert all(torch.equal(values, weights[1][name]) for name, values in weights[0].items())
