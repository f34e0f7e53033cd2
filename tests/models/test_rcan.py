"""The residual channel attention network: what a block computes, its weights, its sizes, and its gradients computed twice."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.rcan import AttentionBlock, Rcan

SMALL = {"groups": 2, "blocks": 2, "chans": 8, "reduction": 2}


def make(**changed: object) -> Rcan:
    torch.manual_seed(0)
    return Rcan(**{**SMALL, **changed}).double()


def draw(batch: int, chans: int, size: tuple[int, int]) -> Tensor:
    return torch.randn(batch, chans, *size, dtype=torch.double, generator=torch.Generator().manual_seed(1))


def count(network: Rcan) -> int:
    return sum(weights.numel() for weights in network.parameters())


def test_full_size_has_as_many_weights_as_the_published_network():
    block = (160 * 40 + 40) + (9 * 40 * 40 + 40) + (40 * 160 + 160)  # 1x1, 3x3, 1x1 with biases
    attention = (160 * 10 + 10) + (10 * 160 + 160)
    group = 25 * (block + attention) + (9 * 160 * 160 + 160)
    ends = (9 * 2 * 160 + 160) + (9 * 160 * 160 + 160) + (9 * 160 + 1)  # into features, after the groups, out
    assert 4 * group + ends == 4_238_281
    with torch.device("meta"):
        assert count(Rcan()) == 4 * group + ends


def test_plain_blocks_have_fifteen_times_the_weights_of_bottlenecks():
    plain = 2 * (9 * 160 * 160 + 160) + (160 * 10 + 10) + (10 * 160 + 160)
    with torch.device("meta"):
        assert sum(weights.numel() for weights in AttentionBlock(160, bottleneck=False, reduction=16, res_scale=1).parameters()) == plain
        bottleneck = AttentionBlock(160, bottleneck=True, reduction=16, res_scale=1)
    assert sum(weights.numel() for weights in bottleneck.parameters()) == 30_810
    assert plain / 30_810 == pytest.approx(15.1, abs=0.1)


@pytest.mark.parametrize("bottleneck", [False, True])
def test_block_is_that_of_the_paper(bottleneck):
    """x + s sigmoid(W2 relu(W1 mean(b))) b, written out; b the convolutions with a ReLU between any two."""
    torch.manual_seed(0)
    block, features = AttentionBlock(8, bottleneck=bottleneck, reduction=4, res_scale=0.3).double(), draw(2, 8, (5, 6))
    weights = {name: each.detach() for name, each in block.named_parameters()}
    kernels = [weights[f"body.{place}.weight"] for place in range(0, 5 if bottleneck else 3, 2)]
    assert [tuple(each.shape) for each in kernels] == ([(2, 8, 1, 1), (2, 2, 3, 3), (8, 2, 1, 1)] if bottleneck else [(8, 8, 3, 3)] * 2)
    body = features
    for place, kernel in enumerate(kernels):
        body = F.conv2d(body if place == 0 else body.clamp_min(0), kernel, weights[f"body.{2 * place}.bias"], padding=kernel.shape[-1] // 2)
    squeezed = (body.mean(dim=(2, 3)) @ weights["attention.squeeze.weight"][..., 0, 0].T + weights["attention.squeeze.bias"]).clamp_min(0)
    excited = squeezed @ weights["attention.excite.weight"][..., 0, 0].T + weights["attention.excite.bias"]
    expected = features + 0.3 * body / (1 + torch.exp(-excited))[..., None, None]
    torch.testing.assert_close(block(features), expected)


def test_without_what_groups_add_the_skips_carry_the_features_through():
    network = make()
    images = draw(1, 2, (7, 9))
    for layer in (*(group.body[-1] for group in network.groups), network.last):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    shallow = network.head(images)
    torch.testing.assert_close(network.groups[0](shallow), shallow)
    torch.testing.assert_close(network(images), network.tail(shallow))


@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (17, 23), (32, 5)])
def test_any_size_and_batch_is_taken_and_images_of_a_batch_know_nothing_of_each_other(size, bottleneck):
    network, images = make(bottleneck=bottleneck), draw(3, 2, size)
    together = network(images)
    assert together.shape == (3, 1, *size)
    torch.testing.assert_close(together, torch.cat([network(images[place : place + 1]) for place in range(3)]))


@pytest.mark.parametrize("bottleneck", [False, True])
def test_groups_computed_twice_give_the_same_gradients(bottleneck):
    network, images = make(bottleneck=bottleneck), draw(2, 2, (9, 7)).requires_grad_()
    gradients = []
    for recompute in (False, True):
        loss = network(images, recompute=recompute).square().sum()
        gradients.append(torch.autograd.grad(loss, [images, *network.parameters()]))
    assert all(gradient.abs().max() > 0 for gradient in gradients[0])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(again, plain, rtol=1e-12, atol=1e-14)


def test_only_what_enters_a_group_is_kept():
    network, images = make(groups=3, blocks=4), draw(1, 2, (16, 16))
    kept: set[int] = set()
    with torch.autograd.graph.saved_tensors_hooks(lambda values: kept.add(values.data_ptr()) or values, lambda values: values):
        network(images, recompute=True)
    weights = {each.data_ptr() for each in network.parameters()}
    # the images, what enters three groups (the first: the features that the long skip keeps too), the last group's, the sum before the tail
    assert len(kept - weights) <= 6
