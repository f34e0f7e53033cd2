"""A beating heart in a chest, cut across its short axis: each draw is another one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from data.simulate.phantom import Blob, draw_waves


@dataclass(frozen=True, kw_only=True)
class Heart:
    """What decides the short-axis view of a heart at all times, in units of half the field of view."""

    center: tuple[float, float]
    """(y, x) of the left ventricle at the end of diastole."""
    cavity: float
    """Radius of its blood."""
    wall: float
    """Thickness of its muscle."""
    squeeze: float
    """Part of the radius of the blood that is lost at the end of systole."""
    shift: tuple[float, float]
    """(y, x) by which the heart has moved then."""
    twist: float
    """Angle [rad] by which it has turned then."""
    squash: float
    """Short by long diameter of the left ventricle."""
    papillary: tuple[float, float]
    """Angles [rad] at which the papillary muscles sit."""
    waves: tuple[tuple[int, float, float], ...]
    """Deformation of the left ventricle."""


def draw_heart(rng: Generator) -> Heart:
    """Draw a heart: some large and weak, some small and strong."""
    first = rng.uniform(0.3, 1.0)
    return Heart(
        center=(float(rng.uniform(-0.06, 0.08)), float(rng.uniform(0.08, 0.20))),
        cavity=float(rng.uniform(0.15, 0.21)),
        wall=float(rng.uniform(0.055, 0.085)),
        squeeze=float(rng.uniform(0.20, 0.45)),
        shift=(float(rng.uniform(-0.02, 0.02)), float(rng.uniform(-0.03, 0.0))),
        twist=float(rng.uniform(-0.15, 0.15)),
        squash=float(rng.uniform(0.88, 1.0)),
        papillary=(float(first), float(first + rng.uniform(1.9, 2.5))),
        waves=draw_waves(rng, orders=(2, 3), amplitude=0.03),
    )


def contraction(phase: float) -> float:
    """Return how far the heart has contracted, 0 to 1. phase: part of the beat, from 0 to 1; systole takes 0.38 of it.

    Half a cosine inwards, then a fast and a slow part of relaxation, as volume curves of the ventricle have.
    """
    if phase < 0.38:
        return float((1 - np.cos(np.pi * phase / 0.38)) / 2)
    rest = (phase - 0.38) / 0.62
    fast = (1 + np.cos(np.pi * min(rest / 0.45, 1.0))) / 2
    slow = (1 + np.cos(np.pi * min(max(rest - 0.7, 0.0) / 0.3, 1.0))) / 2
    return float(0.8 * fast + 0.2 * slow)


def beating(heart: Heart, contracted: float) -> tuple[Blob, ...]:
    """Return the heart at one time. The muscle keeps its area, so that its wall thickens while it contracts."""
    inner = heart.cavity * (1 - heart.squeeze * contracted)
    outer = np.sqrt((heart.cavity + heart.wall) ** 2 - heart.cavity**2 + inner**2)
    y, x = (start + contracted * way for start, way in zip(heart.center, heart.shift, strict=True))
    turn = heart.twist * contracted

    def disc(tissue: str, radius: float, across: float = 1.0) -> Blob:
        return Blob(tissue=tissue, center=(0, y, x), radii=(1, radius, radius * across * heart.squash), angle=turn, waves=heart.waves)

    right = 1 - 0.6 * heart.squeeze * contracted
    side = x - heart.cavity - heart.wall
    muscles = (
        _round("myocardium", y + 0.72 * inner * np.sin(angle + turn), x + 0.72 * inner * np.cos(angle + turn), 0.035)
        for angle in heart.papillary
    )
    return (
        disc("fat", float(outer) + 0.02),
        _round("fat", y + 0.03, side + 0.02, 1.50 * heart.cavity * right + 0.045, across=0.88),
        _round("myocardium", y + 0.03, side + 0.02, 1.50 * heart.cavity * right + 0.02, across=0.85),
        _round("blood", y + 0.03, side + 0.02, 1.50 * heart.cavity * right, across=0.80),
        disc("myocardium", float(outer)),
        disc("blood", float(inner)),
        *muscles,
    )


def draw_chest(rng: Generator) -> tuple[Blob, ...]:
    """Draw what surrounds the heart and keeps still: skin fat, chest wall, lungs, liver, spine, and the aorta beside it."""
    width, height, fat = rng.uniform(0.88, 0.95), rng.uniform(0.66, 0.76), rng.uniform(0.05, 0.11)
    shape = draw_waves(rng, orders=(2, 4), amplitude=0.02)

    def hull(tissue: str, inset: float) -> Blob:
        return Blob(tissue=tissue, center=(0, 0.04, 0), radii=(1, height - inset, width - inset), waves=shape)

    lungs = tuple(
        _round("lung", rng.uniform(-0.02, 0.04), side * rng.uniform(0.42, 0.46), height - fat - 0.14, across=0.66) for side in (-1, 1)
    )
    ribs = tuple(
        _round("bone", 0.04 + (height - fat - 0.045) * np.sin(angle), (width - fat - 0.045) * np.cos(angle), 0.022, across=1.6)
        for angle in rng.uniform(-0.1, 0.1) + np.linspace(0.25, 2 * np.pi, 14, endpoint=False)
    )
    return (
        hull("fat", 0.0),
        hull("muscle", fat),
        *ribs,
        *lungs,
        _round("muscle", 0.0, 0.02, height - fat - 0.18, across=0.48),
        _round("fat", 0.1 - height + fat + 0.10, 0.02, 0.10, across=1.6),
        _round("liver", rng.uniform(0.22, 0.30), rng.uniform(-0.50, -0.40), 0.24, across=1.2),
        _round("bone", height - 0.22, 0.0, 0.11),
        _round("fat", height - 0.10, 0.0, 0.03),
        _round("blood", height - 0.33, 0.14, rng.uniform(0.045, 0.06)),
    )


def _round(tissue: str, y: float, x: float, radius: float, *, across: float = 1.0) -> Blob:
    return Blob(tissue=tissue, center=(0, float(y), float(x)), radii=(1, float(radius), float(radius * across)))
