"""From volumes to batches on their way to the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from numpy.random import Generator
from torch.utils.data import DataLoader

from data.errors import BadInput
from data.kspace.masks import ColumnMask, draw_mask
from data.volumes.formats import Volume
from data.volumes.loading import Sample, SliceDataset, stack_samples
from data.volumes.sampling import InOrder, ShuffledBatches
from data.volumes.splits import read_splits
from models.config import MaskConfig, TrainConfig


@dataclass(frozen=True, kw_only=True)
class Feed:
    """The three splits, ready to be iterated."""

    order: ShuffledBatches
    """The order of `train`; set its position before an iteration."""
    train: DataLoader[Sample]
    """Micro-batches, with fresh masks."""
    val: DataLoader[Sample]
    """Slice by slice, volume after volume, with the fixed mask of each volume."""
    test: DataLoader[Sample]

    def close(self) -> None:
        """Close the files of this process."""
        for loader in (self.train, self.val, self.test):
            slices_of(loader).reader.close()


def open_feed(config: TrainConfig, device: torch.device) -> Feed:
    """Read the splits of config.data. Raises BadInput for missing or wrong files and for a volume in two splits."""
    splits = read_splits(Path(config.data.root), train=config.data.train, val=config.data.val, test=config.data.test)
    draw = partial(draw_for, config.mask)
    fresh = SliceDataset(splits.train, draw, seed=config.seed)
    batch = config.train.batch
    order = ShuffledBatches(len(fresh), batch=batch, micro_batch=config.train.micro_batch or batch, seed=config.seed)
    return Feed(
        order=order,
        train=_loader(fresh, order, config, device),
        val=_in_order(splits.val, draw, config, device),
        test=_in_order(splits.test, draw, config, device),
    )


def draw_for(config: MaskConfig, width: int, acquired: slice, rng: Generator) -> ColumnMask:
    """Draw a mask as `config` describes it."""
    return draw_mask(
        config.kind, width, center_fraction=config.center_fraction, acceleration=config.acceleration, rng=rng, acquired=acquired
    )


def _in_order(volumes: tuple[Volume, ...], draw: partial[ColumnMask], config: TrainConfig, device: torch.device) -> DataLoader[Sample]:
    fixed = SliceDataset(volumes, draw)
    return _loader(fixed, InOrder(len(fixed)), config, device)


def _loader(slices: SliceDataset, order: ShuffledBatches | InOrder, config: TrainConfig, device: torch.device) -> DataLoader[Sample]:
    return DataLoader(
        slices,
        batch_sampler=order,
        collate_fn=stack_samples,
        num_workers=config.train.num_workers,
        pin_memory=device.type == "cuda",
        # its own generator: otherwise every iteration would take a number from the one that dropout uses
        generator=torch.Generator().manual_seed(0),
    )


def batches(loader: DataLoader[Sample], device: torch.device) -> Iterator[Sample]:
    """Yield the samples on `device`; an error of a reading process is raised with its own one-line message."""
    try:
        for sample in loader:
            yield sample.to(device)
    except BadInput as error:
        error.__traceback__ = None  # its frames hold the iterator, whose reading processes are to end now
        raise BadInput(_own_message(error)) from None


def _own_message(error: BadInput) -> str:
    """Return the last line of what torch makes of an error: the text before it is the traceback in the reading process."""
    return str(error).strip().splitlines()[-1].removeprefix(f"{BadInput.__module__}.{BadInput.__name__}: ")


def slices_of(loader: DataLoader[Sample]) -> SliceDataset:
    """Return the data set behind a loader of this module."""
    assert isinstance(loader.dataset, SliceDataset)
    return loader.dataset
