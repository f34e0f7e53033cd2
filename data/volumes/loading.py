"""Slices of volumes as samples for a network: under-sampled k-space, its mask, and the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset

from data.errors import BadInput
from data.kspace.masks import ColumnMask, rng_of_name
from data.volumes.formats import Volume
from data.volumes.reading import SliceReader
from data.volumes.sampling import Pick

DrawMask = Callable[[int, slice, Generator], ColumnMask]
"""(width, acquired columns, generator) → mask."""


class Sample(NamedTuple):
    """One slice, or a batch of slices when the axes in front are stacked."""

    kspace: Tensor
    """(batch, coil, y, x) complex64, zero where the mask is False."""
    mask: Tensor
    """(batch, x) bool."""
    target: Tensor
    """(batch, y, x) float32: reconstruction_rss of the fully sampled data."""
    maximum: Tensor
    """(batch,) float32: the largest value of the target's volume, the data range."""
    sampled_fraction: Tensor
    """(batch,) float32: kept columns by acquired columns."""
    volume: Tensor
    """(batch,) int64: index of the volume in its split."""
    slice: Tensor
    """(batch,) int64: index of the slice in its volume."""
    sens_maps: Tensor | None = None
    """(batch, coil, y, x) complex64: sensitivity maps that come with the data."""
    task: Tensor | None = None
    """(batch,) int64: number of the task in joint training, from 0."""

    def to(self, device: torch.device) -> Sample:
        """Return the sample on `device`."""
        present = {name: values for name, values in self._asdict().items() if values is not None}
        return Sample(**{name: values.to(device, non_blocking=True) for name, values in present.items()})

    @property
    def size(self) -> tuple[int, int]:
        """(y, x) that a reconstruction of this sample has."""
        return (self.target.shape[-2], self.target.shape[-1])


class SliceDataset(Dataset[Sample]):
    """All slices of some volumes, read when asked for.

    With `seed`, each pick has a mask of its own, drawn from (seed, epoch, slice): the same whatever the number of workers and
    wherever training was interrupted. Without, each volume has one mask, drawn from its name, in all epochs and runs.
    """

    def __init__(self, volumes: Sequence[Volume], draw_mask: DrawMask, *, seed: int | None = None) -> None:
        self.volumes = tuple(volumes)
        self._slices = [(number, index) for number, volume in enumerate(self.volumes) for index in range(volume.shape[0])]
        self._draw_mask = draw_mask
        self._seed = seed
        self.reader = SliceReader()

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, pick: Pick) -> Sample:
        number, index = self._slices[pick.item]
        volume = self.volumes[number]
        mask = self._draw_mask(volume.shape[-1], slice(*volume.acquired), self._rng(pick, volume))
        kspace = self.reader.read(volume.path, "kspace", index).astype(np.complex64, copy=False)
        target = self.reader.read(volume.path, "reconstruction_rss", index).astype(np.float32, copy=False)
        if not (np.isfinite(target).all() and np.isfinite(kspace).all()):
            raise BadInput(f"{volume.path}: slice {index} holds NaN or Inf. Remove the file from the split, or make it again.")
        return Sample(
            kspace=torch.from_numpy(kspace * mask.columns),
            mask=torch.from_numpy(mask.columns),
            target=torch.from_numpy(target),
            maximum=torch.tensor(volume.maximum),
            sampled_fraction=torch.tensor(mask.sampled_fraction),
            volume=torch.tensor(number),
            slice=torch.tensor(index),
        )

    def _rng(self, pick: Pick, volume: Volume) -> Generator:
        if self._seed is None:
            return rng_of_name(volume.name)
        return np.random.default_rng((self._seed, pick.epoch, pick.item))


def stack_samples(samples: Sequence[Sample]) -> Sample:
    """Stack samples to a batch. Raises BadInput where their shapes differ, as those of volumes from different scanners may."""
    shapes = {(tuple(sample.kspace.shape), sample.size) for sample in samples}
    if len(shapes) > 1:
        listed = " and ".join(f"kspace {kspace}, target {target}" for kspace, target in sorted(shapes))
        raise BadInput(f"data: one batch would hold slices of different shapes, {listed}. Set train.micro_batch: 1.")
    present = {name: values for name, *values in zip(Sample._fields, *samples, strict=True) if values[0] is not None}
    return Sample(**{name: torch.stack(values) for name, values in present.items()})
