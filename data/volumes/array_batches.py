"""Batches of slices from memory-mapped arrays: each is one read, with nothing done slice by slice but the drawing of random masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from data.errors import BadInput
from data.kspace.masks import Mask, rng_of_name
from data.volumes.arrays import ArrayReader, Images, Kspace, target_of
from data.volumes.flips import AXES, draw_flips, flip_kspace
from data.volumes.loading import DrawMask, Sample, is_finite
from data.volumes.sampling import FLIPS, Pick, rng_of_pick
from data.volumes.volume import Volume


class ArrayDataset(Dataset[Sample]):
    """All slices of the volumes of one mapped file, whole batches at a time.

    Masks are drawn as those of SliceDataset: with `seed` for each pick, without for each volume from its name.
    """

    def __init__(
        self,
        volumes: Sequence[Volume],
        draw_mask: DrawMask | None,
        *,
        fixed: bool = False,
        seed: int | None = None,
        keep_full: bool = False,
        flips: bool = False,
        cache: Path | None = None,
    ) -> None:
        """draw_mask: None where k-space is given fully sampled, because the network samples it. fixed: one mask for all slices.

        The others as those of SliceDataset.
        """
        self.volumes = tuple(volumes)
        counts = [volume.shape[0] for volume in self.volumes]
        self._number = np.repeat(np.arange(len(counts)), counts)
        self._place = np.concatenate([volume.first + np.arange(volume.shape[0]) for volume in self.volumes])
        self._maximum = np.array([volume.maximum for volume in self.volumes], dtype=np.float32)
        self._draw_mask = draw_mask
        self._fixed = fixed
        self._seed = seed
        self._flips = flips
        self._keep_full = keep_full
        self._drawn: dict[int, Mask] = {}
        self.reader = ArrayReader(cache)

    def __len__(self) -> int:
        return len(self._number)

    def __getitems__(self, picks: Sequence[Pick]) -> Sample:
        """Return the batch of some picks."""
        items = np.array([pick.item for pick in picks])
        full, target = self._read(items)
        if self._flips and self._seed is not None:
            self._mirror(full, target, picks)
        kspace, kept, fractions = self._sampled(full, picks, self._number[items])
        return Sample(
            kspace=kspace,
            mask=kept,
            target=torch.from_numpy(target),
            maximum=torch.from_numpy(self._maximum[self._number[items]]),
            sampled_fraction=fractions,
            volume=torch.from_numpy(self._number[items]),
            slice=torch.from_numpy(self._place[items]),
            full_kspace=torch.from_numpy(full) if self._keep_full else None,
        )

    def _read(self, items: NDArray[np.intp]) -> tuple[Kspace, Images]:
        kspace, target = self.reader.read(self.volumes[0].path, self._place[items])
        for path, read in ((self.volumes[0].path, kspace), (target_of(self.volumes[0].path), target)):
            if not is_finite(read):
                wrong = next(item for item, values in zip(items, read, strict=True) if not np.isfinite(values).all())
                name, place = self.volumes[self._number[wrong]].name, self._place[wrong]
                raise BadInput(f"{path}: slice {place} (of volume {name}) holds NaN or Inf. Make the file again.")
        return kspace, target

    def _mirror(self, kspace: Kspace, target: Images, picks: Sequence[Pick]) -> None:
        """Mirror slices in place, each along axes of its own."""
        drawn = [draw_flips(rng_of_pick(self._seed or 0, pick, FLIPS)) for pick in picks]
        for axis in AXES:
            chosen = np.array([axis in axes for axes in drawn])
            if chosen.any():
                kspace[chosen] = flip_kspace(kspace[chosen], axis, shown=kspace.shape[axis])
                target[chosen] = np.flip(target[chosen], axis)

    def _sampled(self, full: Kspace, picks: Sequence[Pick], numbers: NDArray[np.intp]) -> tuple[Tensor, Tensor, Tensor]:
        """Return k-space with zeros where it is not sampled, the masks (batch, y or 1, x), and which part each samples."""
        batch, _, height, width = full.shape
        kspace = torch.from_numpy(full)
        if self._draw_mask is None:
            return kspace, torch.ones(batch, 1, width, dtype=torch.bool), torch.ones(batch)
        masks = [self._mask(self._draw_mask, pick, number, (height, width)) for pick, number in zip(picks, numbers.tolist(), strict=True)]
        if self._fixed:
            kept = torch.from_numpy(masks[0].kept).repeat(batch, 1, 1)
        else:
            kept = torch.from_numpy(np.stack([mask.kept for mask in masks]))
        fractions = torch.tensor([mask.sampled_fraction for mask in masks])
        # half the time of a product of complex numbers with truths
        return torch.where(kept[:, None], kspace, 0), kept, fractions

    def _mask(self, draw_mask: DrawMask, pick: Pick, number: int, size: tuple[int, int]) -> Mask:
        """Return the mask of a pick; what does not depend on the pick is drawn once."""
        if self._seed is not None and not self._fixed:
            return draw_mask(size, slice(0, size[1]), rng_of_pick(self._seed, pick))
        kept_under = 0 if self._fixed else number
        if kept_under not in self._drawn:
            self._drawn[kept_under] = draw_mask(size, slice(0, size[1]), rng_of_name(self.volumes[number].name))
        return self._drawn[kept_under]


def as_batch(batch: Sample) -> Sample:
    """Return what the data set gives, which is a batch already."""
    return batch
