"""Single-coil brain scans of several sites: each with its scanner, its sequences, its patients and its way to the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from data.convert.fastmri_files import fill
from data.kspace.fourier import fftc, ifftc
from data.kspace.masks import rng_of_name
from data.simulate.coil_maps import draw_coil_maps
from data.simulate.contrasts import TISSUES, Tissue, inversion_recovery, spin_echo, spoiled_gradient_echo
from data.simulate.files import PlannedData, PlannedFile
from data.simulate.head import draw_head, draw_tumour
from data.simulate.options import SPLITS, SiteSpec
from data.simulate.phantom import Blob, paint_slice
from data.simulate.scan import draw_noise, draw_phase, draw_positions, draw_texture, mean_signal

CONTRASTS = ("T1", "T2")


@dataclass(frozen=True, kw_only=True)
class Site:
    """How one site scans."""

    t1: Callable[[Tissue], float]
    """Signal of a tissue in its T1-weighted images."""
    t2: Callable[[Tissue], float]
    """Signal of a tissue in its T2-weighted images."""
    shape: tuple[float, float]
    """Rows and columns of its matrix by those asked for."""
    noise: float
    """Its noise by the noise asked for."""
    coils: int
    """Of the array that is combined to the one coil of the files; few of them shade the image more."""
    t1_scale: float = 1.0
    """Longitudinal relaxation times by those at 3 T."""
    hidden: tuple[str, ...] = ()
    """Tissues that its images do not show."""
    tumours: bool = False
    """Its patients have a tumour."""
    magnitude: bool = False
    """Its k-space is computed from magnitude images, and so conjugate-symmetric."""


SITES = {
    "B": Site(
        t1=lambda tissue: spin_echo(tissue, tr=0.60, te=0.012),
        t2=lambda tissue: spin_echo(tissue, tr=4.50, te=0.095),
        shape=(1.0, 1.0),
        noise=0.6,
        coils=8,
        hidden=("scalp", "skull", "lesion"),
        tumours=True,
        magnitude=True,
    ),
    "F": Site(
        t1=lambda tissue: spin_echo(tissue, tr=0.50, te=0.010),
        t2=lambda tissue: spin_echo(tissue, tr=6.00, te=0.113),
        shape=(1.0, 0.8),
        noise=1.0,
        coils=16,
    ),
    "H": Site(
        t1=lambda tissue: inversion_recovery(tissue, tr=2.30, te=0.003, ti=0.90),
        t2=lambda tissue: spin_echo(tissue, tr=4.20, te=0.080),
        shape=(0.8, 0.8),
        noise=2.0,
        coils=4,
        tumours=True,
    ),
    "I": Site(
        t1=lambda tissue: spoiled_gradient_echo(tissue, tr=0.0098, te=0.0046, flip_deg=15),
        t2=lambda tissue: spin_echo(tissue, tr=5.70, te=0.100),
        shape=(1.0, 0.9),
        noise=1.5,
        coils=1,
        t1_scale=0.75,
        hidden=("lesion",),
        magnitude=True,
    ),
}
"""Name → site, after the data sets that FL-MRCM (Guo 2021) trains on: B as BraTS (skull-stripped tumours), F as fastMRI, H as a
hospital after treatment, I as IXI (healthy heads at 1.5 T)."""


def matrix(spec: SiteSpec, site: Site) -> tuple[int, int]:
    """Return (y, x) of a site's images."""
    return (round(spec.size[0] * site.shape[0]), round(spec.size[1] * site.shape[1]))


def site_files(out: Path, counts: Mapping[str, Mapping[str, int]], spec: SiteSpec) -> PlannedData:
    """Plan the volumes below `out`/{site}/T1 and T2. counts: site → split → number of heads, each seen in both contrasts."""
    places = [
        (name, contrast, split, number)
        for name in counts
        for contrast in CONTRASTS
        for split in SPLITS
        for number in range(counts[name][split])
    ]
    files = (
        PlannedFile(
            path=out / site / contrast / split / f"{site}_{contrast}_{split}_{number:04d}.h5",
            data=spec.describe(site=site),
            place={"contrast": contrast, "split": split, "number": number},
            fill=partial(_fill, spec=spec, name=site, contrast=contrast, head=f"sites {spec.seed} {site} {split} {number}"),
        )
        for site, contrast, split, number in places
    )
    folders = (out / name / contrast / split for name in counts for contrast in CONTRASTS for split in SPLITS)
    return PlannedData(folders=tuple(folders), files=tuple(files))


def _fill(file: h5py.File, *, spec: SiteSpec, name: str, contrast: str, head: str) -> None:
    site = SITES[name]
    size = matrix(spec, site)
    images = draw_images(spec, site, contrast, rng_of_name(head))
    rng = rng_of_name(f"{head} {contrast}")
    deviation = site.noise * spec.noise * mean_signal(images)
    noisy = images * _receive(site, size, rng) + draw_noise(images.shape, deviation, rng)
    seen = torch.from_numpy(np.abs(noisy).astype(np.complex128) if site.magnitude else noisy)
    kspace = fftc(seen).to(torch.complex64)
    target = ifftc(kspace).abs().numpy()
    patient = head.replace("sites", "simulated").replace(" ", "-")
    fill(file, kspace=kspace.numpy(), target=target, target_key="reconstruction_esc", acquisition=f"AX{contrast}", patient_id=patient)


def draw_images(spec: SiteSpec, site: Site, contrast: str, rng: Generator) -> NDArray[np.float64]:
    """Return the head as the contrast shows it, without noise: the same head from the same generator in both. Returns (slice, y, x)."""
    signal = {"T1": site.t1, "T2": site.t2}[contrast]
    signals = {name: signal(replace(tissue, t1=tissue.t1 * site.t1_scale)) for name, tissue in TISSUES.items()}
    head = _head(site, rng)
    size = matrix(spec, site)
    gain = rng.uniform(0.5, 2.0) * 1e-4
    texture = gain * draw_texture(size, rng)
    return np.stack([texture * paint_slice(head, signals, z=z, size=size) for z in draw_positions(spec.slices, rng)])


def _head(site: Site, rng: Generator) -> tuple[Blob, ...]:
    head = draw_head(rng)
    tumour = draw_tumour(rng, head) if site.tumours else ()
    return tuple(blob for blob in (*head, *tumour) if blob.tissue not in site.hidden)


def _receive(site: Site, size: tuple[int, int], rng: Generator) -> NDArray[np.complex128]:
    """Return what the site's one combined coil receives: the coils of its array, in phase at the centre. Returns (y, x)."""
    phase = np.exp(1j * draw_phase(size, rng))
    if site.coils == 1:
        return phase
    maps = draw_coil_maps(site.coils, size, rng)
    return phase * np.einsum("c,cyx->yx", maps[:, size[0] // 2, size[1] // 2].conj(), maps)
