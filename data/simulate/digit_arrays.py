"""Digits as memory-mapped arrays: k-space of one coil, scaled by one number over the training set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data.kspace.fourier import fftc
from data.simulate.arrays import PlannedArrays
from data.simulate.files import PlannedData
from data.simulate.options import SPLITS
from data.volumes.arrays import Images, Kspace

Bytes = NDArray[np.uint8]
Draw = Callable[[str, int], tuple[Bytes, Bytes]]
"""(split, number of the volume) → images (digit, y, x) and which digit each is (digit,)."""


def digit_kspace(images: Bytes) -> tuple[Images, Kspace]:
    """Return digits as images of 0 to 1, and their k-space. images: (digit, y, x), 0 to 255. Both: (digit, y, x)."""
    target = (images / np.float32(255)).astype(np.float32)
    return target, fftc(torch.from_numpy(target).to(torch.complex64)).numpy()


def digit_arrays(out: Path, counts: Mapping[str, int], described: Mapping[str, object], draw: Draw, *, slices: int) -> PlannedData:
    """Plan train.npy, val.npy and test.npy below `out`. counts: split → volumes of `slices` digits each.

    k-space of all splits is divided by the largest real or imaginary part in that of training.
    """
    scale = cache(partial(largest_part, draw, counts["train"]))
    splits = (
        PlannedArrays(
            path=out / f"{split}.npy",
            data={**described, "train": counts["train"], "volumes": counts[split]},
            slices=counts[split] * slices,
            volumes=partial(_volumes, draw, split, counts[split], scale),
        )
        for split in SPLITS
        if counts[split]
    )
    return PlannedData(folders=(), files=tuple(splits))


def _volumes(draw: Draw, split: str, count: int, scale: Callable[[], np.float32]) -> Iterator[tuple[str, Kspace]]:
    for number in range(count):
        yield f"digits_{split}_{number:04d}", _drawn(draw, split, number)[:, None] / scale()


def _drawn(draw: Draw, split: str, number: int) -> Kspace:
    return digit_kspace(draw(split, number)[0])[1]


def largest_part(draw: Draw, count: int) -> np.float32:
    """Return the largest real or imaginary part of the k-space of training; 1 where there is none."""
    volumes = (_drawn(draw, "train", number).view(np.float32) for number in range(count))
    return max((np.abs(values).max() for values in volumes), default=np.float32(1))
