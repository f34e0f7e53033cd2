"""Losses against values worked out by hand and against other implementations; frames of a series are further images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.metrics import structural_similarity

from data.errors import BadInput
from data.volumes.cine_sample import CineSample
from models.losses import LOSSES, build_loss, head_mask
from models.reconstruction import Reconstruction
from models.training_config import LossConfig
from tests.models.samples import draw_cine, draw_sample

MAGNITUDES = sorted(set(LOSSES) - {"complex_l1", "kspace_nmse"})


def of(image: torch.Tensor, **parts: torch.Tensor) -> Reconstruction:
    return Reconstruction(image=image, scale=torch.ones(len(image)), **parts)


def flat(value: float, truth: float, *, maximum: float = 2.0) -> tuple[Reconstruction, CineSample]:
    """Two series of three even frames."""
    target = torch.full((2, 3, 8, 9), truth)
    sample = CineSample(image=target, target=target, maximum=torch.full((2,), maximum), volume=torch.zeros(2, dtype=torch.int64))
    return of(torch.full_like(target, value)), sample


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        # 1.5 against 1.0 in a data range of 2: 0.75 against 0.5
        ("l1", 0.5),
        ("mae", 0.25),
        ("mse", 0.0625),
        ("bce", -0.5 * math.log(0.75) - 0.5 * math.log(0.25)),
        ("psnr", 10 * math.log10(0.0625)),
        ("ssim", 1 - (2 * 0.75 * 0.5 + 1e-4) / (0.75**2 + 0.5**2 + 1e-4)),
        ("masked_ssim", 1 - (2 * 0.75 * 0.5 + 1e-4) / (0.75**2 + 0.5**2 + 1e-4)),
    ],
)
def test_loss_of_even_images_is_known(kind, value):
    reconstruction, sample = flat(1.5, 1.0)
    torch.testing.assert_close(build_loss(LossConfig(kind=kind))(reconstruction, sample), torch.full((2,), value))


@pytest.mark.parametrize("kind", MAGNITUDES)
def test_loss_of_a_series_is_the_mean_over_its_frames(kind):
    sample = draw_cine(batch=2, frames=3)
    loss, whole = LOSSES[kind], LOSSES[kind](of(sample.image), sample)
    frames = [
        loss(of(sample.image[:, [frame]]), sample._replace(image=sample.image[:, [frame]], target=sample.target[:, [frame]]))
        for frame in range(3)
    ]
    torch.testing.assert_close(whole, torch.stack(frames).mean(dim=0))


@pytest.mark.parametrize("kind", sorted(set(MAGNITUDES) - {"bce"}))
def test_loss_is_least_at_the_truth_and_its_gradient_points_there(kind):
    sample = draw_sample(batch=2)
    image = (sample.target * 0.9 + 0.02).requires_grad_()
    loss = LOSSES[kind](of(image), sample)
    loss.sum().backward()
    nearer = image.detach() - 1e-3 * image.grad / image.grad.abs().max()
    assert (LOSSES[kind](of(nearer), sample) < loss).all()
    assert (LOSSES[kind](of(sample.target), sample) < loss).all()


@pytest.mark.parametrize("kind", MAGNITUDES)
def test_loss_is_finite_with_its_gradient_at_the_truth_and_beyond_the_data_range(kind):
    sample = draw_sample()
    for image in (sample.target.clone(), 3 * sample.target, -sample.target):
        loss = LOSSES[kind](of(image.requires_grad_()), sample).sum()
        loss.backward()
        assert loss.isfinite()
        assert image.grad.isfinite().all()


@pytest.mark.parametrize("kind", sorted(set(MAGNITUDES) - {"l1", "masked_ssim"}))
def test_loss_does_not_depend_on_the_units_of_the_data(kind):
    sample = draw_sample()
    small = sample._replace(target=1e-6 * sample.target, maximum=1e-6 * sample.maximum)
    image = 0.8 * sample.target + 0.05
    torch.testing.assert_close(LOSSES[kind](of(1e-6 * image), small), LOSSES[kind](of(image), sample), rtol=1e-4, atol=1e-6)


def test_threshold_that_leaves_no_head_is_told():
    sample = draw_sample()
    with pytest.raises(BadInput, match=r"loss.mask_threshold is 5, but a volume's largest value is .* Lower it"):
        build_loss(LossConfig(kind="masked_ssim", mask_threshold=5.0))(of(sample.target), sample)


def test_complex_loss_counts_real_and_imaginary_part_in_units_of_the_network():
    sample = draw_sample()._replace(complex_target=torch.zeros(1, 31, 32, dtype=torch.complex64))
    image = torch.full((1, 31, 32), 3 - 1j)
    found = LOSSES["complex_l1"](Reconstruction(image=image.abs(), scale=torch.tensor([4.0]), complex_image=image), sample)
    torch.testing.assert_close(found, torch.tensor([0.5]))  # (3 + 1) / 2 / 4


def test_kspace_loss_is_the_error_by_the_energy_of_all_coils():
    sample = draw_sample(batch=2)
    truth = sample.kspace + 1
    found = LOSSES["kspace_nmse"](of(sample.target, kspace=truth * torch.tensor([0.5, 1j])[:, None, None, None]), with_truth(sample, truth))
    torch.testing.assert_close(found, torch.tensor([0.25, 2.0]))  # |0.5 - 1|^2, |i - 1|^2


def with_truth(sample, full_kspace):
    """A sample that has its fully sampled k-space."""
    return sample._replace(full_kspace=full_kspace)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("complex_l1", r"complex_l1, but this network returns magnitudes\. Choose l1"), ("kspace_nmse", r"this network predicts no k-space")],
)
def test_loss_that_a_network_cannot_have_is_told(kind, message):
    with pytest.raises(BadInput, match=message):
        LOSSES[kind](of(draw_sample().target), draw_sample())


@pytest.mark.parametrize("shape", [(41, 53), (96, 70)])
def test_head_is_found_as_by_eroding_and_dilating_step_by_step(shape):
    target = (torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)) > 0.98).float()
    target[0, 10:30, 12:40] = 1
    square = np.ones((3, 3))
    for image, found in zip(target.numpy(), head_mask(target * 6e-5, 5e-5), strict=True):
        wanted = ndimage.binary_erosion(image, square, border_value=1)
        wanted = ndimage.binary_dilation(wanted, square, iterations=15)
        wanted = ndimage.binary_erosion(wanted, square, iterations=14, border_value=1)
        np.testing.assert_array_equal(found.numpy(), wanted)


def test_masked_similarity_sees_nothing_outside_of_the_head():
    target = torch.zeros(1, 90, 90)
    target[:, 35:55, 35:55] = torch.rand(20, 20, generator=torch.Generator().manual_seed(0)) + 0.5
    sample = draw_sample()._replace(target=target, maximum=torch.ones(1))
    wrong_outside = target + (head_mask(target, 5e-5) == 0)
    loss = build_loss(LossConfig(kind="masked_ssim"))
    torch.testing.assert_close(loss(of(wrong_outside), sample), torch.zeros(1))
    blurred = ndimage.uniform_filter(target[0].numpy(), 3)
    expected = 1 - structural_similarity(blurred * head_mask(target, 5e-5)[0].numpy(), target[0].numpy(), data_range=1.0)
    found = loss(of(torch.from_numpy(blurred)[None]), sample)
    assert found.item() == pytest.approx(expected, rel=1e-3)


def test_slice_without_any_signal_counts_nothing_and_passes_no_nan_on():
    truth = torch.randn(2, 3, 8, 7, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    truth[1] = 0
    kspace = (truth + 0.1).requires_grad_()
    sample = with_truth(draw_sample(), truth)
    found = LOSSES["kspace_nmse"](of(sample.target)._replace(kspace=kspace), sample)
    expected = (0.1**2 * truth[0].numel()) / truth[0].abs().square().sum()
    torch.testing.assert_close(found, torch.stack([expected, torch.zeros(())]))
    found.mean().backward()
    assert kspace.grad is not None and kspace.grad.isfinite().all()
    assert kspace.grad[0].abs().sum() > 0 and not kspace.grad[1].any()
