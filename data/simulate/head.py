"""A head: each draw is another one."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from data.simulate.phantom import Blob, Image, Waves, draw_waves, triple


def draw_head(rng: Generator) -> tuple[Blob, ...]:
    """Draw a head: scalp, skull, CSF, folded cortex, white matter, nuclei, ventricles and 0 to 4 lesions."""
    center = (0.0, float(rng.uniform(-0.05, 0.05)), float(rng.uniform(-0.05, 0.05)))
    size = rng.uniform(0.90, 1.0) * np.array([1.2, rng.uniform(0.80, 0.88), rng.uniform(0.64, 0.74)])
    tilt = float(rng.uniform(-0.15, 0.15))
    shape = draw_waves(rng, orders=(2, 3, 4), amplitude=0.02)
    folds = draw_waves(rng, orders=(9, 14, 19), amplitude=0.05)

    def shell(tissue: str, scale: float, waves: Waves = shape) -> Blob:
        return Blob(tissue=tissue, center=center, radii=triple(size * scale), angle=tilt, waves=waves)

    shells = (shell("scalp", 1.0), shell("skull", 0.93), shell("csf", 0.87), shell("grey", 0.83), shell("white", 0.71, shape + folds))
    return shells + _nuclei(rng, center, size) + _ventricles(rng, center, size) + _lesions(rng, center, size)


def _nuclei(rng: Generator, center: tuple[float, float, float], size: Image) -> tuple[Blob, ...]:
    return tuple(
        Blob(
            tissue="nuclei",
            center=(center[0], center[1] + rng.uniform(-0.04, 0.04), center[2] + side * size[2] * rng.uniform(0.26, 0.32)),
            radii=triple(size * rng.uniform(0.9, 1.1) * np.array([0.4, 0.16, 0.10])),
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
            radii=triple(size * np.array([0.45, rng.uniform(0.24, 0.34), 0.07 * wide])),
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
        center=triple(np.array(center) + offset + np.array([rng.uniform(-0.5, 0.5), 0, 0])),
        radii=triple(rng.uniform(0.03, 0.10, size=3) * np.array([5.0, 1.0, 1.0])),
        angle=float(rng.uniform(0, np.pi)),
        waves=draw_waves(rng, orders=(2, 3), amplitude=0.2),
    )


def draw_tumour(rng: Generator, head: tuple[Blob, ...]) -> tuple[Blob, ...]:
    """Draw a tumour in the white matter of a head: oedema, a solid rim, and a necrotic core."""
    white = next(blob for blob in head if blob.tissue == "white")
    side, extent = float(rng.choice((-1, 1))), np.array(white.radii)
    center = np.array(white.center) + extent * np.array(
        [rng.uniform(-0.25, 0.25), rng.uniform(-0.45, 0.45), side * rng.uniform(0.30, 0.45)]
    )
    radius = rng.uniform(0.16, 0.24)
    outline = draw_waves(rng, orders=(2, 3, 5, 7), amplitude=0.15)
    parts = (("oedema", 1.0), ("tumour", 0.62), ("necrosis", 0.42))
    return tuple(
        Blob(tissue=tissue, center=triple(center), radii=triple(scale * radius * np.array([1.6, 1.0, 0.9])), waves=outline)
        for tissue, scale in parts
    )
