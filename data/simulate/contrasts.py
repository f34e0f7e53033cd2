"""What a scanner measures in each tissue: relaxation times and the signal equations of three contrasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp


@dataclass(frozen=True)
class Tissue:
    """Relaxation at 3 T, rounded from Stanisz et al. 2005 and Wansapura et al. 1999."""

    proton_density: float
    """Relative to water."""
    t1: float
    """Longitudinal relaxation time [s]."""
    t2: float
    """Transverse relaxation time [s]."""


TISSUES = {
    "scalp": Tissue(0.90, 0.37, 0.070),
    "skull": Tissue(0.10, 0.30, 0.005),
    "csf": Tissue(1.00, 4.00, 1.500),
    "grey": Tissue(0.82, 1.45, 0.099),
    "white": Tissue(0.70, 0.90, 0.070),
    "nuclei": Tissue(0.78, 1.20, 0.065),
    "lesion": Tissue(0.86, 1.40, 0.180),
}


def spin_echo(tissue: Tissue, *, tr: float, te: float) -> float:
    """Return the signal of a spin echo. tr: repetition time [s], te: echo time [s]."""
    return tissue.proton_density * (1 - exp(-tr / tissue.t1)) * exp(-te / tissue.t2)


def inversion_recovery(tissue: Tissue, *, tr: float, te: float, ti: float) -> float:
    """Return the magnitude of an inversion recovery spin echo. tr, te, ti: repetition, echo and inversion time [s]."""
    recovered = abs(1 - 2 * exp(-ti / tissue.t1) + exp(-tr / tissue.t1))
    return tissue.proton_density * recovered * exp(-te / tissue.t2)


CONTRASTS: dict[str, Callable[[Tissue], float]] = {
    "AXT1": lambda tissue: spin_echo(tissue, tr=0.50, te=0.010),
    "AXT2": lambda tissue: spin_echo(tissue, tr=4.00, te=0.100),
    # TI nulls CSF: 1 - 2 exp(-TI / 4 s) + exp(-9 s / 4 s) = 0 at 2.37 s
    "AXFLAIR": lambda tissue: inversion_recovery(tissue, tr=9.00, te=0.100, ti=2.37),
}
"""fastMRI's name of a contrast → signal of a tissue."""
