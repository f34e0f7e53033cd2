"""Brains for the learning of masks: maps of tissues in random contrasts, noise, dipole coils, as memory-mapped arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from data.convert.files import fingerprint
from data.errors import BadInput
from data.kspace.fourier import fftc
from data.kspace.masks import rng_of_name
from data.simulate.arrays import PlannedArrays
from data.simulate.coil_maps import dipole_maps
from data.simulate.files import PlannedData
from data.simulate.head import draw_head
from data.simulate.options import SPLITS, MaskBrainSpec
from data.simulate.phantom import paint_slice
from data.volumes.arrays import Kspace

TISSUES = {"grey": 0, "nuclei": 0, "white": 1, "lesion": 1, "csf": 2, "skull": 3, "scalp": 4}
"""Tissue of a drawn head → its place among the six of SPM's maps: grey matter, white matter, CSF, bone, soft tissue, air."""
SILENT = (3, 5)
"""Bone and air give no signal."""
LARGEST_SIGNAL = 20.0
COIL_GAIN = 1e6
"""The field of a dipole falls with the cube of the distance in pixels."""
Contrast = tuple[float, ...]
"""The signal of each of the six tissues."""
Images = NDArray[np.float64]
"""(slice, y, x)."""


def mask_brain_files(out: Path, counts: Mapping[str, int], spec: MaskBrainSpec) -> PlannedData:
    """Plan train.npy, val.npy and test.npy below `out`. counts: split → volumes. No two volumes have the same contrast."""
    contrasts = draw_contrasts(sum(counts[split] for split in SPLITS), rng_of_name(f"mask_brain {spec.seed} contrasts"))
    places = [(split, number) for split in SPLITS for number in range(counts[split])]
    contrast_of = dict(zip(places, contrasts, strict=True))
    maps = cache(partial(_tissue_maps, spec)) if spec.tissue_maps else None
    described = spec.describe() | {split: counts[split] for split in SPLITS}
    if spec.tissue_maps:
        described["tissue_maps"] = fingerprint(Path(spec.tissue_maps))
    splits = (
        PlannedArrays(
            path=out / f"{split}.npy",
            data=described,
            slices=counts[split] * spec.slices,
            volumes=partial(_volumes, spec, split, [contrast_of[split, number] for number in range(counts[split])], maps),
        )
        for split in SPLITS
        if counts[split]
    )
    return PlannedData(folders=(), files=tuple(splits))


def _tissue_maps(spec: MaskBrainSpec) -> NDArray[np.float64]:
    """Read the file of maps with the library that it needs, which is not installed everywhere. Returns (slice, y, x, tissue)."""
    try:
        maps: NDArray[np.float64] = import_module("data.simulate.tissue_maps").read_tissue_maps(spec)
    except ModuleNotFoundError as error:
        raise BadInput(f"--tissue-maps: the package {error.name} is missing. Install it with: pip install -e '.[mri,convert]'") from error
    return maps


def draw_contrasts(count: int, rng: Generator) -> list[Contrast]:
    """Draw different contrasts: of each tissue round(20 - 20 u^6, 1 decimal) with u uniform in [0, 1], and 0 of bone and air."""
    drawn: dict[Contrast, None] = {}
    while len(drawn) < count:
        signals = np.round(LARGEST_SIGNAL - LARGEST_SIGNAL * rng.random(6) ** 6, 1)
        signals[list(SILENT)] = 0
        drawn[tuple(signals.tolist())] = None
    return list(drawn)


def _volumes(
    spec: MaskBrainSpec, split: str, contrasts: list[Contrast], maps: Callable[[], NDArray[np.float64]] | None
) -> Iterator[tuple[str, Kspace]]:
    coil_maps = COIL_GAIN * dipole_maps(spec.coils, spec.size)
    for number, contrast in enumerate(contrasts):
        rng = rng_of_name(f"mask_brain {spec.seed} {split} {number}")
        images = maps() @ np.array(contrast) if maps else drawn_images(spec, contrast, rng)
        if not images.any():
            last = spec.first_slice + spec.slices - 1
            raise BadInput(f"--first-slice, --slices: slices {spec.first_slice} to {last} hold no tissue that gives a signal. Take others.")
        yield f"brain_{split}_{number:04d}", to_kspace(images, coil_maps, spec.noise_variance, rng)


def drawn_images(spec: MaskBrainSpec, contrast: Contrast, rng: Generator) -> Images:
    """Draw a head, and return what its tissues add up to: the sum over tissues of signal times coverage. Returns (slice, y, x)."""
    head = draw_head(rng)
    signals = {tissue: contrast[place] for tissue, place in TISSUES.items()}
    numbers = np.arange(spec.first_slice, spec.first_slice + spec.slices)
    heights = 2.0 * (numbers - spec.DEPTH // 2) / spec.DEPTH
    return np.stack([paint_slice(head, signals, z=z, size=spec.size) for z in heights])


def to_kspace(images: Images, coil_maps: NDArray[np.complex128], noise_variance: float, rng: Generator) -> Kspace:
    """Add real noise, let the coils see the images, and divide their k-space by its largest magnitude.

    images: (slice, y, x), coil_maps: (coil, y, x). Returns (slice, coil, y, x).
    """
    noisy = images + rng.standard_normal(images.shape) * np.sqrt(noise_variance)
    kspace = fftc(torch.from_numpy(noisy[:, None] * coil_maps))
    return (kspace / kspace.abs().max()).to(torch.complex64).numpy()
