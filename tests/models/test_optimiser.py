"""Learning rates by epoch and by part of the network, and which weights learn."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from data.errors import BadInput
from models.build import build_model
from models.config import read_config
from models.optimiser import OPTIMISERS, begins, build_optimiser, freeze, rest_frozen, set_rates
from models.training_config import OptimConfig
from models.weighting import UncertaintyWeighting


def network(**changed: object):
    model = {"kind": "stl_varnet", "cascades": 12, "chans": 1, "pools": 1, **changed}
    return build_model(read_config({"model": model, "data": {"layout": "fastmri", "root": "a"}}).network)


def optim(**values: Any) -> OptimConfig:
    values = {"model": {"kind": "unet"}, "data": {"layout": "fastmri", "root": "a"}, "optim": values}
    return read_config(values).optim


def rates(count: int, **values: Any) -> list[float]:
    """Learning rates of the first epochs, in the optimiser itself."""
    config = optim(lr=0.1, **values)
    optimiser = build_optimiser(config, network())
    found = []
    for epoch in range(1, count + 1):
        told = set_rates(optimiser, config, epoch)
        assert told == optimiser.param_groups[0]["lr"]
        found.append(told)
    return found


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_learning_rate_falls_by_gamma_after_step_epochs(kind):
    assert rates(5, kind=kind, schedule={"kind": "step", "step_epochs": 2}) == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"kind": "constant"}, [0.1, 0.1, 0.1, 0.1, 0.1]),
        ({"kind": "exponential", "gamma": 0.5}, [0.1, 0.05, 0.025, 0.0125, 0.00625]),
        ({"kind": "cosine", "epochs": 2}, [0.1, 0.05, 0.0, 0.0, 0.0]),
        ({"kind": "cosine", "epochs": 4, "last_factor": 0.5}, [0.1, 0.092678, 0.075, 0.057322, 0.05]),  # 0.05 + 0.05 (1 + cos) / 2
    ],
)
def test_learning_rate_follows_its_schedule(schedule, expected):
    assert rates(5, schedule=schedule) == pytest.approx(expected, abs=1e-6)


def test_warm_up_rises_to_the_learning_rate_and_shifts_the_schedule():
    found = rates(6, warmup_epochs=3, schedule={"kind": "exponential", "gamma": 0.5})
    assert found == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.05, 0.025])


def test_parts_have_learning_rates_of_their_own_and_the_longest_start_holds():
    config = optim(lr=0.1, lr_of={"cascades.1": 0.2, "cascades.1.eta": 0.3})
    model = network()
    optimiser = build_optimiser(config, model)
    set_rates(optimiser, optim(lr=0.1, warmup_epochs=1), 1)
    by_weight = {id(weights): group["lr"] for group in optimiser.param_groups for weights in group["params"]}
    found = {name: by_weight[id(weights)] for name, weights in model.named_parameters() if name.endswith("eta")}
    assert (found["cascades.0.eta"], found["cascades.1.eta"], found["cascades.10.eta"]) == pytest.approx((0.05, 0.15, 0.05))
    assert by_weight[id(model.get_parameter("cascades.1.regulariser.unet.decoder.out.weight"))] == pytest.approx(0.1)


def test_decoupled_decay_shrinks_weights_and_never_what_the_weighting_learns():
    model, weighting = network(), UncertaintyWeighting(2)
    optimiser = build_optimiser(optim(kind="adamw", lr=0.1, weight_decay=0.5), model, weighting)
    before = model.cascades[0].eta.item()
    for values in (*model.parameters(), *weighting.parameters()):
        values.grad = torch.zeros_like(values)
    optimiser.step()
    assert model.cascades[0].eta.item() == pytest.approx(before * (1 - 0.1 * 0.5))
    assert [value.item() for value in weighting.log_variances] == [-0.5, -0.5]


def test_frozen_parts_are_named_by_whole_parts_of_their_names():
    model = network(drop_prob=0.5)
    freeze(model, ("cascades.1",))
    frozen = {name.split(".")[1] for name, weights in model.named_parameters() if not weights.requires_grad}
    assert frozen == {"1"}
    learning = {id(weights) for group in build_optimiser(optim(), model).param_groups for weights in group["params"]}
    assert id(model.cascades[1].eta) not in learning
    assert id(model.cascades[10].eta) in learning
    model.train()
    rest_frozen(model, ("cascades.1",))
    assert [model.cascades[number].training for number in (0, 1, 10)] == [True, False, True]


@pytest.mark.parametrize(("name", "start", "is_one"), [("a.b", "a", True), ("a.b", "a.b", True), ("ab", "a", False), ("a.b", "a.", True)])
def test_start_of_a_name_is_whole_parts(name, start, is_one):
    assert begins(name, (start,)) is is_one


def test_names_that_fit_nothing_and_nothing_left_to_learn_are_told():
    with pytest.raises(BadInput, match=r"train.freeze: no weight's name begins with 'encoder'. The network begins with cascades"):
        freeze(network(), ("encoder",))
    with pytest.raises(BadInput, match=r"optim.lr_of: no weight's name begins with 'unet'"):
        build_optimiser(optim(lr_of={"unet": 1.0}), network())
    model = network()
    freeze(model, ("cascades",))
    with pytest.raises(BadInput, match=r"train.freeze leaves nothing to learn"):
        build_optimiser(optim(), model)
