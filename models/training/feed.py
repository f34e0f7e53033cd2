"""From volumes to batches on their way to the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from numpy.random import Generator
from torch.utils.data import DataLoader

from data.errors import BadInput
from data.kspace.masks import Mask, draw
from data.volumes.cache import cache_folder
from data.volumes.cine import SeriesDataset, stack_series
from data.volumes.cine_sample import CineSample
from data.volumes.description import CineData, KneeData
from data.volumes.layouts import open_splits
from data.volumes.loading import Sample, SliceDataset, stack_samples
from data.volumes.sampling import InOrder, Share, ShuffledBatches, buckets_of
from data.volumes.volume import Volume
from models.config import MaskConfig, TrainConfig
from models.training.fit import refuse_misfit, refuse_misfit_loss
from models.training.parcel import AHEAD, Packer, received

AnySample = Sample | CineSample
AnyDataset = SliceDataset | SeriesDataset


@dataclass(frozen=True, kw_only=True)
class Feed:
    """The three splits, ready to be iterated."""

    order: ShuffledBatches
    """The order of `train`; set its position before an iteration."""
    train: DataLoader[AnySample]
    """Micro-batches of one task and one shape, with fresh masks."""
    val: DataLoader[AnySample]
    """Slice by slice, volume after volume, task after task, with the fixed mask of each volume."""
    test: DataLoader[AnySample]
    tasks: tuple[str, ...]
    """Names of the tasks, by number; a single empty one where the data tell no tasks apart."""
    slices: tuple[int, ...]
    """Training slices of each task, before any is repeated or left out."""

    def close(self) -> None:
        """Close the files of this process."""
        for loader in (self.train, self.val, self.test):
            slices_of(loader).reader.close()


def open_feed(config: TrainConfig, device: torch.device, share: Share = Share()) -> Feed:
    """Read the splits of config.data. Raises BadInput for missing or wrong files, for a volume in two splits, and for a misfit network.

    share: which slices of each batch of training are loaded.
    """
    if config.model is not None:
        refuse_misfit(config.model, config.data)
        refuse_misfit_loss(config.loss.kind, config.model, config.data)
    splits = open_splits(config.data)
    buckets = buckets_of(splits.train)
    batch = config.train.batch
    order = ShuffledBatches(
        buckets,
        batch=batch,
        micro_batch=config.train.micro_batch or batch,
        seed=config.seed,
        sampling=config.data.sampling if isinstance(config.data, KneeData) else "none",
        share=share,
    )
    train = _dataset(splits.train, config, config.training_masks, seed=config.seed)
    val, test = _dataset(splits.val, config, (config.mask,)), _dataset(splits.test, config, (config.test_mask or config.mask,))
    numbers = [bucket.task for bucket in buckets]
    return Feed(
        order=order,
        train=_loader(train, order, config, device),
        val=_loader(val, InOrder(len(val)), config, device),
        test=_loader(test, InOrder(len(test)), config, device),
        tasks=config.data.tasks,
        slices=tuple(numbers.count(number) for number in range(len(config.data.tasks))),
    )


def _dataset(volumes: tuple[Volume, ...], config: TrainConfig, masks: Sequence[MaskConfig], *, seed: int | None = None) -> AnyDataset:
    """Return the slices of volumes, sampled as one of `masks` says. With `seed`, those of training: each pick has a mask of its own."""
    cache = cache_folder(config.data.cache)
    if isinstance(config.data, CineData):
        return SeriesDataset(volumes, seed=seed, flips=config.data.flips, cache=cache)
    keep_full = config.loss.kind == "kspace_nmse"
    return SliceDataset(volumes, partial(draw_one, masks), seed=seed, keep_full=keep_full, flips=config.data.flips, cache=cache)


def draw_one(masks: Sequence[MaskConfig], size: tuple[int, int], acquired: slice, rng: Generator) -> Mask:
    """Draw a mask as one of `masks`, chosen uniformly, describes it. size: (y, x) of k-space."""
    chosen = masks[int(rng.integers(len(masks)))] if len(masks) > 1 else masks[0]
    return draw(chosen, size, rng, acquired=acquired)


def _loader(slices: AnyDataset, order: ShuffledBatches | InOrder, config: TrainConfig, device: torch.device) -> DataLoader[AnySample]:
    packer = Packer(stack_series) if isinstance(slices, SeriesDataset) else Packer(stack_samples)
    return DataLoader(
        slices,
        batch_sampler=order,
        collate_fn=packer,
        worker_init_fn=packer.serve,
        num_workers=config.train.num_workers,
        prefetch_factor=AHEAD if config.train.num_workers else None,
        pin_memory=device.type == "cuda",
        # its own generator: otherwise every iteration would take a number from the one that dropout uses
        generator=torch.Generator().manual_seed(0),
    )


def batches(loader: DataLoader[AnySample], device: torch.device) -> Iterator[AnySample]:
    """Yield the samples on `device`; an error of a reading process is raised with its own one-line message."""
    try:
        yield from received(loader, device)
    except BadInput as error:
        error.__traceback__ = None  # its frames hold the iterator, whose reading processes are to end now
        raise BadInput(_own_message(error)) from None


def _own_message(error: BadInput) -> str:
    """Return the last line of what torch makes of an error: the text before it is the traceback in the reading process."""
    return str(error).strip().splitlines()[-1].removeprefix(f"{BadInput.__module__}.{BadInput.__name__}: ")


def slices_of(loader: DataLoader[AnySample]) -> AnyDataset:
    """Return the data set behind a loader of this module."""
    assert isinstance(loader.dataset, AnyDataset)
    return loader.dataset
