"""k-space without its truth: what of a site's scans may be used where their reference images must stay unread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from data.errors import BadInput
from data.volumes.fastmri import acquired_columns
from data.volumes.flips import draw_flips, flip_acquired, flip_kspace
from data.volumes.formats import (
    HEADER_NAMESPACE,
    KSPACE_AXES,
    SINGLE_COIL_AXES,
    complex_dataset,
    fingerprint,
    member,
    middle_rows,
    open_file,
    rank,
)
from data.volumes.loading import DrawMask, clear_rest, is_finite, stack
from data.volumes.reading import SliceReader
from data.volumes.sampling import FLIPS, Pick, rng_of_pick


@dataclass(frozen=True, kw_only=True)
class UnlabelledVolume:
    """A scan of which nothing but k-space and header has been read. It has no field that could hold a truth."""

    path: Path
    shape: tuple[int, int, int, int]
    """(slice, coil, y, x) of k-space."""
    size: tuple[int, int]
    """(y, x) to which images are cropped."""
    acquired: tuple[int, int]
    """First column of k-space that the scanner acquired, and the one after the last."""
    fingerprint: str
    """Hash of the shape and of k-space from the middle."""


class Unlabelled(NamedTuple):
    """One slice, or a batch of slices when the axes in front are stacked."""

    kspace: Tensor
    """(batch, coil, y, x) complex64, zero where it is not sampled."""
    size: tuple[int, int]
    """(y, x) that images have."""

    def to(self, device: torch.device) -> Unlabelled:
        """Return the sample on `device`."""
        return self._replace(kspace=self.kspace.to(device, non_blocking=True))


class UnlabelledSlices(Dataset[Unlabelled]):
    """All slices of some volumes, each pick with a mask of its own, drawn from (seed, epoch, slice) as in training."""

    def __init__(
        self, volumes: Sequence[UnlabelledVolume], draw_mask: DrawMask, *, seed: int, flips: bool = False, cache: Path | None = None
    ) -> None:
        """flips: mirror slices at random. cache: a folder on the node's own disk, to which files are copied before they are read."""
        self.volumes = tuple(volumes)
        self._slices = [(volume, index) for volume in self.volumes for index in range(volume.shape[0])]
        self._draw_mask = draw_mask
        self._seed = seed
        self._flips = flips
        self.reader = SliceReader(cache)

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, pick: Pick) -> Unlabelled:
        volume, index = self._slices[pick.item]
        kspace = _finite_slice(self.reader, volume, index)
        axes = draw_flips(rng_of_pick(self._seed, pick, FLIPS)) if self._flips else ()
        for axis in axes:
            kspace = flip_kspace(kspace, axis, shown=volume.size[axis])
        height, width = volume.shape[-2:]
        acquired = flip_acquired(volume.acquired, width) if -1 in axes else volume.acquired
        mask = self._draw_mask((height, width), slice(*acquired), rng_of_pick(self._seed, pick))
        clear_rest(kspace, mask.kept)
        return Unlabelled(kspace=torch.from_numpy(kspace), size=volume.size)


def stack_unlabelled(samples: Sequence[Unlabelled]) -> Unlabelled:
    """Stack samples of one shape to a batch."""
    return Unlabelled(kspace=stack([sample.kspace for sample in samples]), size=samples[0].size)


def read_unlabelled(path: Path) -> UnlabelledVolume:
    """Read shape and header of a fastMRI file, whose reference images are not opened and may be missing.

    Raises BadInput naming file, key, what was expected and what was found. Images are as large as the header's reconSpace says;
    without a header as k-space.
    """
    with open_file(path) as file:
        single = rank(file, "kspace") == len(SINGLE_COIL_AXES)
        kspace = complex_dataset(file, "kspace", SINGLE_COIL_AXES if single else KSPACE_AXES)
        slices, *coils, height, width = kspace.shape
        acquired = acquired_columns(file, width=width)  # refuses a broken header
        return UnlabelledVolume(
            path=path,
            shape=(slices, coils[0] if coils else 1, height, width),
            size=_shown(file, (height, width)),
            acquired=acquired,
            fingerprint=fingerprint(kspace.shape, middle_rows(kspace)),
        )


def read_finite(path: Path, cache: Path | None = None) -> UnlabelledVolume:
    """Do what `read_unlabelled` does, and look at all of k-space. Raises BadInput where it is damaged or holds NaN or Inf, too."""
    volume, reader = read_unlabelled(path), SliceReader(cache)
    try:
        for index in range(volume.shape[0]):
            _finite_slice(reader, volume, index)
    finally:
        reader.close()
    return volume


def _finite_slice(reader: SliceReader, volume: UnlabelledVolume, index: int) -> NDArray[np.complex64]:
    """Read k-space of a slice, (coil, y, x)."""
    kspace = reader.read(volume.path, "kspace", index).astype(np.complex64, copy=False).reshape(volume.shape[1:])
    if not is_finite(kspace):
        raise BadInput(f"{volume.path}: slice {index} holds NaN or Inf (kspace). Remove the file from the split, or make it again.")
    return kspace


def refuse_twins(training: Sequence[UnlabelledVolume], others: Sequence[Path]) -> None:
    """Raise BadInput where one of the files `others` has the name or the k-space of a volume of `training`."""
    names = {volume.path.name: volume for volume in training}
    contents = {volume.fingerprint: volume for volume in training}
    for path in others:
        twin = names.get(path.name) or contents.get(read_unlabelled(path).fingerprint)
        if twin is not None:
            raise BadInput(f"{twin.path} and {path} are the same volume. Remove one: a volume has one split.")


def _shown(file: h5py.File, measured: tuple[int, int]) -> tuple[int, int]:
    """Return (y, x) of reconSpace, at most that of k-space. ISMRMRD calls the readout x and the phase encoding y: our rows and columns."""
    if "ismrmrd_header" not in file:
        return measured
    root = ElementTree.fromstring(member(file, "ismrmrd_header")[()])
    place = "/".join(f"{{{HEADER_NAMESPACE}}}{tag}" for tag in ("encoding", "reconSpace", "matrixSize"))
    found = [root.findtext(f"{place}/{{{HEADER_NAMESPACE}}}{axis}") or str(length) for axis, length in zip("xy", measured, strict=True)]
    if not all(text.isdecimal() and int(text) > 0 for text in found):
        raise BadInput(f"{file.filename}: key 'ismrmrd_header': reconSpace/matrixSize is {found}. Mend it: two numbers, 1 or more.")
    rows, columns = (min(int(text), length) for text, length in zip(found, measured, strict=True))
    return rows, columns
