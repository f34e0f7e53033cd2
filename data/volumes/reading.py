"""Open files of one process: slices are read one by one, handles never cross a fork."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from data.volumes.cache import cached
from data.volumes.formats import damage_told, member, open_file

MOST_OPEN = 16
NewArray = Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]]
"""Shape and type → an array that is not set."""


class SliceReader:
    """Reads single slices; keeps the handles of the files read last, at most MOST_OPEN.

    HDF5 handles must not be used on both sides of a fork: a process that finds handles of another one
    opens its own. Pickling (spawned DataLoader workers) leaves the handles behind. `cache`: a folder on the node's own disk, to which
    each file is copied before it is opened. `new_array` makes the arrays that are read into, and may be replaced: a reading process puts
    one in its place that makes them in shared memory.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache
        self._files: OrderedDict[Path, h5py.File] = OrderedDict()
        self._owner = os.getpid()
        self.new_array: NewArray = np.empty

    def read(self, path: Path, key: str, index: int) -> NDArray[np.generic]:
        """Return slice `index` of dataset `key`, an array of its own memory. Raises BadInput where the file is damaged there."""
        found = member(self._open(path), key)
        values = self.new_array(found.shape[1:], found.dtype)
        with damage_told(path, f"key '{key}': slice {index}"):
            found.read_direct(values, np.s_[index])
        return values

    def close(self) -> None:
        """Close all handles of this process; the next read opens again."""
        if self._owner == os.getpid():
            for file in self._files.values():
                file.close()
        self._files = OrderedDict()
        self._owner = os.getpid()

    def open_paths(self) -> list[Path]:
        """Return the files this process holds open, the one read longest ago first."""
        return list(self._files) if self._owner == os.getpid() else []

    def _open(self, path: Path) -> h5py.File:
        if self._owner != os.getpid():
            self.close()
        if path not in self._files:
            self._files[path] = open_file(path if self._cache is None or not path.is_file() else cached(path, self._cache))
        self._files.move_to_end(path)
        if len(self._files) > MOST_OPEN:
            self._files.popitem(last=False)[1].close()
        return self._files[path]

    def __getstate__(self) -> dict[str, object]:
        return {"_cache": self._cache, "_files": OrderedDict(), "_owner": -1, "new_array": np.empty}
