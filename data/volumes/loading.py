"""Slices of volumes as samples for a network: under-sampled k-space, its mask, and the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from data.errors import BadInput
from data.kspace.masks import Mask, rng_of_name
from data.volumes import fastmri, knee, paired
from data.volumes.flips import draw_flips, flip_acquired, flip_columns, flip_pixels
from data.volumes.reading import SliceReader
from data.volumes.sampling import FLIPS, Pick, rng_of_pick
from data.volumes.volume import Pixels, Volume

DrawMask = Callable[[tuple[int, int], slice, Generator], Mask]
"""(size (y, x), acquired columns, generator) → mask."""
READ_PIXELS: dict[str, Callable[[SliceReader, Volume, int], Pixels]] = {
    "fastmri": fastmri.read_pixels,
    "knee": knee.read_pixels,
    "paired": paired.read_pixels,
}
"""By Volume.layout; the files of sites are fastMRI's."""


class Sample(NamedTuple):
    """One slice, or a batch of slices when the axes in front are stacked."""

    kspace: Tensor
    """(batch, coil, y, x) complex64, zero where the mask is False."""
    mask: Tensor
    """(batch, y or 1, x) bool: columns have a y axis of length 1, points one as long as k-space has."""
    target: Tensor
    """(batch, y, x) float32: the truth, a magnitude, from the fully sampled data."""
    maximum: Tensor
    """(batch,) float32: the data range of losses, Volume.maximum."""
    sampled_fraction: Tensor
    """(batch,) float32: kept positions by acquired ones."""
    volume: Tensor
    """(batch,) int64: index of the volume in its split."""
    slice: Tensor
    """(batch,) int64: index of the slice in its file."""
    sens_maps: Tensor | None = None
    """(batch, coil, y, x) complex64: sensitivity maps that come with the data."""
    task: Tensor | None = None
    """(batch,) int64: number of the task in joint training, from 0."""
    complex_target: Tensor | None = None
    """(batch, y, x) complex64: the truth with its phase, where the coils are combined with sensitivity maps."""
    grappa: Tensor | None = None
    """(batch, y, x) float32: the image reconstructed by GRAPPA, where it comes with the data."""
    frozen_image: Tensor | None = None
    """(batch, y, x) float32: the image that a frozen network made, where it was kept."""
    full_kspace: Tensor | None = None
    """(batch, coil, y, x) complex64: k-space before the mask, where a loss asks for it and the data are fully sampled."""

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
    A volume that comes with a mask of its own always has that.
    """

    def __init__(
        self,
        volumes: Sequence[Volume],
        draw_mask: DrawMask,
        *,
        seed: int | None = None,
        keep_full: bool = False,
        flips: bool = False,
        cache: Path | None = None,
    ) -> None:
        """keep_full: samples also hold k-space as it was before the mask. flips: mirror the slices of training at random.

        cache: a folder on the node's own disk, to which files are copied before they are read."""
        self.volumes = tuple(volumes)
        self._slices = [(number, index) for number, volume in enumerate(self.volumes) for index in range(volume.shape[0])]
        self._draw_mask = draw_mask
        self._seed = seed
        self._flips = flips
        self._keep_full = keep_full
        self.reader = SliceReader(cache)

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, pick: Pick) -> Sample:
        number, index = self._slices[pick.item]
        volume = self.volumes[number]
        pixels = READ_PIXELS[volume.layout](self.reader, volume, index)
        refuse_nan(pixels, volume, index)
        axes = draw_flips(rng_of_pick(self._seed, pick, FLIPS)) if self._flips and self._seed is not None else ()
        pixels = flip_pixels(pixels, axes)
        kept, sampled_fraction = self._mask(pick, volume, mirrored=-1 in axes)
        full = torch.from_numpy(pixels.kspace.copy()) if self._keep_full and volume.mask is None else None
        clear_rest(pixels.kspace, kept)
        return Sample(
            kspace=torch.from_numpy(pixels.kspace),
            mask=torch.from_numpy(kept),
            target=torch.from_numpy(pixels.target),
            maximum=torch.tensor(volume.maximum),
            sampled_fraction=torch.tensor(sampled_fraction),
            volume=torch.tensor(number),
            slice=torch.tensor(volume.first + index),
            sens_maps=_tensor(pixels.sens_maps),
            task=None if volume.task is None else torch.tensor(volume.task),
            complex_target=_tensor(pixels.complex_target),
            grappa=_tensor(pixels.grappa),
            frozen_image=_tensor(pixels.frozen_image),
            full_kspace=full,
        )

    def _mask(self, pick: Pick, volume: Volume, *, mirrored: bool) -> tuple[NDArray[np.bool_], float]:
        """Return what is kept, (y or 1, x), and which part of the acquired positions that is."""
        if volume.mask is not None:
            columns = flip_columns(volume.mask) if mirrored else volume.mask
            return columns[np.newaxis], float(volume.mask.mean())
        height, width = volume.shape[-2:]
        acquired = flip_acquired(volume.acquired, width) if mirrored else volume.acquired
        rng = rng_of_name(volume.name) if self._seed is None else rng_of_pick(self._seed, pick)
        mask = self._draw_mask((height, width), slice(*acquired), rng)
        return mask.kept, mask.sampled_fraction


def refuse_nan(pixels: Pixels, volume: Volume, index: int) -> None:
    """Raise BadInput where slice `index` holds NaN or Inf."""
    wrong = [name for name, values in pixels._asdict().items() if values is not None and not is_finite(values)]
    if wrong:
        path, keys, way_out = volume.path, ", ".join(wrong), "Remove the file from the split, or make it again"
        if volume.layout == "paired":
            path, keys, way_out = paired.source_of(volume, wrong[0])
        raise BadInput(f"{path}: slice {volume.first + index} holds NaN or Inf ({keys}). {way_out}.")


def is_finite(values: NDArray[np.generic]) -> bool:
    """Say whether an array holds neither NaN nor Inf. A finite sum proves it in less than half the time."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())


def clear_rest(kspace: NDArray[np.complex64], kept: NDArray[np.bool_]) -> None:
    """Set k-space (coil, y, x) to zero where a mask (y or 1, x) is False, in place: at full size each copy costs as much as reading."""
    # as real numbers, by torch: less than half the time of numpy's product of complex numbers with truths
    torch.from_numpy(kspace.view(np.float32)).mul_(torch.from_numpy(kept.repeat(2, axis=-1).astype(np.float32)))


def _tensor(values: NDArray[np.generic] | None) -> Tensor | None:
    return None if values is None else torch.from_numpy(values)


def stack_samples(samples: Sequence[Sample]) -> Sample:
    """Stack samples to a batch. Raises BadInput where their shapes or their parts differ; buckets keep such slices apart."""
    shapes = {(tuple(sample.kspace.shape), sample.size) for sample in samples}
    if len(shapes) > 1:
        listed = " and ".join(f"kspace {kspace}, target {target}" for kspace, target in sorted(shapes))
        raise BadInput(f"data: one batch would hold slices of different shapes, {listed}. Set train.micro_batch: 1.")
    present = {name: values for name, *values in zip(Sample._fields, *samples, strict=True) if values[0] is not None}
    return Sample(**{name: stack(values) for name, values in present.items()})


def stack(values: Sequence[Tensor]) -> Tensor:
    """Stack tensors; one alone gets its new axis without a copy."""
    return values[0].unsqueeze(0) if len(values) == 1 else torch.stack(list(values))
