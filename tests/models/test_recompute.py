"""Activations computed twice: the same gradients from less memory, for every network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from data.volumes.cine_sample import CineSample
from data.volumes.loading import Sample
from models.build import build_model
from models.config import read_config
from models.model_config import MODEL_KINDS
from models.network import Network
from models.recompute import run
from tests.models.samples import draw_cine, draw_sample, to_double

SIZES = {
    "unet": {"chans": 4, "pools": 3},
    "e2e_varnet": {"chans": 4, "pools": 2, "cascades": 6, "sens_chans": 4, "sens_pools": 2},
    "stl_varnet": {"chans": 4, "pools": 2, "cascades": 6},
    "mtl_varnet": {"chans": 4, "pools": 2, "blocks": "IVYWIV"},
    "varnet_rcan": {"varnet": "v", "frozen": {"cascades": 1, "chans": 2, "pools": 2}, "groups": 4, "blocks": 4, "chans": 8, "reduction": 4},
    "spirit": {"coils": 4, "blocks": 9, "kernel": 3},
    "unet3d": {"chans": 4, "pools": 3},
    "unet2d1d": {"chans": 4, "pools": 3},
    "unet2d2d": {"chans": 4, "pools": 3},
}
CINE = ("unet3d", "unet2d1d", "unet2d2d")


def make(kind: str, **changed: object) -> Network:
    torch.manual_seed(0)
    return build_model(
        read_config({"model": {"kind": kind, **SIZES[kind], **changed}, "data": {"layout": "fastmri", "root": "a"}}).model
    ).double()


def sample_for(kind: str) -> Sample | CineSample:
    """Draw in double precision, so that equal means equal."""
    if kind in CINE:
        sample = draw_cine(size=(40, 40))
        return sample._replace(image=sample.image.double())
    return to_double(draw_sample(batch=2, coils=4))


def step(model: Network, sample: Sample | CineSample) -> tuple[dict[str, Tensor], int]:
    """Return the gradients of a step, and how many bytes were kept for it besides the weights."""
    weights = {each.data_ptr() for each in model.parameters()}
    kept: dict[int, int] = {}

    def keep(values: Tensor) -> Tensor:
        if values.data_ptr() not in weights:
            kept[values.untyped_storage().data_ptr()] = values.untyped_storage().nbytes()
        return values

    torch.manual_seed(1)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda values: values):
        loss = model(sample).image.square().sum()
    loss.backward()
    return {name: each.grad for name, each in model.named_parameters() if each.grad is not None}, sum(kept.values())


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_gradients_are_the_same_and_less_is_kept(kind):
    model, sample = make(kind), sample_for(kind)
    expected, plenty = step(model, sample)
    model.zero_grad()
    model.recompute = True
    found, little = step(model, sample)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-6, atol=1e-9 * gradient.abs().max().item() + 1e-12)
    assert little < (0.35 if "varnet" in kind else 0.7) * plenty


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("unet", {"drop_prob": 0.3}),
        ("e2e_varnet", {"drop_prob": 0.3}),
        ("unet3d", {"regularisation": {"kind": "dropblock", "keep_prob": 0.7}}),
    ],
)
def test_what_was_dropped_is_dropped_again(kind, changed):
    model, sample = make(kind, **changed), sample_for(kind)
    expected, _ = step(model, sample)
    model.zero_grad()
    model.recompute = True
    found, _ = step(model, sample)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-6, atol=1e-9 * gradient.abs().max().item() + 1e-12)


def test_part_is_computed_again_for_the_gradient_and_only_then():
    calls: list[Tensor] = []

    def part(values: Tensor) -> Tensor:
        calls.append(values)
        return values.square()

    with torch.no_grad():
        run(part, torch.ones(1), recompute=True)
    assert len(calls) == 1
    run(part, torch.ones(1, requires_grad=True), recompute=True).backward()
    assert len(calls) == 3


def test_batch_normalisation_counts_each_batch_once():
    states = []
    for recompute in (False, True):
        model = make("unet3d", regularisation={"kind": "batch_norm"})
        model.recompute = recompute
        for _ in range(2):
            step(model, sample_for("unet3d"))
        states.append({name: values for name, values in model.state_dict().items() if "running" in name or "tracked" in name})
    assert len(states[0]) == 3 * 18  # mean, variance and count of 7 blocks of two, 3 transposed convolutions and the last
    assert all(torch.equal(values, states[1][name]) for name, values in states[0].items())
