"""The adversary: its losses against the formula, its gradients against finite differences, what it moves and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from data.volumes.unlabelled import Unlabelled
from models.federated.alignment import Alignment, Discriminator, domain_loss, pool
from models.federated.config import AlignmentConfig
from models.training_config import ConstantSchedule, OptimConfig, StepSchedule
from models.unet import ZeroFilledUnet
from tests.models.samples import draw_sample, to_double

CHANNELS = 8  # 2 channels, doubled by each of 2 poolings


class FixedTarget:
    """A target site with one batch."""

    def __init__(self, batch: Unlabelled) -> None:
        self.batch = batch
        self.asked: list[tuple[int, int, int]] = []

    def stream(self, client: int, round_number: int, *, first: int) -> Iterator[Unlabelled]:
        self.asked.append((client, round_number, first))
        while True:
            yield self.batch


@pytest.fixture
def model() -> ZeroFilledUnet:
    torch.manual_seed(1)
    return ZeroFilledUnet(chans=2, pools=2).double()


@pytest.fixture
def source() -> Tensor:
    return to_double(draw_sample(batch=3)).kspace


def alignment_of(model: ZeroFilledUnet, *, lr: float = 1e-3, weight: float = 1.0) -> Alignment:
    torch.manual_seed(2)
    sample = to_double(draw_sample(batch=2, size=(40, 30), crop=(30, 30), seed=9))
    config = AlignmentConfig(weight=weight, hidden=6, optim=OptimConfig(kind="rmsprop", lr=lr, schedule=ConstantSchedule()))
    alignment = Alignment(config, model, FixedTarget(Unlabelled(sample.kspace, sample.size)), client=1, channels=CHANNELS)
    alignment.discriminator.double()
    alignment.begin_round(1)
    return alignment


def bottom_of(model: ZeroFilledUnet, kspace: Tensor) -> Tensor:
    return model.features(kspace, (31, 32))


def confusion_by_hand(discriminator: Discriminator, source: Tensor, target: Tensor) -> Tensor:
    """-log(1 - p) of the client's features and -log p of the target's, p the probability of "client"."""
    p_source, p_target = (torch.sigmoid(discriminator(features)) for features in (source, target))
    return (-torch.log(1 - p_source).mean() - torch.log(p_target).mean()) / 2


def test_features_are_means_over_quarters_of_the_bottom():
    bottom = torch.arange(2 * 3 * 4 * 6, dtype=torch.float64).reshape(2, 3, 4, 6)
    quarters = bottom.reshape(2, 3, 2, 2, 2, 3).mean(dim=(3, 5))
    torch.testing.assert_close(pool(bottom), quarters.reshape(2, 12))
    assert pool(torch.zeros(1, 5, 1, 2)).shape == (1, 20)


def test_discriminator_is_the_published_one_but_for_its_output():
    torch.manual_seed(3)
    discriminator = Discriminator(12, 6)
    hidden = F.leaky_relu(F.linear(torch.ones(2, 12), *discriminator[0].parameters()), 0.2)
    assert torch.equal(discriminator(torch.ones(2, 12)), F.linear(hidden, *discriminator[2].parameters())[:, 0])


def test_loss_is_the_cross_entropy_and_falls_where_sites_are_told_apart():
    features = torch.tensor([[2.0], [-1.0]])
    discriminator = torch.nn.Flatten(0)
    expected = -(torch.log(torch.sigmoid(torch.tensor(2.0))) + torch.log(1 - torch.sigmoid(torch.tensor(-1.0)))) / 2
    torch.testing.assert_close(domain_loss(discriminator, features[:1], features[1:]), expected)
    assert domain_loss(discriminator, features[:1], features[1:]) < domain_loss(discriminator, features[1:], features[:1])


def test_network_is_drawn_towards_what_the_discriminator_mistakes(model, source):
    alignment = alignment_of(model, weight=0.5)
    bottom = bottom_of(model, source)
    term = alignment.term(bottom)
    features = pool(bottom), pool(model.features(*alignment._target.batch))
    torch.testing.assert_close(term, 0.5 * confusion_by_hand(alignment.discriminator, *features))


def test_gradient_reaches_the_encoder_alone_and_is_that_of_finite_differences(model, source):
    alignment = alignment_of(model, lr=1e-12)  # a discriminator that stays

    def confusion() -> Tensor:
        return confusion_by_hand(alignment.discriminator, pool(bottom_of(model, source)), pool(model.features(*alignment._target.batch)))

    alignment.term(bottom_of(model, source)).backward()
    assert all(weights.grad is None for weights in model.unet.decoder.parameters())
    gradients = {name: weights.grad for name, weights in model.unet.encoder.named_parameters()}
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in gradients.values())
    with torch.no_grad():
        for name, weights in model.unet.encoder.named_parameters():
            step = 1e-6 * gradients[name] / gradients[name].norm()
            weights += step
            above = confusion()
            weights -= 2 * step
            below = confusion()
            weights += step
            slope = (above - below) / 2e-6
            torch.testing.assert_close(slope, gradients[name].norm(), rtol=1e-3, atol=1e-8)


def test_a_step_against_the_term_makes_the_sites_harder_to_tell_apart(model, source):
    alignment = alignment_of(model, lr=3e-2)
    for _ in range(20):
        alignment.term(bottom_of(model, source))  # the adversary learns, the network does not move

    @torch.no_grad()
    def told_apart() -> float:
        return float(domain_loss(alignment.discriminator, pool(bottom_of(model, source)), pool(model.features(*alignment._target.batch))))

    before = told_apart()
    alignment.optimiser = torch.optim.SGD(alignment.discriminator.parameters(), lr=0.0)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-2)
    for _ in range(5):
        optimiser.zero_grad()
        alignment.term(bottom_of(model, source)).backward()
        optimiser.step()
    assert told_apart() > before + 1e-3


@pytest.mark.parametrize("cut", ["source", "target"])
def test_gradient_flows_through_the_features_of_both_sites(model, source, monkeypatch, cut):
    alignment = alignment_of(model)
    bottom = bottom_of(model, source)
    if cut == "source":
        bottom = bottom.detach()
    else:
        features = model.features
        monkeypatch.setattr(model, "features", lambda *given: features(*given).detach())
    alignment.term(bottom).backward()
    assert max(float(weights.grad.abs().max()) for weights in model.unet.encoder.parameters()) > 0


def test_discriminator_learns_from_features_and_never_from_the_term(model, source):
    alignment = alignment_of(model, lr=1e-2)
    losses = []
    for _ in range(30):
        term = alignment.term(bottom_of(model, source).detach())
        kept = {name: weights.clone() for name, weights in alignment.discriminator.state_dict().items()}
        gradients = [weights.grad.clone() for weights in alignment.discriminator.parameters()]
        term.backward()
        assert all(torch.equal(weights, kept[name]) for name, weights in alignment.discriminator.state_dict().items())
        assert all(torch.equal(weights.grad, was) for weights, was in zip(alignment.discriminator.parameters(), gradients, strict=True))
        losses.append(alignment.measured()["discriminator"])
    assert losses[-1] < losses[0] - 0.05  # means over the round so far
    assert alignment.measured()["accuracy"] > 0.8


def test_discriminator_has_a_schedule_of_its_own_whose_epochs_are_rounds(model):
    optim = OptimConfig(kind="rmsprop", lr=1e-2, schedule=StepSchedule(step_epochs=2, gamma=0.1))
    alignment = Alignment(AlignmentConfig(hidden=6, optim=optim), model, FixedTarget(None), client=1, channels=CHANNELS)
    rates = []
    for number in range(1, 5):
        alignment.begin_round(number)
        rates.append(alignment.optimiser.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3])


def test_what_an_adversary_reports_is_of_one_round(model, source):
    alignment = alignment_of(model)
    assert alignment.measured() == {}
    alignment.term(bottom_of(model, source))
    alignment.begin_round(1)  # resumed
    assert set(alignment.measured()) == {"generator", "discriminator", "accuracy"}
    alignment.begin_round(2)
    assert alignment.measured() == {}


def test_after_a_turn_the_target_is_asked_for_again_from_where_it_was(model, source):
    alignment = alignment_of(model)
    for _ in range(3):
        alignment.term(bottom_of(model, source))
    alignment.end_turn()
    alignment.term(bottom_of(model, source))
    alignment.end_turn()
    alignment.begin_round(2)
    alignment.term(bottom_of(model, source))
    assert alignment._target.asked == [(1, 1, 0), (1, 1, 3), (1, 2, 0)]
