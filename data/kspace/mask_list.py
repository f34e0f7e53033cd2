"""A list of fixed masks as a csv file: the axis of a grid that compares them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.whole_files import write_bytes

REGULAR = ("caipirinha", "uniform", "column_uniform")
"""The masks of every list; their seed is the default, 0, which they do not read."""
SEEDS = 100_000
"""Random masks have seeds below this."""


def draw_seeds(count: int, seed: int) -> list[int]:
    """Return different seeds of random masks, as `seed` decides.

    They are numpy.random.seed(seed), numpy.random.choice(100000, count, replace=False): numbers that numpy promises never to change.
    More seeds keep the first ones.
    """
    return np.random.RandomState(seed).choice(SEEDS, count, replace=False).tolist()


def mask_list(count: int, seed: int) -> str:
    """Return the text of the csv file: columns mask.kind and mask.seed, the regular masks, then `count` of tile_random."""
    rows = [(kind, 0) for kind in REGULAR] + [("tile_random", each) for each in draw_seeds(count, seed)]
    return "mask.kind,mask.seed\n" + "".join(f"{kind},{each}\n" for kind, each in rows)


def write_mask_list(path: Path, count: int, seed: int) -> None:
    """Write the csv file, whole or not at all."""
    write_bytes(path, mask_list(count, seed).encode())
