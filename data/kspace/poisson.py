"""Poisson-disc masks: random points that keep a distance from each other, as many as were asked for, to the point."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from data.kspace.calibration import Points

SHRINK = 0.95
"""Factor of the distances from one round to the next."""
PACKING = 0.7
"""Points times squared distance by area, where no further dart fits: 0.547 * 4 / pi, the random sequential packing of discs."""


def poisson_disc_points(free: Points, count: int, rng: Generator, *, density_slope: float = 0.0) -> Points:
    """Choose `count` of the free points at random such that they keep their distance. free: (y, x) bool. Returns (y, x) bool.

    Darts are thrown in one random order, in rounds at shrinking distances, until `count` points stand (McCool and Fiume 1992).
    A point at radius rho asks for the distance s * (1 + density_slope * rho), rho being 0 in the centre and 1 in the middle of each
    edge; two points are nowhere nearer than the smaller of what they ask for, s being that of the last round.
    Raises ValueError when fewer than `count` points are free.
    """
    order = rng.permutation(np.flatnonzero(free))
    if count > order.size:
        raise ValueError(f"{count} points asked, {order.size} free")
    growth = 1 + density_slope * elliptic_radius(free.shape).ravel()[order]
    chosen = np.zeros(free.shape, dtype=bool)
    distance = first_distance(growth, count)
    left = count
    while left > 0:
        left -= _throw(chosen, order, distance * growth, left)
        distance *= SHRINK
    return chosen


def first_distance(growth: NDArray[np.float64], count: int) -> float:
    """Return s of the first round: a little more than the distance at which `count` points fill the plane."""
    return 1.15 * math.sqrt(PACKING * float((growth**-2.0).sum()) / max(count, 1))


def elliptic_radius(size: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the distance from the centre n // 2 in units of half the axes. size: (y, x). Returns (y, x), 1 in the middle of an edge."""
    y, x = (np.arange(length) - length // 2 for length in size)
    return np.hypot(y[:, None] / max(size[0] / 2, 1), x[None, :] / max(size[1] / 2, 1))


def _throw(chosen: Points, order: NDArray[np.intp], distances: NDArray[np.float64], most: int) -> int:
    """Add up to `most` points of `order` that no chosen one is too near to; return how many. Changes `chosen`."""
    far = np.full(chosen.shape, np.inf) if not chosen.any() else distance_transform_edt(~chosen)
    hopeful = far.flat[order] >= distances
    taken = np.zeros(chosen.shape, dtype=bool)
    added, width = 0, chosen.shape[1]
    for place, square in zip(order[hopeful].tolist(), np.ceil(distances[hopeful] ** 2).astype(int).tolist(), strict=True):
        y, x = divmod(place, width)
        if taken[y, x]:
            continue
        chosen[y, x] = True
        _mark(taken, y, x, disc(square))
        added += 1
        if added == most:
            break
    return added


def _mark(taken: Points, y: int, x: int, stamp: Points) -> None:
    reach = stamp.shape[0] // 2
    top, left = max(y - reach, 0), max(x - reach, 0)
    part = taken[top : y + reach + 1, left : x + reach + 1]
    part |= stamp[top - y + reach :, left - x + reach :][: part.shape[0], : part.shape[1]]


@lru_cache(maxsize=4096)
def disc(square: int) -> Points:
    """Return the points whose squared distance from the middle is below `square`: (2 r + 1, 2 r + 1) bool."""
    reach = math.isqrt(max(square - 1, 0))
    offsets = np.arange(-reach, reach + 1)
    return offsets[:, None] ** 2 + offsets[None, :] ** 2 < square
