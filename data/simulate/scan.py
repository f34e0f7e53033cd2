"""What the scans of every body have in common: smooth modulation and phase, receive noise, and where the slices lie."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from data.simulate.phantom import axis_grid


def draw_texture(
    size: tuple[int, int], rng: Generator, *, waves: int = 6, frequency: float = 12, depth: float = 0.015
) -> NDArray[np.float64]:
    """Return a modulation of a few per cent, so that no tissue is perfectly flat. frequency: of the finest wave [rad by half the field].

    Returns (y, x) about 1.
    """
    y, x = axis_grid(size)
    plane_waves = (np.cos(fy * y + fx * x + phase) for fy, fx, phase in zip(*rng.uniform(-frequency, frequency, (3, waves)), strict=True))
    return 1 + depth * sum(plane_waves)


def draw_phase(size: tuple[int, int], rng: Generator) -> NDArray[np.float64]:
    """Return the slowly varying phase of the object [rad]. Returns (y, x)."""
    y, x = axis_grid(size)
    a, b, c, d, e = rng.uniform(-1, 1, 5)
    return np.asarray(a + b * y + c * x + d * y * x + e * (y**2 - x**2))


def draw_positions(slices: int, rng: Generator) -> NDArray[np.float64]:
    """Return where the slices cut the body, from one end to the other, within -0.6 to 0.6."""
    return np.linspace(-0.5, 0.5, slices + 2)[1:-1] + rng.uniform(-0.1, 0.1)


def draw_noise(shape: tuple[int, ...], deviation: float, rng: Generator) -> NDArray[np.complex128]:
    """Return complex white noise; `deviation` is that of real and imaginary part together."""
    parts = rng.standard_normal((2, *shape)) * deviation / np.sqrt(2)
    return parts[0] + 1j * parts[1]


def mean_signal(magnitude: NDArray[np.float64]) -> float:
    """Return the mean magnitude where there is any signal."""
    return float(magnitude[magnitude > 0].mean())
