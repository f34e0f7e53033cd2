"""GRAPPA (Griswold 2002): columns that were not sampled, from those that were, with weights learnt in the centre of k-space."""

from __future__ import annotations

from collections import defaultdict
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from data.convert.options import GrappaOptions

BLOCK = 32
"""Columns that are filled at once: the sources of 640 rows, 16 coils and a kernel of 5 x 4 are 52 MB then."""
EQUATIONS = 16
"""Equations by unknowns that are enough to learn the weights."""
Number = TypeVar("Number", np.complex64, np.complex128)
Complex = NDArray[np.complex64]
Offsets = tuple[int, ...]
"""Places of the sampled columns from which a missing one is computed, relative to it."""


def grappa(kspace: Complex, sampled: NDArray[np.bool_], options: GrappaOptions) -> Complex:
    """Fill the missing columns. kspace: (coil, y, x), zero where missing; sampled: (x,) bool. Returns (coil, y, x).

    A sample of one coil is a linear combination, the same everywhere, of samples of all coils in `rows` rows of nearby sampled columns.
    Missing columns with the same surroundings share one set of weights, so that the spacing need not be even. Sampled columns stay as
    they are, and zero those before the first and after the last of them. Raises ValueError when the sampled centre is too narrow.
    """
    center = calibration_columns(sampled)
    filled = kspace.copy()
    for offsets, columns in surroundings(sampled, center, options.columns).items():
        weights = fit_weights(kspace[:, :, center], offsets, options)
        for start in range(0, len(columns), BLOCK):
            block = columns[start : start + BLOCK]
            filled[:, :, block] = _apply(kspace, weights, offsets, block, options.rows)
    return filled


def calibration_columns(sampled: NDArray[np.bool_]) -> slice:
    """Return the run of sampled columns about the centre n // 2, as long as it is."""
    middle = sampled.size // 2
    if not sampled[middle]:
        raise ValueError(f"column {middle}, the centre of k-space, is not sampled")
    missing = np.flatnonzero(~sampled)
    left, right = missing[missing < middle], missing[missing > middle]
    return slice(int(left[-1]) + 1 if left.size else 0, int(right[0]) if right.size else sampled.size)


def surroundings(sampled: NDArray[np.bool_], center: slice, most: int) -> dict[Offsets, list[int]]:
    """Group the missing columns between sampled ones by the places of up to `most` sampled columns about them: offsets → columns.

    Of each side the nearest ones; the farthest are left out until the offsets, zero among them, span less than the centre.
    """
    places = np.flatnonzero(sampled)
    groups: dict[Offsets, list[int]] = defaultdict(list)
    for column in (np.flatnonzero(~sampled[places[0] : places[-1]]) + places[0]).tolist():
        before, after = places[places < column] - column, places[places > column] - column
        nearest = sorted([*before[-(most // 2) :].tolist(), *after[: most // 2].tolist()], key=abs)
        while nearest and _span(nearest) >= center.stop - center.start:
            nearest.pop()
        if not nearest:
            width = center.stop - center.start
            raise ValueError(f"the sampled centre of {width} columns is too narrow: column {column} has no sampled one that near")
        groups[tuple(sorted(nearest))].append(column)
    return dict(groups)


def _span(offsets: list[int]) -> int:
    return max(*offsets, 0) - min(*offsets, 0)


def fit_weights(center: Complex, offsets: Offsets, options: GrappaOptions) -> NDArray[np.complex128]:
    """Learn the weights where all is sampled. center: (coil, y, x). Returns (sources, coil), sources being coil, offset and row.

    min |A w - b|^2 + damping * mean(diag A^H A) * |w|^2, A holding the sources of each sample of the centre and b the sample;
    of the central rows, where the signal is, until there are EQUATIONS times more equations than unknowns.
    """
    first, last = max(-min(offsets), 0), center.shape[2] - max(*offsets, 0)
    columns = list(range(first, last))
    reach, unknowns = options.rows // 2, center.shape[0] * len(offsets) * options.rows
    inner = _central(center.shape[1], reach, -(-EQUATIONS * unknowns // len(columns)))
    if center.shape[1] < options.rows:
        raise ValueError(f"{center.shape[1]} rows are fewer than the {options.rows} of a kernel")
    sources = _sources(center.astype(np.complex128), offsets, columns, options.rows)[inner].reshape(-1, unknowns)
    truth = center[:, inner, columns].transpose(1, 2, 0).reshape(-1, center.shape[0])
    normal = sources.conj().T @ sources
    normal += np.eye(len(normal)) * (options.damping * np.trace(normal).real / len(normal) + np.finfo(np.float32).tiny)
    return np.linalg.solve(normal, sources.conj().T @ truth).astype(np.complex128, copy=False)


def _central(height: int, reach: int, most: int) -> slice:
    """Return up to `most` rows about the middle, none nearer to an edge than `reach`."""
    start = max(height // 2 - most // 2, reach)
    return slice(start, min(start + most, height - reach))


def _apply(kspace: Complex, weights: NDArray[np.complex128], offsets: Offsets, columns: list[int], rows: int) -> Complex:
    sources = _sources(kspace, offsets, columns, rows)
    filled: Complex = sources.reshape(-1, len(weights)) @ weights.astype(np.complex64)
    return filled.reshape(*sources.shape[:2], -1).transpose(2, 0, 1)


def _sources(kspace: NDArray[Number], offsets: Offsets, columns: list[int], rows: int) -> NDArray[Number]:
    """Gather the sources of `columns` in every row. kspace: (coil, y, x). Returns (y, columns, coil, offset, row), zero beyond the edge."""
    reach = rows // 2
    taken = kspace[:, :, np.add.outer(columns, offsets)]
    padded = np.pad(taken, [(0, 0), (reach, reach), (0, 0), (0, 0)])
    windows = sliding_window_view(padded, rows, axis=1)
    return windows.transpose(1, 2, 0, 3, 4)
