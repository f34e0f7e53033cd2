"""Samples: masked k-space, truth, handles that survive forks, and an order that can be returned to."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.random import Generator
from torch.utils.data import DataLoader

from data.errors import BadInput
from data.kspace.description import MaskDescription
from data.kspace.masks import Mask
from data.kspace.masks import draw as draw_mask
from data.volumes.formats import open_file
from data.volumes.loading import SliceDataset, stack_samples
from data.volumes.reading import MOST_OPEN, SliceReader
from data.volumes.sampling import Bucket, InOrder, Pick, ShuffledBatches
from data.volumes.splits import read_folder


def draw(size: tuple[int, int], acquired: slice, rng: Generator) -> Mask:
    return draw_mask(MaskDescription(kind="random", center_fraction=0.1, acceleration=3), size, rng, acquired=acquired)


def open_slices(brains: Path, *, seed: int | None = None) -> SliceDataset:
    return SliceDataset(read_folder(brains / "train"), draw, seed=seed)


def test_sample_is_the_slice_of_the_file_times_its_mask(brains):
    slices = open_slices(brains)
    sample = slices[Pick(1, 4)]  # 3 slices a volume: volume 1, slice 1
    with open_file(brains / "train" / "brain_train_0001.h5") as file:
        kspace, target = file["kspace"][1], file["reconstruction_rss"][1]
    assert (int(sample.volume), int(sample.slice), len(slices)) == (1, 1, 9)
    np.testing.assert_array_equal(sample.kspace.numpy(), kspace * sample.mask.numpy())
    np.testing.assert_array_equal(sample.target.numpy(), target)
    assert sample.size == target.shape


def test_fixed_masks_depend_on_the_volume_alone(brains):
    slices = open_slices(brains)
    first, same_volume, other_epoch, other_volume = (slices[pick].mask for pick in (Pick(1, 0), Pick(1, 1), Pick(9, 2), Pick(1, 3)))
    assert first.equal(same_volume)
    assert first.equal(other_epoch)
    assert not first.equal(other_volume)


def test_training_masks_depend_on_seed_epoch_and_slice(brains):
    masks = [open_slices(brains, seed=seed)[Pick(epoch, item)].mask for seed, epoch, item in [(1, 1, 0), (1, 1, 1), (1, 2, 0), (2, 1, 0)]]
    assert len({tuple(mask[0].tolist()) for mask in masks}) == 4
    assert open_slices(brains, seed=1)[Pick(1, 0)].mask.equal(masks[0])


@pytest.mark.parametrize("workers", [1, 2])
def test_reading_processes_give_what_one_process_gives(brains, workers):
    slices = open_slices(brains, seed=3)
    here = [slices[Pick(0, item)] for item in range(len(slices))]  # opens handles before the fork
    loader = DataLoader(slices, batch_sampler=InOrder(len(slices)), collate_fn=stack_samples, num_workers=workers)
    there = list(loader)
    assert all(torch.equal(a.kspace, b.kspace[0]) for a, b in zip(here, there, strict=True))


def test_spawned_reading_process_opens_files_of_its_own(brains):
    reader = SliceReader()
    path = brains / "train" / "brain_train_0000.h5"
    reader.read(path, "kspace", 0)
    copied = pickle.loads(pickle.dumps(reader))
    assert copied.open_paths() == []
    np.testing.assert_array_equal(copied.read(path, "kspace", 0), reader.read(path, "kspace", 0))


def test_forked_process_does_not_use_the_handles_of_its_parent(brains):
    reader = SliceReader()
    path = brains / "train" / "brain_train_0000.h5"
    expected = reader.read(path, "kspace", 2)
    child = os.fork()
    if child == 0:
        before, equal = reader.open_paths(), np.array_equal(reader.read(path, "kspace", 2), expected)
        os._exit(0 if equal and (before, reader.open_paths()) == ([], [path]) else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert reader.open_paths() == [path]


def test_reader_closes_the_file_read_longest_ago(brains, tmp_path):
    reader = SliceReader()
    content = (brains / "train" / "brain_train_0000.h5").read_bytes()
    paths = [tmp_path / f"{number}.h5" for number in range(MOST_OPEN + 2)]
    for path in paths:
        path.write_bytes(content)
        reader.read(path, "reconstruction_rss", 0)
    assert reader.open_paths() == paths[2:]
    reader.close()
    assert reader.open_paths() == []


def test_nan_in_a_file_is_told_with_file_and_slice(own_brains):
    path = own_brains / "train" / "brain_train_0002.h5"
    with h5py.File(path, "a") as file:
        file["kspace"][1, 0, 0, 5] = np.nan
    slices = open_slices(own_brains)
    with pytest.raises(BadInput, match=r"brain_train_0002.h5: slice 1 holds NaN"):
        slices[Pick(1, 7)]


def test_slices_of_different_shapes_do_not_make_a_batch(brains):
    sample = open_slices(brains)[Pick(0, 0)]
    wider = sample._replace(kspace=torch.cat([sample.kspace, sample.kspace], dim=-1))
    with pytest.raises(BadInput, match=r"\(3, 40, 31\).*\(3, 40, 62\).*Set train.micro_batch: 1"):
        stack_samples([sample, wider])


@pytest.mark.parametrize("micro_batch", [1, 2, 3, 4, 99])
def test_every_slice_comes_once_an_epoch_and_no_micro_batch_crosses_a_batch(micro_batch):
    order = ShuffledBatches([Bucket()] * 11, batch=4, micro_batch=micro_batch, seed=1)  # batches of 4 + 4 + 3
    micro = list(order)
    assert sorted(pick.item for picks in micro for pick in picks) == list(range(11))
    ends = np.cumsum([len(picks) for picks in micro])
    assert {4, 8, 11} <= set(ends)
    assert max(map(len, micro)) <= micro_batch
    assert [order.batch_size(position) for position in range(order.batches())] == [4, 4, 3]


def test_order_continues_at_any_batch_and_differs_between_epochs():
    order = ShuffledBatches([Bucket()] * 11, batch=2, micro_batch=2, seed=1)
    order.set_position(3)
    whole = list(order)
    order.set_position(3, first=4)
    assert list(order) == whole[4:]
    order.set_position(4)
    assert [pick.item for picks in order for pick in picks] != [pick.item for picks in whole for pick in picks]
