"""Which columns of k-space are sampled: random and equispaced masks with a fully sampled centre."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from data.errors import BadInput

Columns = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class ColumnMask:
    """One drawn mask. Unlike the request, `sampled_fraction` says what was really sampled."""

    columns: Columns
    """(x,): True where a column of k-space is kept."""
    sampled_fraction: float
    """Kept columns by columns that the scanner acquired (padding is not counted)."""


def draw_mask(
    kind: str, width: int, *, center_fraction: float, acceleration: float, rng: Generator, acquired: slice = slice(None)
) -> ColumnMask:
    """Draw a mask of `width` columns. kind: one of MASK_KINDS. acquired: columns that hold data; the others are never sampled.

    round(width * center_fraction) columns around width // 2 are always kept; the rest follows the kind.
    Raises BadInput when the kind is unknown or the centre alone exceeds width / acceleration.
    """
    if kind not in MASK_KINDS:
        raise BadInput(f"mask.kind: '{kind}' is unknown. Known: {', '.join(sorted(MASK_KINDS))}.")
    center = center_columns(width, center_fraction)
    if center.sum() > width / acceleration:
        raise BadInput(
            f"mask: the centre of {int(center.sum())} columns (center_fraction {center_fraction}) is more than "
            f"{width} columns / acceleration {acceleration} = {width / acceleration:.1f}. Lower mask.center_fraction or mask.acceleration."
        )
    inside = np.zeros(width, dtype=bool)
    inside[acquired] = True
    columns = (MASK_KINDS[kind](center, acceleration, rng) | center) & inside
    return ColumnMask(columns=columns, sampled_fraction=float(columns.sum() / max(inside.sum(), 1)))


def center_columns(width: int, center_fraction: float) -> Columns:
    """Return the columns that are always sampled. Returns (x,) bool, symmetric about width // 2 where the parity allows."""
    count = round(width * center_fraction)
    start = (width - count + 1) // 2
    columns = np.zeros(width, dtype=bool)
    columns[start : start + count] = True
    return columns


def random_columns(center: Columns, acceleration: float, rng: Generator) -> Columns:
    """Keep each column outside the centre with one probability, such that width / acceleration are expected in all.

    The number varies from draw to draw, as in fastMRI: p = (width / acceleration - centre) / (width - centre).
    """
    width, count = center.size, int(center.sum())
    probability = (width / acceleration - count) / max(width - count, 1)
    return rng.random(width) < probability


def equispaced_columns(center: Columns, acceleration: float, rng: Generator) -> Columns:
    """Keep every `acceleration`-th column from a random offset on.

    The centre comes on top, so that more than width / acceleration columns are sampled; `equispaced_fraction` corrects this.
    """
    return _every(center.size, acceleration, rng)


def equispaced_fraction_columns(center: Columns, acceleration: float, rng: Generator) -> Columns:
    """Keep columns at a wider spacing, such that about width / acceleration are sampled with the centre counted in.

    With n columns, c of them in the centre, and spacing s: c + (n - c) / s = n / acceleration.
    """
    width, count = center.size, int(center.sum())
    budget = width / acceleration - count
    if budget <= 0:
        return np.zeros(width, dtype=bool)
    return _every(width, (width - count) / budget, rng)


def _every(width: int, spacing: float, rng: Generator) -> Columns:
    offset = rng.integers(0, max(round(spacing), 1))
    columns = np.zeros(width, dtype=bool)
    positions = np.round(np.arange(offset, width, spacing)).astype(int)
    columns[positions[positions < width]] = True
    return columns


MASK_KINDS: dict[str, Callable[[Columns, float, Generator], Columns]] = {
    "random": random_columns,
    "equispaced": equispaced_columns,
    "equispaced_fraction": equispaced_fraction_columns,
}


def rng_of_name(name: str) -> Generator:
    """Return a generator whose numbers depend on `name` alone: on every machine, in every process, in every year."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little"))
