"""Files that are there as a whole or not at all: written aside, synced, then renamed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray


@contextmanager
def written_whole(target: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for writing that becomes `target` when the block ends well, and leaves no trace when it does not."""
    with _aside(target) as aside, h5py.File(aside, "w-", locking=False) as file:
        yield file


@contextmanager
def written_array(target: Path, shape: tuple[int, ...], kind: type[np.generic]) -> Iterator[NDArray[Any]]:
    """Yield an array on disk, zero everywhere, that becomes the .npy file `target` when the block ends well."""
    with _aside(target) as aside:
        values = np.lib.format.open_memmap(aside, "w+", dtype=np.dtype(kind), shape=shape)
        yield values
        values.flush()


def write_bytes(target: Path, content: bytes) -> None:
    """Write a file of any kind."""
    with _aside(target) as aside:
        aside.write_bytes(content)


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """Yield the path of a hidden file beside `target` that takes its place when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield aside
        sync(aside)
        os.replace(aside, target)
        sync(target.parent)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Let a file, or what was renamed within a folder, outlast a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
