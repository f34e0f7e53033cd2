"""Under-sampled brains in pairs of files: k-space with its mask on one side, images with and without GRAPPA on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from data.convert.fastmri_files import rss_images
from data.convert.grappa_images import IMAGE_KEY, LABEL_KEY, OPTIONS_KEY, grappa_image, plain
from data.convert.options import GrappaOptions
from data.kspace.masks import draw_mask, rng_of_name
from data.simulate.brain import simulate_volume
from data.simulate.files import PlannedData, PlannedFile
from data.simulate.options import SPLITS, BrainSpec, PairedSpec

BRIGHTNESS = 25
"""By how much pairs are brighter than fastMRI's brains. At this the challenge's `loss.mask_threshold: 5e-5` has the head above it, about a
third of the pixels: from 10 on all of the head, from 30 on, with 16 coils, noise around some heads too."""
WIDER = 4
"""Columns by which every other k-space is wider."""
MORE_COILS = 2
"""Coils that every third scan has on top."""


class Scan(NamedTuple):
    """One scan, whose columns are sampled in part."""

    kspace: NDArray[np.complex64]
    """(slice, coil, y, x), complete."""
    label: NDArray[np.float32]
    """(slice, y, x)"""
    sampled: NDArray[np.bool_]
    """(x,)"""


def paired_files(out: Path, counts: Mapping[str, int], spec: PairedSpec) -> PlannedData:
    """Plan the pairs below `out`/{split}/image and kspace. counts: split → number of pairs."""
    fills = {"kspace": _fill_kspace, "image": _fill_image}
    places = [(split, number, side) for split in SPLITS for number in range(counts[split]) for side in fills]
    files = (
        PlannedFile(
            path=out / split / side / f"brain_{split}_{number:04d}.h5",
            data=spec.describe(),
            place={"split": split, "number": number, "side": side},
            fill=partial(fills[side], spec=spec, split=split, number=number),
        )
        for split, number, side in places
    )
    return PlannedData(folders=tuple(out / split / side for split in SPLITS for side in fills), files=tuple(files))


def _fill_kspace(file: h5py.File, *, spec: PairedSpec, split: str, number: int) -> None:
    scan = simulate_scan(spec, split=split, number=number)
    file["kspace"] = scan.kspace * scan.sampled
    file["mask"] = scan.sampled.astype(np.float32)


def _fill_image(file: h5py.File, *, spec: PairedSpec, split: str, number: int) -> None:
    scan, options = simulate_scan(spec, split=split, number=number), GrappaOptions()
    images = [grappa_image(coils, scan.sampled, spec.size, options, file.filename) for coils in scan.kspace]
    file[LABEL_KEY] = scan.label
    file["image_input"] = rss_images(scan.kspace * scan.sampled, spec.size)
    file[IMAGE_KEY] = np.stack(images)
    file[IMAGE_KEY].attrs[OPTIONS_KEY] = plain(options)
    file.attrs["max"] = float(scan.label.max())


def simulate_scan(spec: PairedSpec, *, split: str, number: int) -> Scan:
    """Simulate a head, scanned with a matrix and an array that vary from scan to scan."""
    width, coils = spec.size[1] + WIDER * (number % 2), spec.coils + MORE_COILS * (number % 3 == 2)
    shared = {field.name: getattr(spec, field.name) for field in fields(BrainSpec) if field.name != "padding"}
    brain = BrainSpec(**{**shared, "size": (spec.size[0], width), "coils": coils, "padding": 0})
    kspace = BRIGHTNESS * simulate_volume(brain, split=split, number=number).kspace
    rng = rng_of_name(f"paired {spec.seed} {split} {number}")
    mask = draw_mask("equispaced", width, center_fraction=spec.center_fraction, acceleration=spec.acceleration, rng=rng)
    return Scan(kspace=kspace, label=rss_images(kspace, spec.size), sampled=mask.columns)
