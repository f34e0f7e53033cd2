"""Variational networks for one task: end to end, with learned sensitivities, and unrolled on given ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data.errors import BadInput
from data.kspace.coils import reduce, rss
from data.kspace.crop import center_crop
from data.kspace.fourier import ifftc
from data.volumes.loading import Sample
from models.cascade import Cascade, measured, unroll
from models.network import Network
from models.reconstruction import Reconstruction
from models.sensitivity import SensitivityNet
from models.unet import normalise_instance


class EndToEndVarNet(Network):
    """The end-to-end variational network (Sriram et al. 2020, arXiv 2004.06688): x = RSS(F^H k_T), k_0 the measured k-space."""

    def __init__(
        self, *, cascades: int = 12, chans: int = 18, pools: int = 4, sens_chans: int = 8, sens_pools: int = 4, drop_prob: float = 0.0
    ) -> None:
        super().__init__()
        self.sensitivity = SensitivityNet(chans=sens_chans, pools=sens_pools)
        self.cascades = nn.ModuleList(Cascade(chans=chans, pools=pools, drop_prob=drop_prob) for _ in range(cascades))

    def forward(self, sample: Sample) -> Reconstruction:
        """Reconstruct a batch. sample.kspace: (batch, coil, y, x) complex. Returns images (batch, size y, size x)."""
        sens_maps = self.sensitivity(sample.kspace, sample.mask, recompute=self.recompute)
        kspace = unroll(self.cascades, sample.kspace, sample.kspace, measured(sample.mask), sens_maps, recompute=self.recompute)
        # the norm is the root of the sum of squares, with a gradient where all coils are zero
        image = torch.linalg.vector_norm(ifftc(kspace), dim=1)
        return Reconstruction(image=center_crop(image, sample.size), scale=unit_of(sample), kspace=kspace)


class UnrolledVarNet(Network):
    """A variational network on given sensitivities, such as ESPIRiT maps (Hammernik et al. 2018; blocks of Sriram et al. 2020)."""

    def __init__(self, *, cascades: int = 12, chans: int = 18, pools: int = 4, drop_prob: float = 0.0) -> None:
        super().__init__()
        self.cascades = nn.ModuleList(Cascade(chans=chans, pools=pools, drop_prob=drop_prob) for _ in range(cascades))

    def forward(self, sample: Sample) -> Reconstruction:
        """Reconstruct a batch. sample.kspace, sample.sens_maps: (batch, coil, y, x) complex. Returns images (batch, size y, size x)."""
        sens_maps = given_maps(sample)
        kspace = unroll(self.cascades, sample.kspace, sample.kspace, measured(sample.mask), sens_maps, recompute=self.recompute)
        return combined(kspace, sens_maps, sample)


def given_maps(sample: Sample) -> Tensor:
    """Return the sensitivity maps of a sample, (batch, coil, y, x). Raises BadInput where there are none or they do not fit."""
    shape = tuple(sample.kspace.shape)
    if sample.sens_maps is None:
        raise BadInput(
            f"varnet: expected sens_maps {shape}, the data hold none. Choose data with sensitivity maps, or model.kind e2e_varnet, "
            "which estimates them."
        )
    if tuple(sample.sens_maps.shape) != shape:
        raise BadInput(f"varnet: expected sens_maps {shape} (batch, coil, y, x), as kspace, got {tuple(sample.sens_maps.shape)}.")
    return sample.sens_maps


def combined(kspace: Tensor, sens_maps: Tensor, sample: Sample) -> Reconstruction:
    """Combine the coils of the last k-space, x = R(k_T). kspace, sens_maps: (batch, coil, y, x). Returns images (batch, size y, size x)."""
    image = center_crop(reduce(ifftc(kspace), sens_maps), sample.size)
    return Reconstruction(image=image.abs(), scale=unit_of(sample), complex_image=image, kspace=kspace)


@torch.no_grad()
def unit_of(sample: Sample) -> Tensor:
    """Return (batch,): the standard deviation of each zero-filled image, the unit that `ZeroFilledUnet` counts in."""
    return normalise_instance(center_crop(rss(ifftc(sample.kspace)), sample.size))[2].flatten()
