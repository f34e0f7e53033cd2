"""What every network returns, so that losses and metrics fit all of them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Reconstruction(NamedTuple):
    """Images in the units of the target."""

    image: Tensor
    """(batch, y, x) real; (batch, frame, y, x) of a cine network."""
    scale: Tensor
    """(batch,): the size of one unit inside the network. Losses that are no ratios divide by it, since k-space may be at any scale."""
    complex_image: Tensor | None = None
    """(batch, y, x) complex: `image` with its phase, where coils are combined with sensitivity maps."""
    kspace: Tensor | None = None
    """(batch, coil, y, x) complex: the predicted k-space, of networks that predict one."""
    bottom: Tensor | None = None
    """(batch, channel, y, x) real: the features at the bottom of the U-Net, of networks that are one."""
    sampled: Tensor | None = None
    """(batch, y, x) bool: what the network has sampled itself of the k-space that it was given; None: what the sample's mask says."""
