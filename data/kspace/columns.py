"""Masks of columns: random, equispaced and magic, as fastMRI draws them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from data.kspace.budget import binomial, spaced
from data.kspace.calibration import Columns

Bounds = tuple[int, int]


def random_columns(center: Columns, acceleration: float, rng: Generator) -> Columns:
    """Keep each column outside the centre with one probability, such that width / acceleration are expected in all.

    The number varies from draw to draw, as in fastMRI: p = (width / acceleration - centre) / (width - centre).
    """
    return rng.random(center.size) < _probability(center, acceleration)


def equispaced_columns(center: Columns, acceleration: float, rng: Generator) -> Columns:
    """Keep every `acceleration`-th column from a random offset on.

    The centre comes on top, so that more than width / acceleration columns are sampled; `equispaced_fraction` corrects this.
    """
    return _every(center.size, acceleration, rng)


def equispaced_fraction_columns(center: Columns, acceleration: float, rng: Generator) -> Columns:
    """Keep columns at a wider spacing, such that about width / acceleration are sampled with the centre counted in.

    With n columns, c of them in the centre, and spacing s: c + (n - c) / s = n / acceleration.
    """
    spacing = _adjusted_spacing(center, acceleration)
    return _every(center.size, spacing, rng) if spacing else np.zeros(center.size, dtype=bool)


def magic_columns(center: Columns, acceleration: float, rng: Generator) -> Columns:
    """Keep every `acceleration`-th column, offset such that each half of k-space samples what the other half mirrors away.

    The halves of a real image's k-space are conjugate to each other; above twofold acceleration, columns k and -k are never both
    sampled outside the centre (Defazio 2019, arXiv 1912.01101). The centre comes on top; `magic_fraction` corrects this. Raises
    ValueError when the acceleration is no whole number.
    """
    if acceleration != round(acceleration):
        raise ValueError(f"magic masks need a whole acceleration, got {acceleration}")
    return _mirrored(center.size, round(acceleration), rng)


def magic_fraction_columns(center: Columns, acceleration: float, rng: Generator) -> Columns:
    """Keep columns as `magic` does, at a whole spacing that comes nearest to width / acceleration columns with the centre counted in.

    spacing = round(n / (round(n / acceleration) - c)) for n columns, c of them in the centre.
    """
    spacing = _magic_spacing(center, acceleration)
    return _mirrored(center.size, spacing, rng) if spacing else np.zeros(center.size, dtype=bool)


def _probability(center: Columns, acceleration: float) -> float:
    width, count = center.size, int(center.sum())
    return (width / acceleration - count) / max(width - count, 1)


def _adjusted_spacing(center: Columns, acceleration: float) -> float:
    """Return s of `equispaced_fraction`; 0 when the centre is all of the budget."""
    width, count = center.size, int(center.sum())
    rest = width / acceleration - count
    return (width - count) / rest if rest > 0 else 0.0


def _magic_spacing(center: Columns, acceleration: float) -> int:
    """Return the spacing of `magic_fraction`; 0 when the centre is all of the budget."""
    width, count = center.size, int(center.sum())
    rest = round(width / acceleration) - count
    return round(width / rest) if rest > 0 else 0


def _every(width: int, spacing: float, rng: Generator) -> Columns:
    offset = rng.integers(0, max(round(spacing), 1))
    columns = np.zeros(width, dtype=bool)
    positions = np.round(np.arange(offset, width, spacing)).astype(int)
    columns[positions[positions < width]] = True
    return columns


def _mirrored(width: int, spacing: int, rng: Generator) -> Columns:
    """Sample positive frequencies 0, 1, … at one offset and negative ones -1, -2, … at another, then put 0 into the middle."""
    offset = int(rng.integers(0, spacing))
    ahead, behind = (offset + 1, offset + 2) if offset % 2 == 0 else (offset + 2, offset - 1)
    positive = np.zeros((width + 1) // 2, dtype=bool)
    negative = np.zeros(width // 2, dtype=bool)
    positive[ahead::spacing] = True
    negative[behind::spacing] = True
    return np.fft.fftshift(np.concatenate((positive, negative[::-1])))


def _outside(center: Columns, acquired: slice) -> list[int]:
    """Return the number of acquired columns to the left and to the right of the centre."""
    width = center.size
    start, stop, _ = acquired.indices(width)
    middle = np.flatnonzero(center)
    left, right = (int(middle[0]), int(middle[-1]) + 1) if middle.size else (width // 2, width // 2)
    return [max(min(left, stop) - start, 0), max(stop - max(right, start), 0)]


def bounds(kind: str, center: Columns, acceleration: float, acquired: slice) -> Bounds:
    """Return fewest and most columns that a draw of `kind` samples among the acquired ones, the centre included."""
    sides = _outside(center, acquired)
    if kind == "random":
        low, high = binomial(sum(sides), _probability(center, acceleration))
    elif kind in ("equispaced", "equispaced_fraction"):
        spacing = acceleration if kind == "equispaced" else _adjusted_spacing(center, acceleration)
        low, high = spaced(sides, spacing) if spacing else (0, 0)
    else:
        whole = round(acceleration) if kind == "magic" else _magic_spacing(center, acceleration)
        low, high = spaced(sides, whole, missing=2) if whole else (0, 0)
    centre = int(center[acquired].sum())
    return centre + low, centre + high


COLUMNS: dict[str, Callable[[Columns, float, Generator], Columns]] = {
    "random": random_columns,
    "equispaced": equispaced_columns,
    "equispaced_fraction": equispaced_fraction_columns,
    "magic": magic_columns,
    "magic_fraction": magic_fraction_columns,
}
