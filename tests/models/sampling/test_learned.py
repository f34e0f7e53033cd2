"""Learned masks: budgets that hold to the point, a centre that belongs to k-space, gradients where they should be."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from data.errors import BadInput
from data.kspace.description import MaskDescription
from models.sampling.learned import LearnedMask, budget_of, noise_of

BRAIN = (121, 145)
TILES = [(4, 4), BRAIN]


def learned(**keys: object) -> LearnedMask:
    torch.manual_seed(3)
    return LearnedMask(MaskDescription(kind="learned", **keys))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rounding", ["straight_through", "bernoulli"])
@pytest.mark.parametrize("calibration", ["none", "square", "column"])
@pytest.mark.parametrize("acceleration", [8, 4])
@pytest.mark.parametrize("tile", TILES)
def test_every_mask_samples_exactly_the_budget(tile, acceleration, calibration, rounding, training):
    mask = learned(tile=tile, acceleration=acceleration, calibration=calibration, rounding=rounding).train(training)(3, BRAIN)
    # 121 * 145 = 17545; an eighth is 2193.1, a quarter 4386.25
    assert mask.sum(dim=(1, 2)).tolist() == [{8: 2193, 4: 4386}[acceleration]] * 3
    assert set(mask.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("acceleration", [8, 4])
def test_budget_holds_when_all_logits_are_equal(tile, acceleration):
    module = learned(tile=tile, acceleration=acceleration, calibration="square", noise_std=0.0)
    torch.nn.init.zeros_(module.logits)
    for mask in (module.train()(1, BRAIN), module.eval()(1, BRAIN)):
        assert int(mask.sum()) == round(17545 / acceleration)


@pytest.mark.parametrize("acceleration", [8, 4])
def test_square_of_a_tiled_mask_lies_in_the_centre_of_kspace_in_training_and_evaluation(acceleration):
    module = learned(tile=(4, 4), acceleration=acceleration, calibration="square", center_fraction=0.08)
    centre = (slice(56, 66), slice(67, 79))  # 10 of 121 rows and 12 of 145 columns, from (121 - 10 + 1) // 2 and (145 - 12 + 1) // 2 on
    for mask in (*module.train()(2, BRAIN).detach(), *module.eval()(2, BRAIN).detach()):
        assert bool(mask[centre].all())
        outside = mask.clone()
        outside[centre] = 0
        assert int(outside.sum()) == round(17545 / acceleration) - 120
        assert 0 < float(outside[:50].mean()) < 0.3  # not all of k-space, which the source's tiles sampled


def test_the_best_positions_of_a_tile_are_sampled_and_the_same_in_every_sample_of_an_evaluation():
    module = learned(tile=(4, 4), acceleration=8).eval()
    with torch.no_grad():
        module.logits.copy_(torch.arange(16.0).reshape(4, 4))
    masks = module(3, (28, 28))
    expected = torch.zeros(4, 4)
    expected[3, 2:] = 1  # 2 of 16
    assert torch.equal(masks[0], expected.repeat(7, 7))
    assert torch.equal(masks[0], masks[1])


def test_noise_gives_each_sample_of_training_a_mask_of_its_own_and_none_makes_them_equal():
    noisy = learned(tile=(28, 28), noise_std=0.05).train()(2, (28, 28))
    assert not torch.equal(noisy[0], noisy[1])
    calm = learned(tile=(28, 28), noise_std=0.0).train()(2, (28, 28))
    assert torch.equal(calm[0], calm[1])


def test_bernoulli_samples_points_as_often_as_their_probability_says():
    module = learned(tile=(4, 4), acceleration=4, rounding="bernoulli").train()
    with torch.no_grad():
        module.logits.copy_(torch.tensor([4.0, -4.0]).repeat(8).reshape(4, 4))  # 8 likely points for 4 places
    drawn = module(4000, (4, 4)).detach().mean(dim=0)
    assert drawn[:, 0::2].mean() == pytest.approx(0.5, abs=0.02)
    assert drawn[:, 1::2].mean() < 0.02


def test_bernoulli_draws_for_each_sample_of_a_batch():
    drawn = learned(tile=(28, 28), rounding="bernoulli").train()(2, (28, 28))
    assert not torch.equal(drawn[0], drawn[1])


def test_noise_adds_to_the_probabilities_and_not_to_the_logits():
    module = learned(tile=(1, 2), acceleration=2, noise_std=0.05).train()
    with torch.no_grad():
        module.logits.copy_(torch.tensor([[4.0, 3.0]]))
    less_probable = module(4000, (1, 2)).detach()[:, 0, 1].mean()
    # sigmoid(4) - sigmoid(3) = 0.0294, by the noise of the difference, 0.05 * 2 ** 0.5: 0.416; a normal number is larger in 0.339 of all
    assert less_probable == pytest.approx(0.339, abs=0.03)


def test_first_logits_are_uniform_as_those_of_a_layer_with_as_many_weights():
    logits = learned(tile=(28, 28)).logits.detach()
    assert 0.98 / 28 < float(logits.abs().max()) <= 1 / 28


def test_one_module_samples_kspace_of_several_sizes():
    module = learned(tile=(4, 4), acceleration=4, calibration="square").eval()
    assert [int(module(1, size).sum()) for size in ((28, 28), (13, 18), (28, 28))] == [196, 58, 196]  # 13 * 18 / 4 = 58.5, to even


def test_gradient_reaches_sampled_points_outside_of_the_calibration_region_and_no_others():
    module = learned(tile=(15, 16), acceleration=4, calibration="square", center_fraction=0.2).train()
    mask = module(1, (15, 16))
    (mask * torch.rand(1, 15, 16).add(0.5)).sum().backward()
    calibration, _ = budget_of(module.description, (15, 16))
    assert calibration.any()
    assert torch.equal(module.logits.grad != 0, (mask[0] > 0) & ~calibration)


@pytest.mark.parametrize("tile", [(4, 4), (13, 18)])
def test_gradient_is_that_of_the_probabilities_of_the_sampled_points(tile):
    """Against finite differences of sum w p over these points, p = 1 / (1 + exp(-logit)), the points held fixed."""
    module = learned(tile=tile, acceleration=4, calibration="column", center_fraction=0.1, noise_std=0.0).double().train()
    weights = torch.randn(13, 18, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    mask = module(1, (13, 18))
    (mask[0] * weights).sum().backward()
    calibration, _ = budget_of(module.description, (13, 18))
    counted = weights * ((mask[0] > 0) & ~calibration)

    def surrogate(logits: torch.Tensor) -> float:
        total = 0.0
        for y in range(13):
            for x in range(18):
                total += float(counted[y, x]) / (1 + math.exp(-float(logits[y % tile[0], x % tile[1]])))
        return total

    logits = module.logits.detach()
    for y, x in [(0, 0), (3, 3), (1, 2), (2, 0)]:
        step = torch.zeros_like(logits)
        step[y, x] = 1e-5
        expected = (surrogate(logits + step) - surrogate(logits - step)) / 2e-5
        assert float(module.logits.grad[y, x]) == pytest.approx(expected, rel=1e-6, abs=1e-10)


def test_learned_mask_finds_the_points_that_lower_a_loss():
    module = learned(tile=(8, 8), acceleration=8, noise_std=0.05).train()
    worth = torch.zeros(8, 8)
    worth[2, :] = 1.0  # 8 of 64 points
    optimiser = torch.optim.Adam(module.parameters(), lr=0.1)
    for _ in range(150):
        optimiser.zero_grad()
        (-(module(16, (8, 8)) * (worth - 0.2)).sum() / 16).backward()
        optimiser.step()
    assert torch.equal(module.eval()(1, (8, 8))[0], worth)


def test_noise_falls_to_its_end_as_an_exponential():
    description = MaskDescription(kind="learned", noise_std=0.2, noise_end=0.05, noise_epochs=2.4)
    assert noise_of(description, 1) == pytest.approx(0.2)
    assert noise_of(description, 13) == pytest.approx(0.05 + 0.15 * math.exp(-5))  # 12 epochs later
    assert noise_of(MaskDescription(kind="learned", noise_std=0.2), 13) == 0.2
    module = LearnedMask(description)
    module.begin_epoch(13)
    assert module.noise_std == noise_of(description, 13)


def test_region_larger_than_the_budget_is_refused_with_both_numbers():
    description = MaskDescription(kind="learned", acceleration=8, calibration="square", center_fraction=0.34)
    with pytest.raises(BadInput, match=r"centre of 9 points \(calibration square, .*\) is more than 64 points / acceleration 8"):
        budget_of(description, (8, 8))  # 3 x 3 of 8 points
    with pytest.raises(ValueError, match="at most 1, else the centre alone exceeds the budget"):
        MaskDescription(kind="learned", acceleration=8, calibration="square", center_fraction=0.4)


@pytest.mark.parametrize("tile", [(28, 28), (30, 16), (20, 30)])
def test_tile_that_is_neither_kspace_nor_repeated_is_refused(tile):
    with pytest.raises(BadInput, match=rf"mask.tile is \({tile[0]}, {tile[1]}\), k-space is \(30, 30\) .*Set mask.tile to \[30, 30\]"):
        budget_of(MaskDescription(kind="learned", tile=tile), (30, 30))


def test_copy_of_a_module_samples_the_same():
    module = learned(tile=(28, 28)).eval()
    assert torch.equal(module(1, (28, 28)), copy.deepcopy(module)(1, (28, 28)))
