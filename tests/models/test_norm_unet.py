"""The normalised U-Net: padding and normalisation leave no trace."""

from __future__ import annotations

import pytest
import torch

from models.norm_unet import NormUnet, apply_normalised
from tests.models import plain


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (1, 5), (32, 47)])
def test_network_that_does_nothing_gives_the_image_back(size):
    image = draw(2, *size) * 1e-4 + 3
    torch.testing.assert_close(apply_normalised(lambda parts: parts, image), image)


@pytest.mark.parametrize(("size", "padded"), [((16, 16), (16, 16)), ((17, 31), (32, 32)), ((33, 48), (48, 48))])
def test_network_sees_parts_of_mean_zero_and_deviation_one_with_zeros_around(size, padded):
    seen = []
    apply_normalised(lambda parts: seen.append(parts) or parts, draw(2, *size) * 50 + 7)
    assert seen[0].shape == (2, 2, *padded)
    assert (seen[0] != 0).sum() == 2 * 2 * size[0] * size[1]
    torch.testing.assert_close(seen[0].sum(dim=(2, 3)), torch.zeros(2, 2).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(seen[0].square().sum(dim=(2, 3)), torch.full((2, 2), size[0] * size[1] - 1.0).double())


def test_network_follows_the_formula_and_any_positive_scale():
    model, image = NormUnet(chans=3, pools=2).double(), draw(2, 33, 20)
    expected = plain.normalised(lambda parts: plain.unet(parts, plain.below(dict(model.named_parameters()), "unet"), 2), image)
    torch.testing.assert_close(model(image), expected)
    torch.testing.assert_close(model(image * 1e-3), model(image) * 1e-3)
