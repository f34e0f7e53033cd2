"""Masks of points in a plane of two phase-encoding axes: lattices and a repeated tile."""

from __future__ import annotations

import numpy as np

from data.kspace.calibration import Points

TILE = 4


def caipirinha_points(size: tuple[int, int], spacing: tuple[int, int], shift: int) -> Points:
    """Sample a sheared lattice (CAIPIRINHA, Breuer 2006). size, spacing: (y, x). Returns (y, x) bool.

    Every spacing-x-th column is sampled in every spacing-y-th row; each of these columns starts `shift` rows below the one before:
    x % spacing_x == 0 and (y - shift * x / spacing_x) % spacing_y == 0. Shift 0 is the plain lattice.
    """
    y, x = np.ogrid[: size[0], : size[1]]
    return (x % spacing[1] == 0) & ((y - shift * (x // spacing[1])) % spacing[0] == 0)


def uniform_points(size: tuple[int, int], spacing: tuple[int, int]) -> Points:
    """Sample every spacing-y-th row of every spacing-x-th column, from the first ones on. size, spacing: (y, x)."""
    return caipirinha_points(size, spacing, 0)


def tile_random_points(size: tuple[int, int], kept: int, seed: int) -> Points:
    """Sample `kept` points of a tile of 4 × 4, chosen by `seed`, and repeat the tile over the plane. size: (y, x).

    The choice is that of numpy's legacy generator, whose numbers are promised never to change: a permutation of 16 whose places with
    the `kept` largest values are sampled. So the points of a sparser tile are among those of a denser one with the same seed.
    """
    order = np.random.RandomState(seed).permutation(TILE * TILE).reshape(TILE, TILE)
    repeats = [-(-length // TILE) for length in size]
    return np.tile(order >= TILE * TILE - kept, repeats)[: size[0], : size[1]]


def lattice_period(spacing: tuple[int, int], shift: int) -> tuple[int, int]:
    """Return the period (y, x) after which a sheared lattice repeats itself along x alone and along y alone."""
    turns = spacing[0] // np.gcd(shift, spacing[0]) if shift else 1
    return spacing[0], int(spacing[1] * turns)
