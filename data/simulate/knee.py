"""Multi-coil coronal knees with sensitivity maps, proton-density weighted with and without fat suppression."""

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

from data.kspace.fourier import fftc
from data.kspace.masks import rng_of_name
from data.simulate.coil_maps import draw_sensitivities, normalised
from data.simulate.contrasts import KNEE_CONTRASTS, KNEE_TISSUES
from data.simulate.files import PlannedData, PlannedFile
from data.simulate.leg import draw_knee
from data.simulate.options import SPLITS, KneeSpec
from data.simulate.phantom import Blob, axis_grid, paint_slice
from data.simulate.scan import draw_noise, draw_phase, draw_positions, draw_texture
from data.volumes.knee import MAPS_KEY, MAXIMUM_KEY, combined

SUPPRESSED = "_fs"
"""Ending of the names of datasets whose fat is suppressed."""


def knee_files(out: Path, counts: Mapping[str, Mapping[str, int]], spec: KneeSpec) -> PlannedData:
    """Plan the volumes below `out`/{dataset}/Train, Val and Test. counts: dataset → split → number of volumes."""
    places = [(name, split, number) for name in counts for split in SPLITS for number in range(counts[name][split])]
    files = (
        PlannedFile(
            path=out / dataset / split.capitalize() / f"{dataset}_{split}_{number:04d}.h5",
            data=spec.describe(dataset=dataset),
            place={"split": split, "number": number},
            fill=partial(_fill, spec=spec, dataset=dataset, name=f"knee {spec.seed} {dataset} {split} {number}"),
        )
        for dataset, split, number in places
    )
    return PlannedData(folders=tuple(out / name / split.capitalize() for name in counts for split in SPLITS), files=tuple(files))


def contrast_of(dataset: str) -> str:
    """Return fastMRI's name of a dataset's contrast."""
    return "CORPDFS_FBK" if dataset.endswith(SUPPRESSED) else "CORPD_FBK"


def _fill(file: h5py.File, *, spec: KneeSpec, dataset: str, name: str) -> None:
    """Write kspace and esp_maps, both (slice, coil, y, x), slice by slice: a full-sized volume would fill the memory."""
    rng = rng_of_name(name)
    shape = (spec.slices, spec.coils, *spec.matrix)
    for key in ("kspace", MAPS_KEY):
        file.create_dataset(key, shape, dtype=np.complex64, chunks=(1, *shape[1:]))
    scan = _draw_scan(spec, contrast_of(dataset), rng)
    largest = 0.0
    for index, z in enumerate(scan.positions):
        kspace, maps = _measure(spec, scan, z, rng)
        file["kspace"][index], file[MAPS_KEY][index] = kspace, maps
        largest = max(largest, float(combined(kspace, maps).abs().max()))
    file[MAPS_KEY].attrs[MAXIMUM_KEY] = largest
    file.attrs["acquisition"] = contrast_of(dataset)
    file.attrs["patient_id"] = name.replace("knee", "simulated").replace(" ", "-")


@dataclass(frozen=True, kw_only=True)
class _Scan:
    """What all slices of a volume share."""

    knee: tuple[Blob, ...]
    signals: dict[str, float]
    """Tissue → signal."""
    weights: NDArray[np.complex128]
    """(y, x): gain, texture, phase and the end of the excited slab."""
    sensitivities: NDArray[np.complex128]
    """(coil, y, x)"""
    positions: NDArray[np.float64]
    """z of each slice."""
    deviation: float
    """Of the noise."""


def _draw_scan(spec: KneeSpec, contrast: str, rng: Generator) -> _Scan:
    """Draw all that precedes the noise; images are at the scale of mridata's knees, about 10."""
    gain = rng.uniform(8, 20)
    knee = draw_knee(rng)
    sensitivities = draw_sensitivities(spec.coils, spec.matrix, rng)
    received = np.sqrt((np.abs(sensitivities) ** 2).sum(axis=0))
    fine = draw_texture(spec.matrix, rng, waves=40, frequency=60, depth=0.006)
    return _Scan(
        knee=knee,
        signals={name: KNEE_CONTRASTS[contrast](tissue) for name, tissue in KNEE_TISSUES.items()},
        weights=gain * fine * draw_texture(spec.matrix, rng) * _slab(spec) * np.exp(1j * draw_phase(spec.matrix, rng)),
        sensitivities=sensitivities / received.mean(),
        positions=draw_positions(spec.slices, rng),
        deviation=spec.noise * gain * KNEE_CONTRASTS["CORPD_FBK"](KNEE_TISSUES["fat"]),
    )


def _slab(spec: KneeSpec) -> NDArray[np.float64]:
    """Return how the signal of thigh and calf fades beyond the field of view along the leg. Returns (y, x)."""
    beyond = np.maximum(np.abs(spec.oversampling * axis_grid(spec.matrix)[0]) - 0.9, 0)
    return np.exp(-((beyond / 0.3) ** 2))


def _measure(spec: KneeSpec, scan: _Scan, z: float, rng: Generator) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """Return k-space and maps of one slice, both (coil, y, x). The maps are zero outside of the leg, as those of ESPIRiT are."""
    paint = partial(paint_slice, z=z, size=spec.matrix, reach=(spec.oversampling, 1.0))
    within_skin = paint(scan.knee[:1], {scan.knee[0].tissue: 1.0})
    leg = within_skin * paint(scan.knee, scan.signals)
    kspace = fftc(torch.from_numpy(scan.weights * leg * scan.sensitivities)).numpy()
    kspace += draw_noise(kspace.shape, scan.deviation, rng)
    maps = normalised(scan.sensitivities) * ((within_skin > 0) & (_slab(spec) > 0.05))
    return kspace.astype(np.complex64), maps.astype(np.complex64)
