"""One unrolled step of a variational network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from data.kspace.coils import expand, reduce
from data.kspace.fourier import fftc, ifftc
from models.norm_unet import NormUnet
from models.recompute import run

Regulariser = Callable[[Tensor], Tensor]
"""Complex images (batch, y, x) → the same shape."""


class Cascade(nn.Module):
    """A step with a NormUnet and a learned weight of data consistency of its own."""

    def __init__(self, *, chans: int = 18, pools: int = 4, drop_prob: float = 0.0) -> None:
        super().__init__()
        self.regulariser = NormUnet(chans=chans, pools=pools, drop_prob=drop_prob)
        self.eta = nn.Parameter(torch.ones(1))

    def forward(self, kspace: Tensor, reference: Tensor, mask: Tensor, sens_maps: Tensor) -> Tensor:
        """Take the step. Shapes as in `unrolled_step`."""
        return unrolled_step(kspace, reference, mask, sens_maps, eta=self.eta, regulariser=self.regulariser)


def unrolled_step(kspace: Tensor, reference: Tensor, mask: Tensor, sens_maps: Tensor, *, eta: Tensor, regulariser: Regulariser) -> Tensor:
    """Return k - eta M (k - k_ref) - E(U(R(k))), a gradient step with a learned regulariser U (Sriram et al. 2020, arXiv 2004.06688).

    R(k) combines the coil images of k with the sensitivities, E(x) is the k-space of each coil's view of x.
    kspace, reference (the measured one), sens_maps: (batch, coil, y, x) complex. mask: bool, broadcast against them, True where
    a sample was measured. Returns (batch, coil, y, x).
    """
    data_consistency = eta * torch.where(mask, kspace - reference, 0)
    refinement = fftc(expand(regulariser(reduce(ifftc(kspace), sens_maps)), sens_maps))
    return kspace - data_consistency - refinement


def unroll(cascades: Iterable[nn.Module], kspace: Tensor, *given: Any, recompute: bool) -> Tensor:
    """Take step after step, each on the device where its weights are. kspace: (batch, coil, y, x). Returns the same shape, on its device.

    given: what every step gets besides, tensors and others.
    """
    home = kspace.device
    for cascade in cascades:
        device = next(cascade.parameters()).device
        if device != kspace.device:
            kspace = kspace.to(device)
            given = tuple(each.to(device) if isinstance(each, Tensor) else each for each in given)
        kspace = run(cascade, kspace, *given, recompute=recompute)
    return kspace.to(home)


def measured(mask: Tensor) -> Tensor:
    """Give a mask the axes of k-space. mask: (batch, y or 1, x), of points or of columns. Returns (batch, 1, y or 1, x)."""
    return mask[:, None]
