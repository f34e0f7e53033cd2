"""Training on less: which volumes are left when a data set is made scarce."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def halve(paths: Sequence[Path], halvings: int, *, seed: int) -> list[Path]:
    """Halve a list of files `halvings` times and return what is left, sorted; never less than one file.

    Each half is drawn from the one before with the same generator, so that more halvings give a subset of fewer.
    """
    rng = np.random.default_rng(seed)
    left = np.arange(len(paths))
    for _ in range(halvings):
        left = rng.choice(left, max(len(left) // 2, 1), replace=False)
    return [paths[place] for place in sorted(left.tolist())]
