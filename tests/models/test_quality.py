"""Losses and metrics against scikit-image and against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from data.errors import BadInput
from data.volumes.loading import Sample
from models.losses import l1_loss, ssim_loss
from models.quality import ssim, volume_quality
from models.reconstruction import Reconstruction


def draw_volume(shape=(3, 21, 17), scale=1e-4, noise=0.1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(shape, generator=generator, dtype=torch.float64).cumsum(-1) * scale
    return target + noise * scale * torch.randn(shape, generator=generator, dtype=torch.float64), target


def as_sample(target: torch.Tensor, maximum: float) -> Sample:
    empty = torch.zeros(len(target))
    return Sample(empty, empty, target, torch.full((len(target),), maximum), empty, empty, empty)


@pytest.mark.parametrize("shape", [(1, 7, 7), (3, 21, 17), (2, 16, 33)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_volume_metrics_equal_those_of_scikit_image(shape, scale):
    image, target = draw_volume(shape, scale)
    found = volume_quality(image, target)
    x, y, peak = image.numpy(), target.numpy(), float(target.max())
    similarity = np.mean([structural_similarity(b, a, data_range=peak) for a, b in zip(x, y, strict=True)])
    assert found.ssim == pytest.approx(similarity, rel=1e-9)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(y, x, data_range=peak), rel=1e-9)
    assert found.mse == pytest.approx(mean_squared_error(y, x), rel=1e-9)
    assert found.nmse == pytest.approx(np.linalg.norm(x - y) ** 2 / np.linalg.norm(y) ** 2, rel=1e-9)


def test_metrics_of_a_volume_are_known_for_simple_errors():
    target = torch.ones(2, 8, 9)
    perfect, half = volume_quality(target, target), volume_quality(target / 2, target)
    assert perfect == (0.0, 0.0, 0.0, math.inf, 1.0)
    assert (half.mse, half.nmse, half.nrmse) == pytest.approx((0.25, 0.25, 0.5))  # (1/2)^2 / 1
    assert half.psnr == pytest.approx(10 * math.log10(4))


def test_ssim_is_differentiable_and_highest_at_the_truth():
    image, target = draw_volume()
    image.requires_grad_()
    peak = target.max().expand(3)
    (1 - ssim(image, target, peak)).sum().backward()
    step = image.detach() - 1e-6 * image.grad / image.grad.norm()
    assert (ssim(step, target, peak).sum() > ssim(image.detach(), target, peak).sum()).item()


@pytest.mark.parametrize("shapes", [((1, 6, 9), (1, 6, 9)), ((1, 9, 9), (1, 9, 8))])
def test_images_that_cannot_be_compared_are_told_with_their_shapes(shapes):
    with pytest.raises(BadInput, match=r"y and x at least 7, got \(1, "):
        ssim(torch.zeros(shapes[0]), torch.zeros(shapes[1]), torch.ones(1))


def test_l1_loss_counts_in_units_of_the_network():
    target = torch.zeros(2, 4, 4)
    reconstruction = Reconstruction(image=torch.stack([torch.full((4, 4), 3.0), torch.full((4, 4), -8.0)]), scale=torch.tensor([1.0, 4.0]))
    torch.testing.assert_close(l1_loss(reconstruction, as_sample(target, 1.0)), torch.tensor([3.0, 2.0]))


@pytest.mark.parametrize("scale", [1e-6, 1.0])
def test_ssim_loss_uses_the_largest_value_of_the_volume(scale):
    image, target = draw_volume(scale=scale)
    maximum = 2 * float(target.max())  # of another slice of the volume
    expected = [1 - structural_similarity(y.numpy(), x.numpy(), data_range=maximum) for x, y in zip(image, target, strict=True)]
    found = ssim_loss(Reconstruction(image=image.float(), scale=torch.ones(3)), as_sample(target.float(), maximum))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3)
