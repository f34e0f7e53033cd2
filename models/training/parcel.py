"""Batches on their way from a reading process: laid into shared memory that is used again and again.

Fresh shared memory costs ten times as much as a copy, as the kernel clears and maps every page of it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

AHEAD = 2
"""Batches that a reading process is asked for before the first of them is taken."""
SLOTS = AHEAD + 1
"""Those, and the one that was taken last: it has been copied when the next one is taken, and then its memory is free."""
ALIGNMENT = 64
"""Every array starts at a multiple of this [bytes]."""


class Batch(Protocol):
    """A named tuple of tensors, some of which may be None."""

    def _asdict(self) -> dict[str, Any]:
        """Return name → tensor or None."""

    def to(self, device: torch.device) -> Self:
        """Return the batch on `device`."""


BatchT = TypeVar("BatchT", bound=Batch)


@dataclass(frozen=True)
class Place:
    """Where one array of a batch lies."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    """First byte."""
    stop: int

    def of(self, memory: Tensor) -> Tensor:
        """Return the array that lies here. memory: (byte,) uint8."""
        return memory[self.start : self.stop].view(self.dtype).view(self.shape)


@dataclass(frozen=True)
class Parcel(Generic[BatchT]):
    """A batch, its arrays one behind the other in one piece of memory."""

    kind: Callable[..., BatchT]
    """Its class."""
    memory: Tensor
    """(byte,) uint8, at least as long as the batch."""
    places: tuple[Place, ...]

    def pin_memory(self) -> Parcel[BatchT]:
        """Return a copy in memory that a GPU can read; the data loader asks for it."""
        return Parcel(self.kind, self.memory.pin_memory(), self.places)

    def unpack(self, device: torch.device) -> BatchT:
        """Return the batch on `device`, in memory of its own."""
        return self.kind(**{place.name: _copy(place.of(self.memory), device) for place in self.places})


class Slot:
    """A piece of shared memory, filled from its beginning on."""

    def __init__(self) -> None:
        self.memory = torch.empty(0, dtype=torch.uint8)
        self._used = 0

    def new_array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array that is not set, here where there is room, else elsewhere."""
        start, size = self._free(), math.prod(shape) * dtype.itemsize
        if start + size > self.memory.numel():
            return np.empty(shape, dtype)
        self._used = start + size
        return self.memory[start : self._used].numpy().view(dtype).reshape(shape)

    def lay_in(self, arrays: dict[str, Tensor]) -> tuple[Place, ...]:
        """Copy those arrays that are not here yet. Returns where each lies."""
        arrays = {name: values.contiguous() for name, values in arrays.items()}
        held = {name: self._place(name, values) for name, values in arrays.items() if self._holds(values)}
        if not held:
            # what was read into this memory became another array (a mirrored one) and is not part of the batch
            self._used = 0
        missing = {name: self._reserve(name, values) for name, values in arrays.items() if name not in held}
        if self._used > self.memory.numel():
            self._grow(held)
        for name, place in missing.items():
            place.of(self.memory).copy_(arrays[name])
        self._used = 0
        return tuple((held | missing).values())

    def _free(self) -> int:
        return -(-self._used // ALIGNMENT) * ALIGNMENT

    def _holds(self, values: Tensor) -> bool:
        return 0 <= values.data_ptr() - self.memory.data_ptr() < self.memory.numel()

    def _place(self, name: str, values: Tensor) -> Place:
        return self._at(name, values, values.data_ptr() - self.memory.data_ptr())

    def _reserve(self, name: str, values: Tensor) -> Place:
        place = self._at(name, values, self._free())
        self._used = place.stop
        return place

    def _at(self, name: str, values: Tensor, start: int) -> Place:
        return Place(name, values.dtype, tuple(values.shape), start, start + values.nbytes)

    def _grow(self, held: dict[str, Place]) -> None:
        memory = torch.empty(self._used, dtype=torch.uint8).share_memory_()
        for place in held.values():
            place.of(memory).copy_(place.of(self.memory))
        self.memory = memory


class Packer(Generic[BatchT]):
    """Stacks samples to a batch, which in a reading process it lays into one of SLOTS pieces of memory, each in its turn."""

    def __init__(self, stack: Callable[[Sequence[BatchT]], BatchT]) -> None:
        self._stack = stack
        self._slots = deque(Slot() for _ in range(SLOTS))
        self._expects_one = False

    def __call__(self, samples: Sequence[BatchT]) -> BatchT | Parcel[BatchT]:
        """Return the batch as it is in the process that trains, as a parcel in one that reads for it."""
        batch = self._stack(samples)
        # the next batch is as long as this one, save for the last of an epoch: if not, new_array only costs a copy
        self._expects_one = len(samples) == 1
        return batch if get_worker_info() is None else self._pack(batch)

    def serve(self, worker: int) -> None:
        """Let the data set of this reading process read straight into the memory that goes out."""
        reading: Any = get_worker_info()
        reading.dataset.reader.new_array = self.new_array

    def new_array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array that is not set: for a batch of one slice where it will be needed, which saves the copy."""
        return self._slots[0].new_array(shape, dtype) if self._expects_one else np.empty(shape, dtype)

    def _pack(self, batch: BatchT) -> Parcel[BatchT]:
        slot = self._slots[0]
        self._slots.rotate(-1)
        places = slot.lay_in({name: values for name, values in batch._asdict().items() if values is not None})
        return Parcel(type(batch), slot.memory, places)


def _copy(values: Tensor, device: torch.device) -> Tensor:
    # numpy asks the kernel for huge pages, torch does not: at full size a quarter of the time
    return values.to(device, non_blocking=True) if device.type != "cpu" else torch.from_numpy(values.numpy().copy())


def received(loader: DataLoader[BatchT], device: torch.device) -> Iterator[BatchT]:
    """Yield the batches of a loader on `device`, each in memory of its own."""
    # torch maps shared memory anew unless somebody holds it; what is pinned has been copied out of it
    held = deque[Tensor](maxlen=0 if loader.pin_memory else SLOTS * loader.num_workers)
    for batch in loader:
        if isinstance(batch, Parcel):
            held.append(batch.memory)
            yield batch.unpack(device)
        else:
            yield batch.to(device)
