"""Radial sampling at tiny golden angles, and the image that gridding makes of too few spokes: streaks."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

from data.kspace.fourier import fftc, ifftc

Real = NDArray[np.float64]


def tiny_golden_angle(order: int) -> float:
    """Return the angle [rad] from one spoke to the next: 111.25 degrees for order 1, 23.63 for order 7 (Wundrak 2015)."""
    return pi / ((1 + sqrt(5)) / 2 + order - 1)


def spoke_points(angles: Real, size: tuple[int, int]) -> tuple[Real, Real]:
    """Return points and weights of one half of each spoke, from the centre outwards; the other half mirrors them.

    angles: (spoke,) [rad]. size: (y, x). Returns points (2, n), in y and x [cycles by pixel, at most 0.5], and weights (n,): the area
    that a point stands for, where the spokes were spread evenly (Ram-Lak). Readouts are oversampled twice.
    """
    count = max(size)
    radii = np.arange(count + 1) / (2 * count)
    rings = radii * (0.5 / count)
    rings[0] = (0.25 / count) ** 2 / 2
    rings[-1] /= 2
    points = np.stack((np.multiply.outer(np.sin(angles), radii).ravel(), np.multiply.outer(np.cos(angles), radii).ravel()))
    return points, np.tile(rings * pi / len(angles), len(angles))


def point_spread(angles: Real, size: tuple[int, int]) -> Real:
    """Return what the adjoint of radial sampling, weighted by density, makes of a single bright pixel.

    angles: (spoke,) [rad], size: (y, x). Returns (2 y, 2 x): the response at all distances that two pixels can have, 0 at the centre.
    The points come in pairs k and -k, so that it is real and even: the sum of 2 w cos(2 pi k r).
    """
    (ky, kx), weights = spoke_points(angles, size)
    y, x = 2 * pi * np.arange(-size[0], size[0] + 1), 2 * pi * np.arange(size[1] + 1)
    phase_y, phase_x = np.multiply.outer(y, ky), np.multiply.outer(x, kx)
    right = 2 * ((np.cos(phase_y) * weights) @ np.cos(phase_x).T - (np.sin(phase_y) * weights) @ np.sin(phase_x).T)
    return np.concatenate((right[::-1, :0:-1], right[:, :-1]), axis=1)[:-1]


def grid_radially(image: NDArray[np.complex128], angles: Real) -> NDArray[np.complex128]:
    """Sample an image along spokes and grid the samples back: the adjoint after the forward transform. image: (y, x). Returns (y, x).

    Exactly the convolution with `point_spread`, done on twice the field of view so that nothing wraps around.
    """
    height, width = image.shape
    spread = torch.from_numpy(point_spread(angles, (height, width))).to(torch.complex128)
    wide = pad(torch.from_numpy(image), (width // 2, width - width // 2, height // 2, height - height // 2))
    filtered = ifftc(fftc(wide) * fftc(spread)) * sqrt(spread.numel())
    return filtered[height // 2 : height // 2 + height, width // 2 : width // 2 + width].numpy()
