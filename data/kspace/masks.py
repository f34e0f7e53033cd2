"""A mask of k-space, drawn as it was described: it says what it samples, and has been held to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from data.errors import BadInput
from data.kspace.budget import Budget, periodic, refuse_excess, thin
from data.kspace.calibration import Columns, Points, calibration_points, center_columns
from data.kspace.columns import COLUMNS, bounds
from data.kspace.description import CENTRE_ON_TOP, COLUMN_KINDS, KINDS, LEARNED_KINDS, MaskDescription
from data.kspace.planes import TILE, caipirinha_points, lattice_period, tile_random_points, uniform_points
from data.kspace.poisson import poisson_disc_points


@dataclass(frozen=True, kw_only=True)
class Mask:
    """One drawn mask. Unlike the request, `sampled_fraction` says what was really sampled."""

    kept: NDArray[np.bool_]
    """(1, x) for columns, (y, x) for points: True where k-space is kept; to be multiplied with (coil, y, x)."""
    sampled_fraction: float
    """Kept positions by positions that the scanner acquired (padding is not counted)."""
    asked_fraction: float
    """1 / acceleration."""
    tolerance: float
    """Farthest from `asked_fraction` that the formula of the kind comes at these sizes; no mask is farther."""

    @property
    def columns(self) -> Columns:
        """(x,): True where a column is kept. Raises BadInput for a mask of points."""
        if self.kept.shape[0] != 1:
            raise BadInput(f"mask: columns were expected, got points {self.kept.shape}. Choose mask.kind from {', '.join(COLUMN_KINDS)}.")
        return self.kept[0]


ColumnMask = Mask
"""A mask whose `columns` are asked for."""


def draw(description: MaskDescription, size: tuple[int, int], rng: Generator, *, acquired: slice = slice(None)) -> Mask:
    """Draw a mask for k-space of `size` (y, x). acquired: columns that hold data; the others are never sampled.

    Fixed by their description, whatever the generator says: uniform, column_uniform, caipirinha and tile_random.
    Of a learned mask all of k-space is drawn: the network keeps what it has learned to.
    Raises BadInput when the acceleration exceeds the lines, or the calibration region the budget.
    """
    if description.kind in COLUMN_KINDS:
        return draw_mask(
            description.kind,
            size[1],
            center_fraction=description.center_fraction,
            acceleration=description.acceleration,
            rng=rng,
            acquired=acquired,
        )
    inside = np.zeros(size, dtype=bool)
    inside[:, acquired] = True
    if description.kind in LEARNED_KINDS:
        return _all(inside)
    center = calibration_points(size, description.calibration, description.center_fraction) & inside
    _refuse_excess_points(description, size, center, inside)
    kept, budget = _draw_points(description, inside, center, rng)
    return _mask(description.kind, kept, inside, budget)


def draw_mask(kind: str, width: int, *, center_fraction: float, acceleration: float, rng: Generator, acquired: slice = slice(None)) -> Mask:
    """Draw a mask of `width` columns. kind: one of COLUMN_KINDS. acquired: columns that hold data; the others are never sampled.

    round(width * center_fraction) columns around width // 2 are always kept; the rest follows the kind.
    Raises BadInput when the kind is unknown, the acceleration exceeds the columns, or the centre alone exceeds width / acceleration
    and does not come on top of it.
    """
    if kind not in COLUMNS:
        raise BadInput(f"mask.kind: '{kind}' is unknown among masks of columns. Known: {', '.join(sorted(COLUMNS))}.")
    center = center_columns(width, center_fraction)
    within_budget = 0 if kind in CENTRE_ON_TOP else int(center.sum())
    refuse_excess("columns", within_budget, width, acceleration, key=f"center_fraction {center_fraction:g}")
    inside = np.zeros(width, dtype=bool)
    inside[acquired] = True
    columns = (COLUMNS[kind](center, acceleration, rng) | center) & inside
    low, high = bounds(kind, center, acceleration, acquired)
    return _mask(kind, columns[None], inside[None], Budget(asked=inside.sum() / acceleration, low=low, high=high))


def _all(inside: Points) -> Mask:
    if not inside.all():
        raise BadInput("mask.kind learned needs k-space without columns of padding. Choose other data, or a kind of mask that is drawn.")
    return Mask(kept=inside[:1], sampled_fraction=1.0, asked_fraction=1.0, tolerance=0.0)


def _refuse_excess_points(description: MaskDescription, size: tuple[int, int], center: Points, inside: Points) -> None:
    if description.kind in ("uniform", "column_uniform", "caipirinha"):
        for axis, lines, spacing in zip(("rows", "columns"), size, description.spacing, strict=True):
            refuse_excess(axis, 0, lines, spacing, key="")
    key = f"calibration {description.calibration}, center_fraction {description.center_fraction:g}"
    refuse_excess("points", int(center.sum()), int(inside.sum()), description.acceleration, key=key)


def _draw_points(description: MaskDescription, inside: Points, center: Points, rng: Generator) -> tuple[Points, Budget]:
    """Draw the points and count what the kind can give. inside: points that hold data, center: those always sampled; all (y, x)."""
    asked = inside.sum() / description.acceleration
    count = round(asked)
    if description.kind == "poisson_disc":
        points = poisson_disc_points(inside & ~center, count - int(center.sum()), rng, density_slope=description.density_slope)
        return points | center, Budget(asked=asked, low=count, high=count)
    pattern, period, points_of_period = _pattern(description, inside.shape)
    low, high = periodic((inside.shape[0], int(inside[0].sum())), period, points_of_period)
    if not center.any():
        return pattern & inside, Budget(asked=asked, low=low, high=high)
    kept = _thinned(description, pattern & inside & ~center, center, count)
    slack = inside.shape[0] - 1 if description.calibration == "column" and description.kind == "column_uniform" else 0
    return kept, Budget(asked=asked, low=min(low, count - slack), high=max(count, int(center.sum())))


def _pattern(description: MaskDescription, size: tuple[int, ...]) -> tuple[Points, tuple[int, int], int]:
    """Return the pattern (y, x), its period (y, x) and the points of one period."""
    plane = (size[0], size[1])
    if description.kind == "tile_random":
        kept = round(TILE * TILE / description.acceleration)
        return tile_random_points(plane, kept, description.seed), (TILE, TILE), kept
    spacing = description.spacing
    if description.kind == "caipirinha":
        period = lattice_period(spacing, description.shift)
        return caipirinha_points(plane, spacing, description.shift), period, period[1] // spacing[1]
    return uniform_points(plane, spacing), spacing, 1


def _thinned(description: MaskDescription, outside: Points, center: Points, count: int) -> Points:
    """Drop points outside the centre, evenly spread, until `count` are left with it; whole columns where both are columns."""
    if description.kind == "column_uniform" and description.calibration == "column":
        columns = thin(np.any(outside, axis=0), count // outside.shape[0] - int(center[0].sum()))
        return (outside & columns) | center
    return thin(outside, count - int(center.sum())) | center


def _mask(kind: str, kept: NDArray[np.bool_], inside: NDArray[np.bool_], budget: Budget) -> Mask:
    count, positions = int(kept.sum()), max(int(inside.sum()), 1)
    budget.check(kind, count)
    return Mask(
        kept=kept,
        sampled_fraction=float(count / positions),
        asked_fraction=float(budget.asked / positions),
        tolerance=float(budget.tolerance / positions),
    )


def rng_of_name(name: str) -> Generator:
    """Return a generator whose numbers depend on `name` alone: on every machine, in every process, in every year."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little"))


MASK_KINDS = KINDS
"""Every kind that can be drawn."""
