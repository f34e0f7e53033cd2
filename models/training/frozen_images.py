"""Images of a frozen network: computed once for each volume, kept on disk, and shared by all runs that build on that network.

{folder}/{hash of its weights}/{volume}-{hash of the volume}.h5 holds `images` (slice, y, x): other weights or other data have other files.
A file is there as a whole or not at all. Each run goes through what is missing in an order of its own, so that runs that start together
share the work; where two compute the same volume, one file takes the place of an equal one.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from data.errors import BadInput
from data.kspace.masks import rng_of_name
from data.volumes.formats import KSPACE_AXES, TARGET_AXES, dataset, fingerprint, middle_rows, open_file, real_dataset
from data.volumes.loading import SliceDataset, stack_samples
from data.volumes.paired import FROZEN_KEY
from data.volumes.sampling import Pick
from data.volumes.volume import Volume
from data.whole_files import written_whole
from models.config import TrainConfig
from models.network import Network
from models.training.context import Run
from models.training.feed import AnySample, dataset_of, slices_of
from models.varnet_rcan import VarNetRcan

NOT_THE_FOLDER = (None, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE)
"""Errors that another folder may not mend, or that pass: full disks, broken ones. HDF5 tells its own without a number."""


def keep_frozen_images(
    model: Network, loaders: Iterable[DataLoader[AnySample]], config: TrainConfig, run: Run, device: torch.device
) -> None:
    """Let `loaders` hand out the images of the frozen part of `model` from train.frozen_images; what is missing there is computed.

    Nothing happens for networks without such a part, or without that folder. A run that is to stop does so between two volumes.
    """
    if not isinstance(model, VarNetRcan) or not config.train.frozen_images:
        return
    folder = Path(config.train.frozen_images) / model.frozen_hash()[:16]
    splits = [slices_of(loader) for loader in loaders]
    places = {volume.path: place_of(volume, folder) for slices in splits for volume in slices.volumes}
    volumes = [volume for slices in splits for volume in slices.volumes]
    missing = [volume for volume in volumes if not _is_whole(places[volume.path], volume)]
    computed = _compute(missing, places, model, config, run, device)
    run.log(f"images of the frozen network: {computed} of {len(volumes)} volumes computed, {len(volumes) - computed} found in {folder}")
    for slices in splits:
        slices.volumes = tuple(replace(volume, frozen_images=places[volume.path]) for volume in slices.volumes)


def place_of(volume: Volume, folder: Path) -> Path:
    """Return where the images of a volume are kept: its size and date, and k-space from the middle, tell it from any other."""
    status = volume.path.stat()
    with open_file(volume.path) as file:
        sample = fingerprint(volume.shape, middle_rows(dataset(file, "kspace", KSPACE_AXES)))
    source = f"{sample} {volume.size} {status.st_size} {status.st_mtime_ns}"
    return folder / f"{volume.name}-{hashlib.sha256(source.encode()).hexdigest()[:16]}.h5"


def _compute(
    missing: list[Volume], places: dict[Path, Path], model: VarNetRcan, config: TrainConfig, run: Run, device: torch.device
) -> int:
    """Write the images of the volumes that still lack them when their turn comes. Returns of how many."""
    computed = 0
    for number in rng_of_name(f"frozen images of {run.id}").permutation(len(missing)):
        if run.stop_requested:
            raise run.Interrupted()
        volume = missing[number]
        if not _is_whole(places[volume.path], volume):
            _write(places[volume.path], _images(volume, model, config, device))
            computed += 1
    return computed


def _images(volume: Volume, model: VarNetRcan, config: TrainConfig, device: torch.device) -> Tensor:
    """Return what the frozen network makes of all slices of a volume, (slice, y, x) float32."""
    slices = dataset_of((volume,), config, (config.mask,))
    assert isinstance(slices, SliceDataset)
    try:
        samples = (stack_samples([slices[Pick(0, index)]]).to(device) for index in range(len(slices)))
        images = torch.cat([model.frozen_image(sample).cpu() for sample in samples])
    finally:
        slices.reader.close()
    if not images.isfinite().all():
        raise BadInput(f"{volume.path}: the network of model.varnet makes NaN or Inf of it. Choose other weights, or take the volume out.")
    return images


def _write(path: Path, images: Tensor) -> None:
    try:
        with written_whole(path) as file:
            file[FROZEN_KEY] = images.numpy()
    except OSError as error:
        if error.errno in NOT_THE_FOLDER:
            raise
        raise BadInput(f"train.frozen_images: {path.parent} cannot be written ({error.strerror}). Name a folder of your own.") from error


def _is_whole(path: Path, volume: Volume) -> bool:
    """Say whether a file of images is there, can be read, and has the shape of the volume."""
    try:
        with open_file(path) as file:
            return bool(real_dataset(file, FROZEN_KEY, TARGET_AXES).shape == (volume.shape[0], *volume.size))
    except BadInput:
        return False
