"""What training makes small. Each loss takes a reconstruction and its sample, and returns one value a slice."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from data.volumes.loading import Sample
from models.quality import ssim
from models.reconstruction import Reconstruction

Loss = Callable[[Reconstruction, Sample], Tensor]
"""Returns (batch,): the mean of it over a batch is what an optimiser step follows."""


def l1_loss(reconstruction: Reconstruction, sample: Sample) -> Tensor:
    """Mean absolute error of each slice, in units of the network: for a U-Net, of the standard deviation of its input. Returns (batch,)."""
    return (reconstruction.image - sample.target).abs().mean(dim=(-2, -1)) / reconstruction.scale


def ssim_loss(reconstruction: Reconstruction, sample: Sample) -> Tensor:
    """1 - SSIM of each slice, the data range being the largest value of its volume, as in fastMRI. Returns (batch,).

    In float32 the variances are differences of near equals: both images are divided by the data range first.
    """
    scale = sample.maximum[:, None, None]
    return 1 - ssim(reconstruction.image / scale, sample.target / scale, sample.maximum.new_ones(sample.maximum.shape))


LOSSES: dict[str, Loss] = {"l1": l1_loss, "ssim": ssim_loss}
"""By loss.kind."""
