"""A data set of odd sizes that is made in a moment."""

from __future__ import annotations

from pathlib import Path

from data.simulate.brain import BrainSpec
from data.simulate.writing import write_brains

SPEC = BrainSpec(size=(33, 31), oversampling=1.2, padding=1, slices=3, coils=3, seed=5)
COUNTS = {"train": 3, "val": 1, "test": 2}


def make_brains(root: Path, spec: BrainSpec = SPEC, **counts: int) -> Path:
    """Write train, val and test volumes below `root` and return it."""
    for _ in write_brains(root, {**COUNTS, **counts}, spec):
        pass
    return root
