"""What a scanner measures in each tissue: relaxation times, signal equations, and the contrasts of brain, knee and heart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, exp, radians, sin


@dataclass(frozen=True)
class Tissue:
    """Relaxation of one tissue."""

    proton_density: float
    """Relative to water."""
    t1: float
    """Longitudinal relaxation time [s]."""
    t2: float
    """Transverse relaxation time [s]."""
    fat: float = 0.0
    """Part of the signal that stems from fat."""


TISSUES = {
    "scalp": Tissue(0.90, 0.37, 0.070),
    "skull": Tissue(0.10, 0.30, 0.005),
    "csf": Tissue(1.00, 4.00, 1.500),
    "grey": Tissue(0.82, 1.45, 0.099),
    "white": Tissue(0.70, 0.90, 0.070),
    "nuclei": Tissue(0.78, 1.20, 0.065),
    "lesion": Tissue(0.86, 1.40, 0.180),
    "oedema": Tissue(0.88, 1.60, 0.150),
    "tumour": Tissue(0.80, 0.60, 0.095),
    "necrosis": Tissue(0.95, 2.60, 0.400),
}
"""Of the head at 3 T, rounded from Stanisz et al. 2005 and Wansapura et al. 1999."""

KNEE_TISSUES = {
    "skin": Tissue(0.50, 0.90, 0.030),
    "fat": Tissue(0.95, 0.37, 0.133, fat=1.0),
    "fascia": Tissue(0.25, 0.60, 0.010),
    "muscle": Tissue(0.85, 1.42, 0.032),
    "vessel": Tissue(0.90, 1.90, 0.120),
    "cortex": Tissue(0.12, 0.40, 0.005),
    "marrow": Tissue(0.80, 0.365, 0.133, fat=0.90),
    "cartilage": Tissue(0.80, 1.24, 0.037),
    "meniscus": Tissue(0.45, 0.96, 0.008),
    "ligament": Tissue(0.40, 0.80, 0.009),
    "fluid": Tissue(1.00, 3.62, 0.767),
    "bruise": Tissue(0.85, 0.90, 0.100, fat=0.30),
}
"""Of the knee at 3 T, rounded from Gold et al. 2004."""

HEART_TISSUES = {
    "fat": Tissue(0.65, 0.26, 0.085),
    "muscle": Tissue(0.75, 0.90, 0.045),
    "lung": Tissue(0.08, 1.20, 0.040),
    "liver": Tissue(0.75, 0.58, 0.046),
    "bone": Tissue(0.35, 0.55, 0.050),
    "blood": Tissue(0.95, 1.50, 0.250),
    "myocardium": Tissue(0.80, 1.00, 0.052),
}
"""Of the chest at 1.5 T, rounded from Stanisz et al. 2005 and de Bazelaire et al. 2004."""


def spin_echo(tissue: Tissue, *, tr: float, te: float) -> float:
    """Return the signal of a spin echo. tr: repetition time [s], te: echo time [s]."""
    return tissue.proton_density * (1 - exp(-tr / tissue.t1)) * exp(-te / tissue.t2)


def inversion_recovery(tissue: Tissue, *, tr: float, te: float, ti: float) -> float:
    """Return the magnitude of an inversion recovery spin echo. tr, te, ti: repetition, echo and inversion time [s]."""
    recovered = abs(1 - 2 * exp(-ti / tissue.t1) + exp(-tr / tissue.t1))
    return tissue.proton_density * recovered * exp(-te / tissue.t2)


def fat_suppressed(tissue: Tissue, *, tr: float, te: float, left: float) -> float:
    """Return the signal of a spin echo after fat suppression. left: part of the signal of fat that the pulse leaves."""
    return spin_echo(tissue, tr=tr, te=te) * (1 - tissue.fat * (1 - left))


def spoiled_gradient_echo(tissue: Tissue, *, tr: float, te: float, flip_deg: float) -> float:
    """Return the signal of a spoiled gradient echo (Ernst 1966), with T2 in the place of T2*. tr, te [s]."""
    e1, flip = exp(-tr / tissue.t1), radians(flip_deg)
    return tissue.proton_density * sin(flip) * (1 - e1) / (1 - e1 * cos(flip)) * exp(-te / tissue.t2)


def balanced_ssfp(tissue: Tissue, *, flip_deg: float) -> float:
    """Return the signal of a balanced steady state whose repetition time is short against T1 and T2 (Scheffler 2003)."""
    flip = radians(flip_deg)
    return tissue.proton_density * sin(flip) / (1 + cos(flip) + (1 - cos(flip)) * tissue.t1 / tissue.t2)


KNEE_CONTRASTS: dict[str, Callable[[Tissue], float]] = {
    "CORPD_FBK": lambda tissue: spin_echo(tissue, tr=2.75, te=0.027),
    "CORPDFS_FBK": lambda tissue: fat_suppressed(tissue, tr=2.87, te=0.033, left=0.08),
}
"""fastMRI's name of a contrast → signal of a tissue; times of Hammernik et al. 2018."""

CONTRASTS: dict[str, Callable[[Tissue], float]] = {
    "AXT1": lambda tissue: spin_echo(tissue, tr=0.50, te=0.010),
    "AXT2": lambda tissue: spin_echo(tissue, tr=4.00, te=0.100),
    # TI nulls CSF: 1 - 2 exp(-TI / 4 s) + exp(-9 s / 4 s) = 0 at 2.37 s
    "AXFLAIR": lambda tissue: inversion_recovery(tissue, tr=9.00, te=0.100, ti=2.37),
}
"""fastMRI's name of a contrast → signal of a tissue."""
