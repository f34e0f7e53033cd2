"""Multi-coil brain scans in fastMRI's format, from their seed to k-space: head, contrast, coils, phase, noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from data.convert.fastmri_files import fill, rss_images
from data.kspace.fourier import fftc
from data.simulate.coil_maps import draw_coil_maps
from data.simulate.contrasts import CONTRASTS, TISSUES
from data.simulate.files import PlannedData, PlannedFile
from data.simulate.head import draw_head
from data.simulate.header import ismrmrd_header
from data.simulate.options import SPLITS, BrainSpec
from data.simulate.phantom import Blob, paint_slice
from data.simulate.scan import draw_noise, draw_phase, draw_positions, draw_texture, mean_signal


@dataclass(frozen=True, kw_only=True)
class BrainVolume:
    """A volume as it goes to disk."""

    kspace: NDArray[np.complex64]
    """(slice, coil, y, x)"""
    target: NDArray[np.float32]
    """(slice, y, x): root of the sum of squares of the fully sampled coil images, cropped."""
    acquisition: str


def brain_files(out: Path, counts: Mapping[str, int], spec: BrainSpec) -> PlannedData:
    """Plan the volumes below `out`/train, val and test. counts: split → number of volumes."""
    places = [(split, number) for split in SPLITS for number in range(counts[split])]
    files = (
        PlannedFile(
            path=out / split / f"brain_{split}_{number:04d}.h5",
            data=spec.describe(),
            place={"split": split, "number": number},
            fill=partial(_fill, spec=spec, split=split, number=number),
        )
        for split, number in places
    )
    return PlannedData(folders=tuple(out / split for split in SPLITS), files=tuple(files))


def _fill(file: h5py.File, *, spec: BrainSpec, split: str, number: int) -> None:
    volume = simulate_volume(spec, split=split, number=number)
    names = {"acquisition": volume.acquisition, "patient_id": f"simulated-{spec.seed}-{split}-{number:04d}"}
    fill(file, kspace=volume.kspace, target=volume.target, target_key="reconstruction_rss", **names)
    file["ismrmrd_header"] = ismrmrd_header(matrix=spec.matrix, size=spec.size, padding=spec.padding, coils=spec.coils, slices=spec.slices)


def simulate_volume(spec: BrainSpec, *, split: str, number: int) -> BrainVolume:
    """Simulate volume `number` of a split: a function of the arguments alone, so volumes can be made in any order."""
    rng = np.random.default_rng((spec.seed, SPLITS.index(split), number))
    acquisition = tuple(CONTRASTS)[number % len(CONTRASTS)]
    images = _coil_images(spec, acquisition, rng)
    kspace = fftc(torch.from_numpy(images)).numpy()
    combined = np.sqrt((np.abs(images) ** 2).sum(axis=1))
    kspace += draw_noise(kspace.shape, spec.noise * mean_signal(combined), rng)
    kspace[..., : spec.padding] = 0
    kspace[..., spec.matrix[1] - spec.padding :] = 0
    stored = kspace.astype(np.complex64)
    return BrainVolume(kspace=stored, target=rss_images(stored, spec.size), acquisition=acquisition)


def _coil_images(spec: BrainSpec, acquisition: str, rng: Generator) -> NDArray[np.complex128]:
    """Return what each coil sees of each slice, (slice, coil, y, x), at the scale of fastMRI's files (about 1e-4)."""
    signals = {name: CONTRASTS[acquisition](tissue) for name, tissue in TISSUES.items()}
    head = draw_head(rng)
    gain = rng.uniform(0.5, 2.0) * 1e-4
    weights = (
        gain * draw_texture(spec.matrix, rng) * np.exp(1j * draw_phase(spec.matrix, rng)) * draw_coil_maps(spec.coils, spec.matrix, rng)
    )
    return np.stack([weights * _slice(spec, head, signals, z) for z in draw_positions(spec.slices, rng)])


def _slice(spec: BrainSpec, head: tuple[Blob, ...], signals: dict[str, float], z: float) -> NDArray[np.float64]:
    """Paint the head in the middle of the oversampled field of view. Returns (y, x) of k-space's size."""
    rows, columns = spec.matrix
    top = rows // 2 - spec.size[0] // 2
    image = np.zeros((rows, columns))
    image[top : top + spec.size[0]] = paint_slice(head, signals, z=z, size=spec.size)
    return image
