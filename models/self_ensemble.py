"""Self-ensemble: the mean over mirrored and turned images, each mirrored and turned back (Timofte et al. 2016, arXiv 1511.02228)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Transform = Callable[[Tensor], Tensor]
"""Images (…, y, x) → the same, mirrored or turned; a turn by 90° exchanges y and x."""


def _flip(*axes: int) -> Transform:
    return lambda images: images.flip(axes)


def _turn(quarters: int) -> Transform:
    return lambda images: torch.rot90(images, quarters, dims=(-2, -1))


TRANSFORMS: dict[str, tuple[Transform, Transform]] = {
    "flip_y": (_flip(-2), _flip(-2)),
    "flip_x": (_flip(-1), _flip(-1)),
    "turn_90": (_turn(1), _turn(-1)),
    "turn_180": (_turn(2), _turn(-2)),
    "turn_270": (_turn(3), _turn(-3)),
    "transpose": (lambda images: images.mT, lambda images: images.mT),
    "antitranspose": (lambda images: images.mT.flip(-2, -1), lambda images: images.mT.flip(-2, -1)),
}
"""By model.ensemble: there and back. With the image as it is, these are all symmetries of a square."""


def self_ensemble(network: Transform, images: Tensor, names: Sequence[str]) -> Tensor:
    """Return the mean of what a network makes of `images` as they are and under each transform, turned back.

    images: (batch, channel, y, x). The network may change the channels, and must keep y and x.
    """
    total = network(images)
    for name in names:
        there, back = TRANSFORMS[name]
        total = total + back(network(there(images)))
    return total / (1 + len(names))
