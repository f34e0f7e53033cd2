"""Smooth complex sensitivities of coils that stand around a body."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from data.simulate.phantom import axis_grid


def draw_coil_maps(coils: int, size: tuple[int, int], rng: Generator) -> NDArray[np.complex128]:
    """Draw the maps of one receive array. Returns (coil, y, x), normalised so that sum |map|^2 over coils is 1 in each pixel."""
    return normalised(draw_sensitivities(coils, size, rng))


def draw_sensitivities(coils: int, size: tuple[int, int], rng: Generator) -> NDArray[np.complex128]:
    """Draw what each coil of an array receives from each pixel. Returns (coil, y, x), at most 1.

    Coil k sits at angle 2 pi k / coils, a little off; its sensitivity falls with the distance, its phase turns slowly.
    """
    y, x = axis_grid(size)
    angles = 2 * np.pi * (np.arange(coils) + rng.uniform(-0.15, 0.15, coils)) / coils
    return np.stack([_coil_map(angle, y, x, rng) for angle in angles])


def normalised(sensitivities: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Divide by the root of the sum of squares over coils. sensitivities: (coil, y, x)."""
    return sensitivities / np.sqrt((np.abs(sensitivities) ** 2).sum(axis=0))


def _coil_map(angle: float, y: NDArray[np.float64], x: NDArray[np.float64], rng: Generator) -> NDArray[np.complex128]:
    reach, distance = rng.uniform(0.8, 1.1), rng.uniform(1.0, 1.2)
    squared = (y - distance * np.sin(angle)) ** 2 + (x - distance * np.cos(angle)) ** 2
    slope_y, slope_x, offset = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(0, 2 * np.pi)
    return np.exp(-squared / (2 * reach**2) + 1j * (slope_y * y + slope_x * x + offset))


def dipole_maps(coils: int, size: tuple[int, int]) -> NDArray[np.complex128]:
    """Return the fields of point dipoles around an image. Returns (coil, y, x), in 1 / pixel^3.

    Coil k sits at angle 2 pi k / coils on an ellipse whose radii are the lengths of the image's axes, and points at the centre. With u
    and v the cosines between its axis, its tangent and the way to the pixel: (3 u^2 - 1 + 3 i u v) / r^3, r the distance [pixel].
    """
    y, x = np.ogrid[: size[0], : size[1]]
    y, x = y - size[0] // 2, x - size[1] // 2
    return np.stack([_dipole(2 * np.pi * coil / coils, size, y, x) for coil in range(coils)])


def _dipole(angle: float, size: tuple[int, int], y: NDArray[np.int64], x: NDArray[np.int64]) -> NDArray[np.complex128]:
    sine, cosine = np.sin(angle), np.cos(angle)
    dy, dx = y - size[0] * sine, x - size[1] * cosine
    distance = np.hypot(dy, dx)
    u, v = (dy * sine + dx * cosine) / distance, (dy * cosine - dx * sine) / distance
    return (3 * u**2 - 1 + 3j * u * v) / distance**3
