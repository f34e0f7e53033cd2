"""Cine series of beating hearts: as they are, and as gridding shows them from a few radial spokes a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from data.convert.cine import RECON_KEY, TRUTH_KEY
from data.kspace.masks import rng_of_name
from data.simulate.contrasts import HEART_TISSUES, balanced_ssfp
from data.simulate.files import PlannedData, PlannedFile
from data.simulate.heart import beating, contraction, draw_chest, draw_heart
from data.simulate.options import SPLITS, CineSpec
from data.simulate.phantom import paint_slice
from data.simulate.radial import grid_radially, tiny_golden_angle
from data.simulate.scan import draw_noise, draw_phase, draw_texture

ANGLE_ORDER = 7
"""Of the tiny golden angle: 23.63 degrees."""
FLIP_DEG = 50.0
Series = NDArray[np.float32]
"""(x, y, time)"""


def cine_files(out: Path, counts: Mapping[str, int], spec: CineSpec) -> PlannedData:
    """Plan `out`/train.h5, val.h5 and test.h5. counts: split → number of series; a split of none has no file."""
    files = (
        PlannedFile(
            path=out / f"{split}.h5",
            data=spec.describe(series=counts[split]),
            place={"split": split},
            fill=partial(_fill, spec=spec, split=split, series=counts[split]),
        )
        for split in SPLITS
        if counts[split]
    )
    return PlannedData(folders=(out,), files=tuple(files))


def _fill(file: h5py.File, *, spec: CineSpec, split: str, series: int) -> None:
    shape = (spec.size[1], spec.size[0], spec.frames)
    for key in (RECON_KEY, TRUTH_KEY):
        file.create_dataset(key, (series, *shape), dtype=np.float32, chunks=(1, *shape))
    for number in range(series):
        file[RECON_KEY][number], file[TRUTH_KEY][number] = simulate_series(spec, rng_of_name(f"cine {spec.seed} {split} {number}"))


def simulate_series(spec: CineSpec, rng: Generator) -> tuple[Series, Series]:
    """Return a series with streaks and the truth, both (x, y, time) from 0 to 1 on one scale; the brightest streaks are cut off.

    Each frame is one state of the heart, sampled on spokes whose angles go on from frame to frame by the tiny golden angle.
    """
    truth = _draw_frames(spec, rng)
    phase = np.exp(1j * draw_phase(spec.size, rng))
    noisy = truth * phase + draw_noise(truth.shape, spec.noise * float(truth.max()), rng)
    first = int(rng.integers(0, 10_000))
    angles = (first + np.arange(spec.frames * spec.spokes)).reshape(spec.frames, spec.spokes) * tiny_golden_angle(ANGLE_ORDER)
    recon = np.abs(np.stack([grid_radially(image, own) for image, own in zip(noisy, angles, strict=True)]))
    scale = max(float(np.quantile(recon, 0.999)), float(truth.max()))
    return _stored(np.minimum(recon / scale, 1)), _stored(truth / scale)


def _draw_frames(spec: CineSpec, rng: Generator) -> NDArray[np.float64]:
    """Draw a chest and the heart in it, over one to two beats, while breathing moves the heart. Returns (time, y, x)."""
    chest, heart = draw_chest(rng), draw_heart(rng)
    signals = {name: balanced_ssfp(tissue, flip_deg=FLIP_DEG) for name, tissue in HEART_TISSUES.items()}
    texture = draw_texture(spec.size, rng, depth=0.01) * draw_texture(spec.size, rng, waves=30, frequency=40, depth=0.006)
    still = paint_slice(chest, signals, z=0, size=spec.size)
    times = np.arange(spec.frames) / spec.frames
    beats = rng.uniform(0, 1) + rng.uniform(1.0, 2.0) * times
    breath = rng.uniform(0.0, 0.03) * np.sin(2 * np.pi * (rng.uniform(0, 1) + rng.uniform(0.1, 0.4) * times))
    moved = (replace(heart, center=(heart.center[0] + down, heart.center[1])) for down in breath.tolist())
    bodies = (beating(now, contraction(beat % 1)) for now, beat in zip(moved, beats.tolist(), strict=True))
    return np.stack([texture * paint_slice(body, signals, z=0, size=spec.size, on=still) for body in bodies])


def _stored(frames: NDArray[np.float64]) -> Series:
    """Turn frames (time, y, x) into the layout's axes (x, y, time)."""
    return frames.transpose(2, 1, 0).astype(np.float32)
