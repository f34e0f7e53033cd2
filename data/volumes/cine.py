"""Cine series: what a file of them holds, checked before it is used, and one series at a time as a sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from torch.utils.data import Dataset

from data.errors import BadInput
from data.volumes.cine_sample import CineSample
from data.volumes.flips import draw_flips
from data.volumes.formats import fingerprint, open_file, real_dataset
from data.volumes.reading import SliceReader
from data.volumes.sampling import FLIPS, Pick, rng_of_pick
from data.volumes.volume import Volume

RECON_KEY, TRUTH_KEY = "imagesRecon", "imagesTrue"
SERIES_AXES = ("series", "x", "y", "time")


def read_series(path: Path, *, data_range: float) -> tuple[Volume, ...]:
    """Read what the file of a split holds: each series is a volume. Raises BadInput naming file, key, expected and found shape."""
    with open_file(path) as file:
        recon, truth = (real_dataset(file, key, SERIES_AXES) for key in (RECON_KEY, TRUTH_KEY))
        if recon.shape != truth.shape:
            raise BadInput(
                f"{path}: key '{TRUTH_KEY}': expected {recon.shape} ({', '.join(SERIES_AXES)}), as '{RECON_KEY}' has, got {truth.shape}. "
                "Make the file again."
            )
        count, width, height, frames = truth.shape
        return tuple(
            Volume(
                path=path,
                layout="cine",
                shape=(1, frames, height, width),
                size=(height, width),
                acquired=(0, width),
                maximum=data_range,
                fingerprint=_fingerprint(truth, index),
                first=index,
            )
            for index in range(count)
        )


def _fingerprint(truth: h5py.Dataset, index: int) -> str:
    middle = truth.shape[1] // 2
    return fingerprint(truth.shape[1:], truth[index, max(middle - 1, 0) : middle + 1])


class SeriesDataset(Dataset[CineSample]):
    """The series of a split, read when asked for. `seed`, `flips`: those of training may be mirrored, all frames alike."""

    def __init__(self, volumes: Sequence[Volume], *, seed: int | None = None, flips: bool = False, cache: Path | None = None) -> None:
        self.volumes = tuple(volumes)
        self._seed = seed
        self._flips = flips
        self.reader = SliceReader(cache)

    def __len__(self) -> int:
        return len(self.volumes)

    def __getitem__(self, pick: Pick) -> CineSample:
        volume = self.volumes[pick.item]
        axes = draw_flips(rng_of_pick(self._seed, pick, FLIPS)) if self._flips and self._seed is not None else ()
        recon, truth = (np.flip(self._read(volume, key), axes).copy() for key in (RECON_KEY, TRUTH_KEY))
        return CineSample(
            image=torch.from_numpy(recon),
            target=torch.from_numpy(truth),
            maximum=torch.tensor(volume.maximum),
            volume=torch.tensor(pick.item),
        )

    def _read(self, volume: Volume, key: str) -> np.ndarray:
        """Return one series, (frame, y, x)."""
        series = self.reader.read(volume.path, key, volume.first).astype(np.float32, copy=False)
        if not np.isfinite(series).all():
            raise BadInput(f"{volume.path}: key '{key}': series {volume.first} holds NaN or Inf. Take it out, or make the file again.")
        return series.transpose(2, 1, 0)


def stack_series(samples: Sequence[CineSample]) -> CineSample:
    """Stack samples to a batch."""
    return CineSample(*(torch.stack(values) for values in zip(*samples, strict=True)))
