"""Bodies made of deformed ellipsoids, and the images of their slices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image = NDArray[np.float64]
Waves = tuple[tuple[int, float, float], ...]
"""(order, relative amplitude, phase [rad]) of each wave along an outline."""


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A deformed ellipsoid of one tissue, in units of half the field of view; it covers those before it."""

    tissue: str
    center: tuple[float, float, float]
    """(z, y, x)"""
    radii: tuple[float, float, float]
    """(z, y, x)"""
    angle: float = 0.0
    """Rotation in the slice [rad]."""
    waves: Waves = ()
    """Deformation of the outline."""

    def window(self, y: Image, x: Image, *, pixel: float) -> tuple[slice, slice]:
        """Return rows and columns beyond which the coverage is 0. y: (y,), x: (x,)."""
        soft = 1 + sum(abs(amplitude) for _, amplitude, _ in self.waves) + pixel / min(self.radii[1:])
        longest = max(self.radii[1:])
        reaches = (longest, longest) if self.angle else self.radii[1:]
        return _within(y, self.center[1], soft * reaches[0]), _within(x, self.center[2], soft * reaches[1])

    def coverage(self, z: float, y: Image, x: Image, *, pixel: float) -> Image:
        """Return how much of each pixel lies inside, 0 to 1; edges are one pixel soft. y, x: (y, x). Returns (y, x)."""
        height = 1 - ((z - self.center[0]) / self.radii[0]) ** 2
        if height <= 0:
            return np.zeros_like(y)
        dy, dx = y - self.center[1], x - self.center[2]
        turned_y = (np.cos(self.angle) * dy + np.sin(self.angle) * dx) / self.radii[1]
        turned_x = (np.cos(self.angle) * dx - np.sin(self.angle) * dy) / self.radii[2]
        radius = np.sqrt(turned_y**2 + turned_x**2)
        outline = np.full_like(radius, np.sqrt(height))
        if self.waves:
            theta = np.arctan2(turned_y, turned_x)
            outline *= 1 + sum(amplitude * np.cos(order * theta + phase) for order, amplitude, phase in self.waves)
        softness = pixel / min(self.radii[1:])
        return np.clip(0.5 + (outline - radius) / softness, 0.0, 1.0)


def paint_slice(
    body: Iterable[Blob],
    signals: Mapping[str, float],
    *,
    z: float,
    size: tuple[int, int],
    reach: tuple[float, float] = (1.0, 1.0),
    on: Image | None = None,
) -> Image:
    """Return the magnitude image of one slice. signals: tissue → signal. z: position from -1 to 1. Returns (y, x).

    reach: (y, x) coordinates of the edges; 2 shows twice the field of view along this axis. on: the image that is painted over.
    """
    y, x = axis_grid(size)
    y, x = reach[0] * y, reach[1] * x
    pixel = max(2.0 * reach[0] / size[0], 2.0 * reach[1] / size[1])
    image = np.zeros(size) if on is None else on.copy()
    for blob in body:
        window = blob.window(y[:, 0], x[0], pixel=pixel)
        part = image[window]
        part += blob.coverage(z, y[window], x[window], pixel=pixel) * (signals[blob.tissue] - part)
    return image


def _within(positions: Image, center: float, reach: float) -> slice:
    """Return the run of ascending positions that are no farther from the centre than `reach`."""
    first, last = np.searchsorted(positions, (center - reach, center + reach))
    return slice(int(first), int(last) + 1)


def axis_grid(size: tuple[int, int]) -> tuple[Image, Image]:
    """Return the coordinates y and x of each pixel, both (y, x); 0 is pixel n // 2, half the field of view is 1."""
    y, x = (2.0 * (np.arange(length) - length // 2) / length for length in size)
    return np.meshgrid(y, x, indexing="ij")[0], np.meshgrid(y, x, indexing="ij")[1]


def draw_waves(rng: Generator, *, orders: tuple[int, ...], amplitude: float) -> Waves:
    """Draw the deformation of an outline: one wave of each order, of 0.3 to 1 times the amplitude."""
    return tuple((order, float(rng.uniform(0.3, 1.0)) * amplitude, float(rng.uniform(0, 2 * np.pi))) for order in orders)


def triple(values: Image) -> tuple[float, float, float]:
    """Return three numbers as a point or as radii."""
    return (float(values[0]), float(values[1]), float(values[2]))
