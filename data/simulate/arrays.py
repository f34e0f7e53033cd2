"""Simulated data sets of memory-mapped arrays: each split is written as a whole, kept when it is complete, refused when another's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.convert import array_files
from data.volumes.arrays import Kspace


@dataclass(frozen=True, kw_only=True)
class PlannedArrays:
    """One split of a data set, before it is made."""

    path: Path
    """Of its k-space."""
    data: Mapping[str, object]
    """What the pixels follow from and all splits have in common: kind, version, options and numbers of volumes."""
    slices: int
    volumes: Callable[[], Iterable[tuple[str, Kspace]]]
    """Makes name and k-space (slice, coil, y, x) of each volume: the same ones at each call."""

    @property
    def identity(self) -> dict[str, object]:
        """All that decides the content, as JSON gives it back: tuples become lists."""
        plain: dict[str, object] = json.loads(json.dumps({"data": dict(self.data), "split": self.path.stem}))
        return plain


def keep_or_write_arrays(split: PlannedArrays) -> bool:
    """Write a split unless it is complete and undamaged. Returns whether it was."""
    if array_files.about(split.path) == split.identity and array_files.is_whole(split.path):
        return True
    array_files.write_split(split.path, split.volumes(), slices=split.slices, about=split.identity)
    return False
