"""The multi-task network: letters, weights of data consistency, tasks that come with the sample."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from data.errors import BadInput
from data.kspace.crop import center_crop
from models.multitask.blocks import AttentionShare, MultiHeadShare, Split, TrueShare
from models.multitask.varnet import MultiTaskVarNet
from tests.models import plain
from tests.models.samples import draw_sample, to_double


def make(blocks: str = "IVYW", **changed: object) -> MultiTaskVarNet:
    torch.manual_seed(0)
    return MultiTaskVarNet(blocks, **{"tasks": 2, "chans": 2, "pools": 2, **changed})


def test_each_step_is_shared_as_its_letter_says():
    kinds = [type(cascade.unet) for cascade in make("IIVYW").cascades]
    assert kinds == [TrueShare, TrueShare, Split, MultiHeadShare, AttentionShare]


@pytest.mark.parametrize(("share_etas", "expected"), [(True, 1), (False, 2)])
def test_weights_of_data_consistency_start_at_one_and_are_shared_or_one_a_task(share_etas, expected):
    model = make(share_etas=share_etas)
    assert [len(cascade.etas) for cascade in model.cascades] == [expected] * 4
    assert all(eta.item() == 1 for cascade in model.cascades for eta in cascade.etas)


def test_own_weights_of_data_consistency_move_with_their_task_alone():
    model = make(share_etas=False)
    model(draw_sample(task=1)).image.sum().backward()
    assert all(cascade.etas[0].grad is None and cascade.etas[1].grad is not None for cascade in model.cascades)


def test_network_follows_the_formula_for_each_task():
    model = make("VI", share_etas=False).double()
    for cascade in model.cascades:
        for number, eta in enumerate(cascade.etas):
            eta.data.fill_(0.3 + number)
    for task in range(2):
        sample = to_double(draw_sample(task=task))
        kspace, weights = sample.kspace, dict(model.named_parameters())
        for own in (plain.below(weights, f"cascades.0.unet.unets.{task}"), plain.below(weights, "cascades.1.unet.unet")):
            eta = torch.tensor(0.3 + task).double()
            kspace = plain.step(kspace, sample.kspace, sample.mask, sample.sens_maps, eta, partial(plain.unet, weights=own, pools=2))
        expected = (plain.transform(kspace, +1) * sample.sens_maps.conj()).sum(dim=1)
        torch.testing.assert_close(model(sample).complex_image, center_crop(expected, sample.size), rtol=1e-6, atol=1e-7)


def test_gradients_of_all_tasks_together_reach_every_parameter():
    model = make("IVYW", share_etas=False)
    for task in range(2):
        model(draw_sample(task=task)).image.square().sum().backward()
    untouched = [name for name, weights in model.named_parameters() if weights.grad is None or not weights.grad.any()]
    # the first step starts from what was measured; instance norm takes away what the first bias of each gate adds
    assert [name for name in untouched if ".unet.unet.tasks." not in name] == ["cascades.0.etas.0", "cascades.0.etas.1"]
    assert all(weights.grad is not None for weights in model.parameters())


def test_tasks_differ_only_where_something_is_their_own():
    same, own = make("II"), make("IV")
    assert torch.equal(same(draw_sample(task=0)).image, same(draw_sample(task=1)).image)
    assert not torch.equal(own(draw_sample(task=0)).image, own(draw_sample(task=1)).image)


@pytest.mark.parametrize(("size", "coils"), [((33, 31), 1), ((48, 17), 2)])
def test_any_size_and_number_of_coils_gives_images_of_the_size_of_the_target(size, coils):
    sample = draw_sample(batch=2, coils=coils, size=size, crop=(16, 15), task=1)
    assert make()(sample).image.shape == (2, 16, 15)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (None, r"the samples name no task.*stl_varnet"),
        ([0, 1], r"expected a batch of one task, got tasks \[0, 1\]"),
        ([2, 2], r"expected a task between 0 and 1, got 2. Set model.tasks"),
    ],
)
def test_missing_mixed_and_unknown_tasks_are_told(tasks, message):
    sample = draw_sample(batch=2)._replace(task=None if tasks is None else torch.tensor(tasks))
    with pytest.raises(BadInput, match=message):
        make()(sample)


def test_published_structures_have_the_parameters_of_their_unets():
    def count(blocks: str) -> int:
        return sum(weights.numel() for weights in MultiTaskVarNet(blocks).parameters())

    unet = 2_454_338
    assert count("I" * 12) == 12 * (unet + 1)
    assert count("IIVVVVVVVVVV") == (2 + 10 * 2) * unet + 12
