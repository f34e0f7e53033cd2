"""Batches of a reading process: equal to those of the training process, in memory of their own, through shared memory used again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from data.volumes.loading import Sample, stack_samples
from data.volumes.reading import SliceReader
from models.training.parcel import AHEAD, SLOTS, Packer, Parcel, Slot, received
from tests.models.samples import draw_sample

CPU = torch.device("cpu")


class Numbered(Dataset[Sample]):
    """Slices that hold their number, in an array of their reader; with `growing`, each is larger than the one before."""

    def __init__(self, *, growing: bool) -> None:
        self.growing = growing
        self.reader = SliceReader()

    def __len__(self) -> int:
        return 3 * SLOTS

    def __getitem__(self, item: int) -> Sample:
        size = (17, 21 + 2 * item * self.growing)
        one = {name: values[0] for name, values in draw_sample(size=size, crop=(15, 17))._asdict().items() if values is not None}
        kspace = self.reader.new_array(tuple(one["kspace"].shape), np.dtype(np.complex64))
        kspace[:] = item * one["kspace"].numpy()
        return Sample(**one | {"kspace": torch.from_numpy(kspace), "slice": torch.tensor(item)})


def loader(workers: int, *, batch: int = 1, growing: bool = False) -> DataLoader[Sample]:
    packer = Packer(stack_samples)
    options: dict[str, Any] = {"prefetch_factor": AHEAD, "worker_init_fn": packer.serve} if workers else {}
    return DataLoader(Numbered(growing=growing), batch_size=batch, collate_fn=packer, num_workers=workers, **options)


def assert_equal(found: Sequence[Sample], expected: Sequence[Sample]) -> None:
    for one, other in zip(found, expected, strict=True):
        for name, values in other._asdict().items():
            held = getattr(one, name)
            assert (held is None) == (values is None), name
            assert values is None or (held.dtype == values.dtype and torch.equal(held, values)), name


@pytest.mark.parametrize(("workers", "batch", "growing"), [(1, 1, False), (2, 2, False), (1, 1, True)])
def test_kept_batches_of_reading_processes_are_those_of_this_process(workers, batch, growing):
    found = list(received(loader(workers, batch=batch, growing=growing), CPU))
    assert_equal(found, list(received(loader(0, batch=batch, growing=growing), CPU)))


def test_reading_process_uses_its_memory_again():
    parcels = list(loader(1))  # all are held, so that each piece of memory has one address here
    assert all(isinstance(parcel, Parcel) for parcel in parcels)
    addresses = [parcel.memory.data_ptr() for parcel in parcels]
    assert addresses == addresses[:SLOTS] * 3
    assert len(set(addresses)) == SLOTS


@pytest.mark.parametrize("change", [lambda array: array, lambda array: array.T, lambda array: array[:, ::2]])
def test_array_read_into_a_slot_is_laid_in_beside_others(change):
    slot = Slot()
    slot.lay_in({"kspace": torch.zeros(3, 5), "mask": torch.zeros(2)})
    array = slot.new_array((3, 5), np.dtype(np.float32))
    array[:] = np.arange(15).reshape(3, 5)
    expected = {"mask": torch.ones(2), "kspace": torch.from_numpy(change(array).copy())}
    places = slot.lay_in({"mask": torch.ones(2), "kspace": torch.from_numpy(change(array))})
    assert all(torch.equal(place.of(slot.memory), expected[place.name]) for place in places)


def test_array_read_into_a_slot_stays_where_it_is():
    slot = Slot()
    slot.lay_in({"kspace": torch.zeros(3, 5), "sens_maps": torch.zeros(3, 5)})
    _, array = (slot.new_array((3, 5), np.dtype(np.float32)) for _ in range(2))
    (place,) = slot.lay_in({"sens_maps": torch.from_numpy(array)})
    assert place.of(slot.memory).data_ptr() == array.ctypes.data


def test_slot_does_not_grow_for_arrays_that_were_given_up():
    slot, mirrored = Slot(), torch.ones(3, 5)
    slot.lay_in({"kspace": mirrored})
    slot.new_array((3, 5), np.dtype(np.float32))
    (place,) = slot.lay_in({"kspace": mirrored})
    assert (place.start, slot.memory.numel()) == (0, mirrored.nbytes)


def test_arrays_of_a_parcel_start_where_any_type_may():
    parcel = next(iter(loader(1)))
    assert all(place.start % 64 == 0 for place in parcel.places)
    assert parcel.places[0].dtype == torch.complex64
    assert parcel.memory.numel() == parcel.places[-1].stop


def test_unpacked_batch_shares_no_memory_with_its_parcel():
    parcel = next(iter(loader(1)))
    batch = parcel.unpack(CPU)
    before = batch.kspace.clone()
    parcel.memory.fill_(7)
    assert torch.equal(batch.kspace, before)
