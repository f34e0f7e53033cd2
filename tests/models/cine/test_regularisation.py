"""Layers after convolutions: over which axes they normalise."""

from __future__ import annotations

import pytest
import torch

from models.cine.dropblock import DropBlock
from models.cine.regularisation import SeenAxesNorm, kernel_penalty, layer_after
from models.regularisation_config import DropBlocks


@pytest.mark.parametrize(("kernel", "axes"), [((3, 3, 3), (2, 3, 4)), ((1, 3, 3), (3, 4)), ((3, 1, 1), (2,)), ((3, 1, 3), (2, 4))])
def test_norm_is_over_the_axes_that_the_convolution_sees(kernel, axes):
    image = torch.randn(2, 3, 5, 6, 7, dtype=torch.float64) * 40 + 9
    found = SeenAxesNorm(3, kernel).double()(image)
    torch.testing.assert_close(found.mean(dim=axes), torch.zeros_like(found.mean(dim=axes)))
    torch.testing.assert_close(found.std(dim=axes, correction=0), torch.ones_like(found.mean(dim=axes)), rtol=1e-3, atol=0)


def test_norm_of_even_values_is_zero_with_a_finite_gradient():
    image = torch.full((1, 2, 3, 4, 4), 5.0, requires_grad=True)
    found = SeenAxesNorm(2, (3, 1, 1))(image)
    found.square().sum().backward()
    assert found.abs().max() == 0
    assert torch.isfinite(image.grad).all()


@pytest.mark.parametrize(("kernel", "block"), [((3, 3, 3), (4, 4, 4)), ((1, 3, 3), (1, 4, 4)), ((3, 1, 3), (4, 1, 4)), ((3, 1, 1), None)])
def test_blocks_lie_in_what_the_convolution_sees_and_not_along_time_alone(kernel, block):
    layer = layer_after(2, kernel, DropBlocks(block_size=4))
    assert (layer.block if isinstance(layer, DropBlock) else None) == block


def test_penalties_are_sums_over_kernels():
    kernel, bias = torch.tensor([[[1.0, -2.0]]], requires_grad=True), torch.tensor([10.0])
    assert kernel_penalty([kernel, bias], l1=0.1, l2=0.01).item() == pytest.approx(0.1 * 3 + 0.01 * 5)
    kernel_penalty([kernel, bias], l1=1.0).backward()
    assert kernel.grad.flatten().tolist() == [1, -1]
