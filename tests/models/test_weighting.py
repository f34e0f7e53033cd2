"""Weights of tasks worked out by hand, and what the optimiser follows."""

from __future__ import annotations

import math

import pytest
import torch

from models.training_config import WEIGHTINGS, WeightingConfig
from models.weighting import build_weighting, dynamic_factors, naive_factors

LOSSES = torch.tensor([2.0, 4.0])


def build(kind: str, slices=(124, 481), **keys: float):
    return build_weighting(WeightingConfig(kind=kind, **keys), slices)


@pytest.mark.parametrize(
    ("slices", "factors"),
    [
        ((124, 481), (1.590, 0.410)),  # 2 * 481 / 605, 2 * 124 / 605
        ((5, 5), (1.0, 1.0)),
        ((7,), (1.0,)),
        ((1, 2, 3), (1.25, 1.0, 0.75)),  # 3 / 2 * 5 / 6, ...
    ],
)
def test_naive_weights_are_those_of_the_formula_with_mean_one(slices, factors):
    assert naive_factors(slices) == pytest.approx(factors, abs=5e-4)


def test_dynamic_weights_favour_the_task_whose_loss_falls_slowly():
    slow, fast = dynamic_factors([1.0, 1.0], [1.0, 0.5], 2.0)
    assert slow / fast == pytest.approx(math.exp((1.0 - 0.5) / 2.0))
    assert slow + fast == pytest.approx(2)
    assert dynamic_factors([1.0, 0.0], [math.nan, 0.5], 1.0) == [1.0, 1.0]


def test_dynamic_weights_are_naive_for_two_epochs_and_then_follow_the_last_two():
    weighting, naive = build("dwa"), naive_factors((124, 481))
    assert weighting.weights() == naive
    weighting.end_epoch([1.0, 1.0])
    assert weighting.weights() == naive
    weighting.end_epoch([0.5, 1.0])
    assert weighting.weights() == dynamic_factors([1.0, 1.0], [0.5, 1.0], 2.0)
    weighting.end_epoch([0.25, 1.0])
    assert weighting.weights() == dynamic_factors([0.5, 1.0], [0.25, 1.0], 2.0)
    again = build("dwa")
    again.load_state_dict(weighting.state_dict())
    assert again.weights() == weighting.weights()


def test_uncertainty_is_learned_for_each_task_alone():
    weighting = build("uncertainty")
    assert weighting.weights() == pytest.approx([math.exp(0.5) / 2] * 2)
    torch.testing.assert_close(weighting(LOSSES, 1), LOSSES / (2 * math.exp(-0.5)) - 0.25)
    weighting(LOSSES, 1).sum().backward()
    first, second = (values.grad for values in weighting.log_variances)
    assert first is None
    assert second.item() == pytest.approx(-6 / (2 * math.exp(-0.5)) + 2 / 2)  # d/ds of 6 / (2 e^s) + 2 s / 2


def test_uncertainty_is_least_where_the_variance_is_the_loss():
    weighting = build("uncertainty", (3,))
    optimiser = torch.optim.Adam(weighting.parameters(), lr=0.05)
    for _ in range(400):
        optimiser.zero_grad()
        weighting(torch.tensor([0.2]), 0).sum().backward()
        optimiser.step()
    assert weighting.log_variances[0].exp().item() == pytest.approx(0.2, rel=0.01)


@pytest.mark.parametrize("kind", ["none", "naive", "dwa"])
def test_fixed_weights_multiply_the_losses_of_a_batch(kind):
    weighting = build(kind)
    factor = naive_factors((124, 481))[1] if kind != "none" else 1.0
    torch.testing.assert_close(weighting(LOSSES, 1), factor * LOSSES)
    assert not list(weighting.parameters())


def test_every_kind_is_one_of_its_own():
    assert len({type(build(kind)) for kind in WEIGHTINGS}) == len(WEIGHTINGS)
