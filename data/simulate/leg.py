"""A knee, cut in coronal slices: each draw is another one. z runs from front to back, y from thigh to calf."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from data.simulate.phantom import Blob, Image, Waves, draw_waves, triple

ENDLESS = 40.0
"""Radius along y of what leaves the field of view at both ends."""


def draw_knee(rng: Generator) -> tuple[Blob, ...]:
    """Draw a knee: skin, fat, muscles, femur, tibia, fibula, patella, cartilage, menisci, ligaments, vessels, fluid, bruises.

    The skin comes first; beyond it there is air, whatever reaches out.
    """
    size, outer = rng.uniform(0.92, 1.05), float(rng.choice((-1, 1)))
    bones = _bones(rng, size, outer)
    marrow = tuple(_shrunk(bone, rng.uniform(0.025, 0.035)) for bone in bones)
    cartilage = tuple(replace(_shrunk(bone, -rng.uniform(0.03, 0.045)), tissue="cartilage") for bone in bones[:3])
    return (
        *_soft_tissue(rng, size, outer),
        *_joint(rng, size),
        *cartilage,
        *_menisci(rng, size),
        *bones,
        *(replace(bone, tissue="marrow") for bone in marrow),
        *_growth_lines(rng, size),
        *_ligaments(rng, size, outer),
        *_bruises(rng, size),
    )


def _soft_tissue(rng: Generator, size: float, outer: float) -> tuple[Blob, ...]:
    """Return skin, fat, fascia, muscles of thigh and calf, and the vessels behind the knee."""
    width, fat = size * rng.uniform(0.80, 0.88), rng.uniform(0.07, 0.14)
    shape = draw_waves(rng, orders=(2, 4), amplitude=0.015)
    hulls = (("skin", 0.0), ("fat", 0.02), ("fascia", fat), ("fat", fat + 0.012))
    shells = tuple(_stripe(tissue, 0.0, width - inset, depth=1.4) for tissue, inset in hulls)
    muscles = (
        _blob("muscle", (0.1, -1.05, -0.50 * width), (1.2, 0.75, 0.36 * width), rng, shape),
        _blob("muscle", (0.1, -1.05, 0.50 * width), (1.2, 0.75, 0.36 * width), rng, shape),
        _blob("muscle", (0.4, 1.15, -outer * 0.45 * width), (0.8, 0.80, 0.38 * width), rng, shape),
        _blob("muscle", (0.3, 1.20, outer * 0.50 * width), (0.9, 0.62, 0.34 * width), rng, shape),
    )
    seams = tuple(
        replace(muscle, tissue="fat", radii=(*muscle.radii[:2], 0.012), angle=float(rng.uniform(-0.25, 0.25))) for muscle in muscles
    )
    vessels = tuple(_stripe("vessel", x, rng.uniform(0.03, 0.05), depth=0.12, z=0.62) for x in (-0.04, 0.07))
    return (*shells, *muscles, *seams, *vessels)


def _bones(rng: Generator, size: float, outer: float) -> tuple[Blob, ...]:
    """Return the cortical hulls, those that carry cartilage first: both condyles and the plateau."""
    gap = rng.uniform(0.05, 0.07)
    lift = rng.uniform(-0.05, 0.05)
    rough = draw_waves(rng, orders=(2, 3, 5), amplitude=0.015)

    def bone(center: tuple[float, float, float], radii: tuple[float, float, float], angle: float = 0.0) -> Blob:
        scaled = (center[0], lift + size * center[1], size * center[2])
        return Blob(tissue="cortex", center=scaled, radii=triple(size * np.array(radii)), angle=angle, waves=rough)

    condyles = tuple(bone((0.10, -gap - 0.30, side * 0.27), (0.75, 0.31, rng.uniform(0.25, 0.28)), -side * 0.12) for side in (-1, 1))
    return (
        *condyles,
        bone((0.0, gap + 0.20, 0.0), (0.70, 0.19, 0.57)),
        bone((-0.05, -0.68, 0.0), (0.66, 0.52, 0.40)),
        bone((-0.10, -1.60, 0.0), (0.50, 1.15, 0.24)),
        bone((-0.02, 0.55, 0.0), (0.62, 0.55, 0.40)),
        bone((-0.05, 1.60, -outer * 0.04), (0.45, 1.25, 0.22)),
        bone((0.40, 0.52, outer * 0.56), (0.40, 0.20, 0.10), outer * 0.1),
        bone((0.40, 1.60, outer * 0.52), (0.40, 1.15, 0.065)),
        bone((-0.85, -0.35, 0.0), (0.35, 0.30, 0.32)),
    )


def _joint(rng: Generator, size: float) -> tuple[Blob, ...]:
    """Return the fluid between the bones, more of it in some knees, and the fat in the notch."""
    effusion = rng.uniform(0.04, 0.12)
    return (
        Blob(tissue="fluid", center=(0.0, 0.0, 0.0), radii=triple(size * np.array([0.8, effusion + 0.06, 0.55]))),
        Blob(tissue="fat", center=(-0.2, -0.02, 0.0), radii=triple(size * np.array([0.9, 0.10, 0.42]))),
        Blob(tissue="fluid", center=(0.1, -0.10, 0.0), radii=triple(size * np.array([0.7, 0.20 + effusion, 0.10]))),
    )


def _menisci(rng: Generator, size: float) -> tuple[Blob, ...]:
    """Return a dark wedge at either rim of the joint; one in four is torn and lets fluid in."""
    wedges = []
    for side in (-1, 1):
        wedge = Blob(
            tissue="meniscus",
            center=(0.1, 0.01, side * size * rng.uniform(0.46, 0.50)),
            radii=triple(size * np.array([0.8, rng.uniform(0.04, 0.055), rng.uniform(0.14, 0.18)])),
            angle=float(side * rng.uniform(0.0, 0.2)),
        )
        wedges.append(wedge)
        if rng.random() < 0.25:
            wedges.append(replace(wedge, tissue="fluid", radii=(0.3, 0.010, wedge.radii[2] * 0.8), angle=float(rng.uniform(-0.6, 0.6))))
    return tuple(wedges)


def _ligaments(rng: Generator, size: float, outer: float) -> tuple[Blob, ...]:
    """Return the two cruciate ligaments in the notch and the collateral ones at the sides."""

    def band(z: float, y: float, x: float, length: float, angle: float) -> Blob:
        radii = (0.45, size * length, size * rng.uniform(0.020, 0.032))
        return Blob(tissue="ligament", center=(z, size * y, size * x), radii=triple(np.array(radii)), angle=angle)

    tilt = rng.uniform(0.35, 0.55)
    return (
        band(-0.10, -0.10, outer * 0.04, 0.22, outer * tilt),
        band(0.30, -0.10, -outer * 0.04, 0.22, -outer * tilt),
        band(0.10, -0.05, -outer * 0.61, 0.48, outer * 0.05),
        band(0.25, 0.05, outer * 0.62, 0.42, -outer * 0.05),
    )


def _growth_lines(rng: Generator, size: float) -> tuple[Blob, ...]:
    """Return the scars of the growth plates of femur and tibia."""
    return tuple(
        Blob(
            tissue="fascia",
            center=(0.0, float(size * y), 0.0),
            radii=triple(size * np.array([0.45, 0.008, rng.uniform(0.26, 0.30)])),
            angle=float(rng.uniform(-0.08, 0.08)),
        )
        for y in (rng.uniform(-0.62, -0.55), rng.uniform(0.46, 0.52))
    )


def _bruises(rng: Generator, size: float) -> tuple[Blob, ...]:
    """Return 0 to 2 patches of oedema in the marrow beside the joint."""
    return tuple(
        Blob(
            tissue="bruise",
            center=(float(rng.uniform(-0.4, 0.4)), float(rng.choice((-0.30, 0.24))) * size, float(rng.uniform(-0.4, 0.4)) * size),
            radii=triple(rng.uniform(0.04, 0.09, size=3) * np.array([4.0, 1.0, 1.3])),
            waves=draw_waves(rng, orders=(2, 3, 5), amplitude=0.25),
        )
        for _ in range(rng.integers(0, 3))
    )


def _stripe(tissue: str, x: float, width: float, *, depth: float, z: float = 0.0) -> Blob:
    """Return what runs along the leg: it has the same width everywhere in the field of view."""
    return Blob(tissue=tissue, center=(z, 0.0, float(x)), radii=(depth, ENDLESS, float(width)))


def _blob(tissue: str, center: tuple[float, float, float], radii: tuple[float, float, float], rng: Generator, waves: Waves) -> Blob:
    scale = rng.uniform(0.95, 1.05)
    return Blob(tissue=tissue, center=center, radii=triple(scale * np.array(radii)), waves=waves)


def _shrunk(blob: Blob, inset: float) -> Blob:
    """Return a smaller copy whose outline lies `inset` inside, or a larger one for a negative inset."""
    radii: Image = np.array(blob.radii) - np.array([0.0, inset, inset])
    return replace(blob, radii=triple(radii))
