"""A data set of each kind, so small and odd that it is made in a moment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from data.simulate.command import KINDS
from data.simulate.files import PlannedData, Written, write_files
from data.simulate.options import BrainSpec, CineSpec, DigitSpec, KneeSpec, MaskBrainSpec, PairedSpec, SiteSpec, Spec

ONE = {"train": 2, "val": 1, "test": 1}
SMALL: dict[str, tuple[Any, Spec]] = {
    "brain": (ONE, BrainSpec(size=(19, 17), slices=2, coils=2, padding=1)),
    "knee": ({"one": ONE, "two_fs": ONE}, KneeSpec(size=(19, 17), slices=2, coils=3)),
    "sites": ({"B": ONE, "H": ONE}, SiteSpec(size=(21, 20), slices=2)),
    "cine": (ONE, CineSpec(size=(17, 19), frames=3, spokes=5)),
    "paired": (ONE, PairedSpec(size=(24, 25), slices=1, coils=3, center_fraction=0.25)),
    "digits": (ONE, DigitSpec(slices=12)),
    "digit arrays": (ONE, DigitSpec(slices=12, format="arrays")),
    "mask_brain": (ONE, MaskBrainSpec(size=(19, 17), slices=2, coils=2)),
}
"""Kind → counts and spec."""
TRUTHS = ("reconstruction_rss", "reconstruction_esc", "imagesTrue", "image_label", "kspace")
"""Keys under which slices or series are compared, the first that a file has."""


def plan(kind: str, out: Path, counts: Any = None, spec: Spec | None = None) -> PlannedData:
    """Plan the small data set of a kind, or another one."""
    asked = spec or SMALL[kind][1]
    planner = KINDS[asked.KIND if kind not in KINDS else kind]
    return getattr(import_module(planner.module), planner.function)(out, counts or SMALL[kind][0], asked)


def make(kind: str, out: Path, counts: Any = None, spec: Spec | None = None, *, workers: int = 1) -> list[Written]:
    """Write it."""
    return list(write_files(plan(kind, out, counts, spec), workers=workers))


def slice_hashes(path: Path) -> list[str]:
    """Return a hash of each slice or series of a file."""
    if path.suffix == ".npy":
        return _hashes(np.load(path))
    with h5py.File(path) as file:
        return _hashes(file[next(key for key in TRUTHS if key in file)])


def _hashes(slices: Iterable[np.ndarray]) -> list[str]:
    return [hashlib.sha256(np.ascontiguousarray(values)).hexdigest() for values in slices]


def split_of(path: Path, out: Path) -> str:
    """Return the split that a file belongs to, by its place."""
    (split,) = {Path(part).stem.lower() for part in path.relative_to(out).parts} & {"train", "val", "test"}
    return split
