"""A data set of odd sizes that is made in a moment."""

from __future__ import annotations

from pathlib import Path

from data.simulate.brain import brain_files
from data.simulate.files import write_files
from data.simulate.options import BrainSpec

SPEC = BrainSpec(size=(33, 31), oversampling=1.2, padding=1, slices=3, coils=3, seed=5)
COUNTS = {"train": 3, "val": 1, "test": 2}


def make_brains(root: Path, spec: BrainSpec = SPEC, **counts: int) -> Path:
    """Write train, val and test volumes below `root` and return it."""
    for _ in write_files(brain_files(root, {**COUNTS, **counts}, spec)):
        pass
    return root
