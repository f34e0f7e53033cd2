"""The centre of k-space that is always sampled: from it coil sensitivities and kernels are calibrated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Columns = NDArray[np.bool_]
"""(x,): True where a column is sampled."""
Points = NDArray[np.bool_]
"""(y, x): True where a point is sampled."""


def center_columns(width: int, center_fraction: float) -> Columns:
    """Return the columns that are always sampled. Returns (x,) bool, symmetric about width // 2 where the parity allows.

    round(width * center_fraction) columns from (width - count + 1) // 2 on, as in fastMRI.
    """
    count = round(width * center_fraction)
    start = (width - count + 1) // 2
    columns = np.zeros(width, dtype=bool)
    columns[start : start + count] = True
    return columns


def calibration_points(size: tuple[int, int], calibration: str, center_fraction: float) -> Points:
    """Return the points of a plane that are always sampled. size: (y, x). Returns (y, x) bool.

    calibration: none; square, center_fraction of each axis (a square in parts of the axes); column, all rows of the centre columns.
    """
    height, width = size
    if calibration == "none":
        return np.zeros(size, dtype=bool)
    rows = center_columns(height, center_fraction if calibration == "square" else 1.0)
    return rows[:, None] & center_columns(width, center_fraction)[None, :]
