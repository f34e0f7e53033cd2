"""From volumes to batches on their way to the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from numpy.random import Generator
from torch.utils.data import DataLoader

from data.errors import BadInput
from data.kspace.description import FIXED_KINDS, LEARNED_KINDS
from data.kspace.masks import Mask, draw
from data.volumes.array_batches import ArrayDataset, as_batch
from data.volumes.cache import cache_folder
from data.volumes.cine import SeriesDataset, stack_series
from data.volumes.cine_sample import CineSample
from data.volumes.description import ArrayData, CineData, KneeData
from data.volumes.layouts import open_splits
from data.volumes.loading import Sample, SliceDataset, stack_samples
from data.volumes.sampling import InOrder, Share, ShuffledBatches, VolumeByVolume, buckets_of
from data.volumes.splits import Splits
from data.volumes.unlabelled import Unlabelled
from data.volumes.volume import Volume
from models.config import MaskConfig, TrainConfig
from models.training.fit import refuse_dark, refuse_misfit, refuse_misfit_loss, refuse_missing, refuse_other_shapes
from models.training.parcel import AHEAD, Packer, received

AnySample = Sample | CineSample
AnyDataset = SliceDataset | SeriesDataset | ArrayDataset
Order = ShuffledBatches | InOrder | VolumeByVolume


@dataclass(frozen=True, kw_only=True)
class Feed:
    """The three splits, ready to be iterated."""

    order: ShuffledBatches
    """The order of `train`; set its position before an iteration."""
    train: DataLoader[AnySample]
    """Micro-batches of one task and one shape, with fresh masks."""
    val: DataLoader[AnySample]
    """Volume after volume, task after task, with the fixed mask of each volume: slice by slice, of arrays in batches."""
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
    order = ShuffledBatches(
        buckets_of(splits.train),
        batch=config.train.batch,
        micro_batch=config.train.micro_batch or config.train.batch,
        seed=config.seed,
        sampling=config.data.sampling if isinstance(config.data, KneeData) else "none",
        share=share,
    )
    return feed_of(splits, order, config, device)


def feed_of(splits: Splits, order: ShuffledBatches, config: TrainConfig, device: torch.device) -> Feed:
    """Make the feed of volumes that are known already; order: of the slices of their training. Raises BadInput where a network misfits."""
    if config.model is not None:
        volumes = (*splits.train, *splits.val, *splits.test)
        refuse_missing(config.model, volumes)
        refuse_dark(config.loss, volumes)
        refuse_other_shapes(config.model, config.mask, volumes)
    train = dataset_of(splits.train, config, config.training_masks, seed=config.seed)
    val, test = dataset_of(splits.val, config, (config.mask,)), dataset_of(splits.test, config, (config.test_mask or config.mask,))
    numbers = [bucket.task for bucket in buckets_of(splits.train)]
    return Feed(
        order=order,
        train=_loader(train, order, config, device),
        val=_loader(val, in_order(val, config), config, device),
        test=_loader(test, in_order(test, config), config, device),
        tasks=config.data.tasks,
        slices=tuple(numbers.count(number) for number in range(len(config.data.tasks))),
    )


def dataset_of(volumes: tuple[Volume, ...], config: TrainConfig, masks: Sequence[MaskConfig], *, seed: int | None = None) -> AnyDataset:
    """Return the slices of volumes, sampled as one of `masks` says. With `seed`, those of training: each pick has a mask of its own."""
    cache = cache_folder(config.data.cache)
    if isinstance(config.data, CineData):
        return SeriesDataset(volumes, seed=seed, flips=config.data.flips, cache=cache)
    draw_mask = partial(draw_one, masks)
    keep_full, flips = config.loss.kind == "kspace_nmse", config.data.flips
    if isinstance(config.data, ArrayData):
        given = None if config.mask.kind in LEARNED_KINDS else draw_mask
        fixed = len(masks) == 1 and masks[0].kind in FIXED_KINDS
        return ArrayDataset(volumes, given, fixed=fixed, seed=seed, keep_full=keep_full, flips=flips, cache=cache)
    return SliceDataset(volumes, draw_mask, seed=seed, keep_full=keep_full, flips=flips, cache=cache)


def in_order(slices: AnyDataset, config: TrainConfig) -> Order:
    """Return the order in which a split is evaluated."""
    if isinstance(slices, ArrayDataset):
        return VolumeByVolume(slices.volumes, batch=config.train.micro_batch or config.train.batch)
    return InOrder(len(slices))


def draw_one(masks: Sequence[MaskConfig], size: tuple[int, int], acquired: slice, rng: Generator) -> Mask:
    """Draw a mask as one of `masks`, chosen uniformly, describes it. size: (y, x) of k-space."""
    chosen = masks[int(rng.integers(len(masks)))] if len(masks) > 1 else masks[0]
    return draw(chosen, size, rng, acquired=acquired)


def _loader(slices: AnyDataset, order: Order, config: TrainConfig, device: torch.device) -> DataLoader[AnySample]:
    packer = Packer(_collate(slices))
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


def _collate(slices: AnyDataset) -> Callable[[Any], AnySample]:
    """Return what makes a batch of what a data set gives."""
    match slices:
        case SeriesDataset():
            return stack_series
        case ArrayDataset():
            return as_batch
        case SliceDataset():
            return stack_samples


Batch = TypeVar("Batch", AnySample, Unlabelled)


def batches(loader: DataLoader[Batch], device: torch.device) -> Iterator[Batch]:
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
