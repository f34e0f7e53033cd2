"""A head made of deformed ellipsoids: each draw is another head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image = NDArray[np.float64]


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
    waves: tuple[tuple[int, float, float], ...] = ()
    """(order, relative amplitude, phase [rad]) of the outline's deformation."""

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


def draw_head(rng: Generator) -> tuple[Blob, ...]:
    """Draw a head: scalp, skull, CSF, folded cortex, white matter, nuclei, ventricles and 0 to 4 lesions."""
    center = (0.0, float(rng.uniform(-0.05, 0.05)), float(rng.uniform(-0.05, 0.05)))
    size = rng.uniform(0.90, 1.0) * np.array([1.2, rng.uniform(0.80, 0.88), rng.uniform(0.64, 0.74)])
    tilt = float(rng.uniform(-0.15, 0.15))
    shape = _waves(rng, orders=(2, 3, 4), amplitude=0.02)
    folds = _waves(rng, orders=(9, 14, 19), amplitude=0.05)

    def shell(tissue: str, scale: float, waves: tuple[tuple[int, float, float], ...] = shape) -> Blob:
        return Blob(tissue=tissue, center=center, radii=_triple(size * scale), angle=tilt, waves=waves)

    shells = (shell("scalp", 1.0), shell("skull", 0.93), shell("csf", 0.87), shell("grey", 0.83), shell("white", 0.71, shape + folds))
    return shells + _nuclei(rng, center, size) + _ventricles(rng, center, size) + _lesions(rng, center, size)


def paint_slice(head: tuple[Blob, ...], signals: Mapping[str, float], *, z: float, size: tuple[int, int]) -> Image:
    """Return the magnitude image of one slice. signals: tissue → signal. z: position from -1 to 1. Returns (y, x)."""
    y, x = axis_grid(size)
    image = np.zeros(size)
    for blob in head:
        coverage = blob.coverage(z, y, x, pixel=2.0 / min(size))
        image += coverage * (signals[blob.tissue] - image)
    return image


def axis_grid(size: tuple[int, int]) -> tuple[Image, Image]:
    """Return the coordinates y and x of each pixel, both (y, x); 0 is pixel n // 2, half the field of view is 1."""
    y, x = (2.0 * (np.arange(length) - length // 2) / length for length in size)
    return np.meshgrid(y, x, indexing="ij")[0], np.meshgrid(y, x, indexing="ij")[1]


def _waves(rng: Generator, *, orders: tuple[int, ...], amplitude: float) -> tuple[tuple[int, float, float], ...]:
    return tuple((order, float(rng.uniform(0.3, 1.0)) * amplitude, float(rng.uniform(0, 2 * np.pi))) for order in orders)


def _nuclei(rng: Generator, center: tuple[float, float, float], size: Image) -> tuple[Blob, ...]:
    return tuple(
        Blob(
            tissue="nuclei",
            center=(center[0], center[1] + rng.uniform(-0.04, 0.04), center[2] + side * size[2] * rng.uniform(0.26, 0.32)),
            radii=_triple(size * rng.uniform(0.9, 1.1) * np.array([0.4, 0.16, 0.10])),
            angle=float(side * rng.uniform(0.1, 0.4)),
        )
        for side in (-1, 1)
    )


def _ventricles(rng: Generator, center: tuple[float, float, float], size: Image) -> tuple[Blob, ...]:
    wide = rng.uniform(0.7, 1.4)
    return tuple(
        Blob(
            tissue="csf",
            center=(center[0] + 0.1, center[1] - 0.05, center[2] + side * size[2] * 0.11 * wide),
            radii=_triple(size * np.array([0.45, rng.uniform(0.24, 0.34), 0.07 * wide])),
            angle=float(-side * rng.uniform(0.1, 0.3)),
        )
        for side in (-1, 1)
    )


def _lesions(rng: Generator, center: tuple[float, float, float], size: Image) -> tuple[Blob, ...]:
    return tuple(_lesion(rng, center, size) for _ in range(rng.integers(0, 5)))


def _lesion(rng: Generator, center: tuple[float, float, float], size: Image) -> Blob:
    distance, direction = rng.uniform(0.2, 0.6), rng.uniform(0, 2 * np.pi)
    offset = distance * np.array([0.0, np.sin(direction), np.cos(direction)]) * size
    return Blob(
        tissue="lesion",
        center=_triple(np.array(center) + offset + np.array([rng.uniform(-0.5, 0.5), 0, 0])),
        radii=_triple(rng.uniform(0.03, 0.10, size=3) * np.array([5.0, 1.0, 1.0])),
        angle=float(rng.uniform(0, np.pi)),
        waves=_waves(rng, orders=(2, 3), amplitude=0.2),
    )


def _triple(values: Image) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
