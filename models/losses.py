"""What training makes small. Each loss takes a reconstruction and its sample, and returns one value an image; frames are images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from data.errors import BadInput
from data.volumes.cine_sample import CineSample
from data.volumes.loading import Sample
from models.quality import ssim
from models.reconstruction import Reconstruction
from models.training_config import LossConfig

Loss = Callable[[Reconstruction, Sample | CineSample], Tensor]
"""Returns (batch,): the mean of it over a batch is what an optimiser step follows."""

NEAREST_PROBABILITY = 1e-7
"""bce keeps its images this far from 0 and 1, as Keras does."""
SMALLEST_ERROR = 1e-12
"""Mean squared error, in parts of the squared data range, below which psnr does not fall: 120 dB."""


def build_loss(config: LossConfig) -> Loss:
    """Return the loss of a config."""
    if config.kind == "masked_ssim":
        return partial(masked_ssim_loss, threshold=config.mask_threshold)
    return LOSSES[config.kind]


def l1_loss(reconstruction: Reconstruction, sample: Sample | CineSample) -> Tensor:
    """Mean absolute error of each slice, in units of the network: for a U-Net, of the standard deviation of its input. Returns (batch,)."""
    return _each(reconstruction.image - sample.target, torch.abs) / reconstruction.scale


def complex_l1_loss(reconstruction: Reconstruction, sample: Sample | CineSample) -> Tensor:
    """(|Re x - Re x0| + |Im x - Im x0|) / 2, averaged over each slice, in units of the network. Returns (batch,)."""
    image, target = reconstruction.complex_image, sample.complex_target if isinstance(sample, Sample) else None
    if image is None or target is None:
        lacking = "this network returns magnitudes" if image is None else "these data have a magnitude as target"
        raise BadInput(f"loss.kind is complex_l1, but {lacking}. Choose l1, or stl_varnet or mtl_varnet on data with sensitivity maps.")
    return torch.view_as_real(image - target).abs().mean(dim=(-3, -2, -1)) / reconstruction.scale


def mse_loss(reconstruction: Reconstruction, sample: Sample | CineSample) -> Tensor:
    """Mean squared error of each slice, the images divided by the data range. Returns (batch,)."""
    image, target = _in_data_range(reconstruction, sample)
    return _each(image - target, torch.square)


def mae_loss(reconstruction: Reconstruction, sample: Sample | CineSample) -> Tensor:
    """Mean absolute error of each slice, the images divided by the data range. Returns (batch,)."""
    image, target = _in_data_range(reconstruction, sample)
    return _each(image - target, torch.abs)


def bce_loss(reconstruction: Reconstruction, sample: Sample | CineSample) -> Tensor:
    """Mean of -x0 log x - (1 - x0) log(1 - x), the images divided by the data range and clamped to (0, 1). Returns (batch,).

    Where the image lies outside of the data range, no gradient flows. At the truth it is the entropy of the truth, not 0.
    """
    image, target = _in_data_range(reconstruction, sample)
    probability = image.clamp(NEAREST_PROBABILITY, 1 - NEAREST_PROBABILITY)
    return F.binary_cross_entropy(probability, target.clamp(0, 1), reduction="none").flatten(1).mean(dim=1)


def ssim_loss(reconstruction: Reconstruction, sample: Sample | CineSample) -> Tensor:
    """1 - SSIM of each slice, the data range being the largest value of its volume, as in fastMRI; the mean over frames. Returns (batch,).

    In float32 the variances are differences of near equals: both images are divided by the data range first.
    """
    image, target = _in_data_range(reconstruction, sample)
    return 1 - _ssim_of_frames(image, target)


def psnr_loss(reconstruction: Reconstruction, sample: Sample | CineSample) -> Tensor:
    """-PSNR = 10 log10(MSE / data range ** 2) of each slice [dB]; the mean over frames. Returns (batch,)."""
    image, target = _in_data_range(reconstruction, sample)
    error = (image - target).square().mean(dim=(-2, -1)).clamp_min(SMALLEST_ERROR)
    return (10 * torch.log10(error)).reshape(len(error), -1).mean(dim=1)


def masked_ssim_loss(
    reconstruction: Reconstruction, sample: Sample | CineSample, *, threshold: float = LossConfig().mask_threshold
) -> Tensor:
    """1 - SSIM of each slice within the head: outside of it both images are 0 (2022 SNU fastMRI challenge). Returns (batch,)."""
    image, target = _in_data_range(reconstruction, sample)
    if (sample.maximum <= threshold).any():
        largest = float(sample.maximum.min())
        raise BadInput(f"loss.mask_threshold is {threshold:g}, but a volume's largest value is {largest:g}: no head is left. Lower it.")
    head = head_mask(sample.target, threshold)
    return 1 - _ssim_of_frames(image * head, target * head)


def head_mask(target: Tensor, threshold: float) -> Tensor:
    """Return where the head is: target > threshold, eroded once, dilated 15 times, eroded 14 times with a square of 3 x 3.

    target: (…, y, x). Returns the same shape, 1 inside and 0 outside. The square beyond the edge of the image counts for nothing.
    """
    images = (target > threshold).to(target.dtype).reshape(-1, 1, *target.shape[-2:])
    return _eroded(_dilated(_eroded(images, 1), 15), 14).reshape(target.shape)


def kspace_nmse_loss(reconstruction: Reconstruction, sample: Sample | CineSample) -> Tensor:
    """|k - k0|^2 / |k0|^2 over all coils and points of each slice, k0 the fully sampled k-space. Returns (batch,).

    A slice without any signal counts 0: there is nothing to find in it.
    """
    kspace, truth = reconstruction.kspace, sample.full_kspace if isinstance(sample, Sample) else None
    if kspace is None or truth is None:
        lacking = "this network predicts no k-space" if kspace is None else "these data hold no fully sampled k-space"
        raise BadInput(f"loss.kind is kspace_nmse, but {lacking}. Choose a VarNet, and data that are fully sampled.")
    power = _each(truth, _squared)
    is_empty = power == 0
    # the inner where keeps 0 / 0 out of the gradient, the outer one out of the value
    return torch.where(is_empty, 0.0, _each(kspace - truth, _squared) / torch.where(is_empty, 1.0, power))


LOSSES: dict[str, Loss] = {
    "l1": l1_loss,
    "complex_l1": complex_l1_loss,
    "mse": mse_loss,
    "mae": mae_loss,
    "bce": bce_loss,
    "ssim": ssim_loss,
    "psnr": psnr_loss,
    "masked_ssim": masked_ssim_loss,
    "kspace_nmse": kspace_nmse_loss,
}
"""By loss.kind."""


def _in_data_range(reconstruction: Reconstruction, sample: Sample | CineSample) -> tuple[Tensor, Tensor]:
    scale = sample.maximum.reshape(-1, *[1] * (sample.target.dim() - 1))
    return reconstruction.image / scale, sample.target / scale


def _each(values: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the mean of a measure over each image of a batch. values: (batch, …). Returns (batch,)."""
    return measure(values).mean(dim=tuple(range(1, values.dim())))


def _squared(values: Tensor) -> Tensor:
    return torch.view_as_real(values).square().sum(dim=-1)


def _ssim_of_frames(image: Tensor, target: Tensor) -> Tensor:
    """image, target: (batch, y, x) or (batch, frame, y, x), data range 1. Returns (batch,)."""
    frames = image.reshape(-1, *image.shape[-2:])
    return ssim(frames, target.reshape(frames.shape), frames.new_ones(len(frames))).reshape(len(image), -1).mean(dim=1)


def _dilated(images: Tensor, times: int) -> Tensor:
    return F.max_pool2d(images, kernel_size=2 * times + 1, stride=1, padding=times)


def _eroded(images: Tensor, times: int) -> Tensor:
    return -_dilated(-images, times)
