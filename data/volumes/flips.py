"""Mirrored training slices: k-space, maps and images alike, so that the mirrored slice is as true as the first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from data.volumes.volume import Pixels

AXES = (-2, -1)
"""y and x."""


def draw_flips(rng: Generator) -> tuple[int, ...]:
    """Return the axes along which to mirror: y and x each with probability 1/2; both together turn the image by 180°."""
    return tuple(axis for axis in AXES if rng.random() < 0.5)


def flip_pixels(pixels: Pixels, axes: Iterable[int]) -> Pixels:
    """Mirror a slice along some of its axes.

    The image is mirrored about the middle of the target, which may lie half a pixel beside the middle of the uncropped image.
    """
    for axis in axes:
        length, shown = pixels.kspace.shape[axis], pixels.target.shape[axis]
        pixels = Pixels(
            kspace=flip_kspace(pixels.kspace, axis, shown=shown),
            target=_flip(pixels.target, axis),
            complex_target=_flip(pixels.complex_target, axis),
            sens_maps=None if pixels.sens_maps is None else pixels.sens_maps.take(_mirror(length, _sum(length, shown)), axis=axis),
            grappa=_flip(pixels.grappa, axis),
            frozen_image=_flip(pixels.frozen_image, axis),
        )
    return pixels


def flip_kspace(kspace: NDArray[np.complex64], axis: int, *, shown: int) -> NDArray[np.complex64]:
    """Return the k-space of the mirrored image: F'(k) = F(-k), times a linear phase where the mirror lies between two pixels.

    kspace: (…, y, x). shown: length of the cropped image along `axis`.
    """
    length = kspace.shape[axis]
    shift = _sum(length, shown) - 2 * (length // 2)
    flipped = kspace.take(_mirror(length, 2 * (length // 2)), axis=axis)
    if shift:
        frequency = (np.arange(length) - length // 2) / length
        phase = np.exp(-2j * np.pi * shift * frequency).astype(kspace.dtype)
        flipped *= phase.reshape(-1, *(1,) * (-axis - 1))
    return flipped


def flip_columns(columns: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where sampled columns of k-space (x,) lie after a mirroring along x."""
    return columns[_mirror(columns.size, 2 * (columns.size // 2))]


def flip_acquired(acquired: tuple[int, int], width: int) -> tuple[int, int]:
    """Return where the acquired columns [start, stop) lie after a mirroring along x."""
    start, stop = acquired
    middle = 2 * (width // 2)
    return (0, width) if acquired == (0, width) else (max(middle - stop + 1, 0), min(middle - start + 1, width))


def _sum(length: int, shown: int) -> int:
    """Return s of the mirroring i → s - i of an axis that takes the cropped part onto itself."""
    return 2 * (length // 2 - shown // 2) + shown - 1


def _mirror(length: int, total: int) -> NDArray[np.int64]:
    return (total - np.arange(length)) % length


def _flip(image: Any, axis: int) -> Any:
    return None if image is None else np.ascontiguousarray(np.flip(image, axis))
