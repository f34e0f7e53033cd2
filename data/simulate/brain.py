"""One simulated volume, from its seed to k-space: head, contrast, coils, phase, noise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from data.errors import BadInput
from data.kspace.coils import rss
from data.kspace.crop import center_crop
from data.kspace.fourier import fftc, ifftc
from data.simulate.coil_maps import draw_coil_maps
from data.simulate.contrasts import CONTRASTS, TISSUES
from data.simulate.phantom import Blob, axis_grid, draw_head, paint_slice

VERSION = 1
"""Raised when the same parameters give other pixels."""
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class BrainSpec:
    """What all volumes of a data set have in common."""

    size: tuple[int, int] = (96, 80)
    """(y, x) of reconstruction_rss."""
    oversampling: float = 1.25
    """Rows of k-space by rows of the reconstruction, as scanners oversample the readout."""
    padding: int = 2
    """Columns of k-space on each side that the scanner did not acquire: they are zero."""
    slices: int = 8
    coils: int = 4
    noise: float = 0.02
    """Standard deviation of the complex noise by the mean signal of the head."""
    seed: int = 1

    def __post_init__(self) -> None:
        limits = {
            "size": (min(self.size) >= 16, "at least 16 pixels along each axis"),
            "oversampling": (1 <= self.oversampling <= 4, "between 1 and 4"),
            "padding": (0 <= self.padding <= self.size[1] // 4, "between 0 and a quarter of the columns"),
            "slices": (self.slices >= 1, "at least 1"),
            "coils": (self.coils >= 1, "at least 1"),
            "noise": (0 <= self.noise < 10, "between 0 and 10"),
            "seed": (self.seed >= 0, "0 or more"),
        }
        for key, (holds, wanted) in limits.items():
            if not holds:
                raise BadInput(f"--{key} is {getattr(self, key)}; it must be {wanted}.")

    @property
    def matrix(self) -> tuple[int, int]:
        """(y, x) of kspace."""
        return (round(self.size[0] * self.oversampling), self.size[1])

    def describe(self) -> dict[str, Any]:
        """Return all that decides the pixels, as plain values."""
        return {"version": VERSION, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class BrainVolume:
    """A volume as it goes to disk."""

    kspace: NDArray[np.complex64]
    """(slice, coil, y, x)"""
    target: NDArray[np.float32]
    """(slice, y, x): root of the sum of squares of the fully sampled coil images, cropped."""
    acquisition: str


def simulate_volume(spec: BrainSpec, *, split: str, number: int) -> BrainVolume:
    """Simulate volume `number` of a split: a function of the arguments alone, so volumes can be made in any order."""
    rng = np.random.default_rng((spec.seed, SPLITS.index(split), number))
    acquisition = tuple(CONTRASTS)[number % len(CONTRASTS)]
    images = _coil_images(spec, acquisition, rng)
    kspace = fftc(torch.from_numpy(images)).numpy()
    kspace += _noise(kspace.shape, spec.noise * _mean_signal(images), rng)
    kspace[..., : spec.padding] = 0
    kspace[..., spec.matrix[1] - spec.padding :] = 0
    stored = kspace.astype(np.complex64)
    return BrainVolume(kspace=stored, target=reconstruct(stored, spec.size), acquisition=acquisition)


def reconstruct(kspace: NDArray[np.complex64], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the truth: root of the sum of squares. kspace: (slice, coil, y, x). Returns (slice, size y, size x)."""
    return center_crop(rss(ifftc(torch.from_numpy(kspace))), size).contiguous().numpy()


def _coil_images(spec: BrainSpec, acquisition: str, rng: Generator) -> NDArray[np.complex128]:
    """Return what each coil sees of each slice, (slice, coil, y, x), at the scale of fastMRI's files (about 1e-4)."""
    signals = {name: CONTRASTS[acquisition](tissue) for name, tissue in TISSUES.items()}
    head = draw_head(rng)
    gain = rng.uniform(0.5, 2.0) * 1e-4
    weights = gain * _texture(spec.matrix, rng) * np.exp(1j * _phase(spec.matrix, rng)) * draw_coil_maps(spec.coils, spec.matrix, rng)
    return np.stack([weights * _slice(spec, head, signals, z) for z in slice_positions(spec.slices, rng)])


def _slice(spec: BrainSpec, head: tuple[Blob, ...], signals: dict[str, float], z: float) -> NDArray[np.float64]:
    """Paint the head in the middle of the oversampled field of view. Returns (y, x) of k-space's size."""
    rows, columns = spec.matrix
    top = rows // 2 - spec.size[0] // 2
    image = np.zeros((rows, columns))
    image[top : top + spec.size[0]] = paint_slice(head, signals, z=z, size=spec.size)
    return image


def slice_positions(slices: int, rng: Generator) -> NDArray[np.float64]:
    """Return where the slices cut the head, from below upwards, within -0.6 to 0.6."""
    return np.linspace(-0.5, 0.5, slices + 2)[1:-1] + rng.uniform(-0.1, 0.1)


def _texture(size: tuple[int, int], rng: Generator) -> NDArray[np.float64]:
    """Return a smooth modulation of a few per cent, so that no tissue is perfectly flat."""
    y, x = axis_grid(size)
    waves = (np.cos(fy * y + fx * x + phase) for fy, fx, phase in zip(*rng.uniform(-12, 12, (3, 6)), strict=True))
    return 1 + 0.015 * sum(waves)


def _phase(size: tuple[int, int], rng: Generator) -> NDArray[np.float64]:
    """Return the slowly varying phase of the object [rad]."""
    y, x = axis_grid(size)
    a, b, c, d, e = rng.uniform(-1, 1, 5)
    return np.asarray(a + b * y + c * x + d * y * x + e * (y**2 - x**2))


def _mean_signal(images: NDArray[np.complex128]) -> float:
    magnitude = np.sqrt((np.abs(images) ** 2).sum(axis=1))
    return float(magnitude[magnitude > 0].mean())


def _noise(shape: tuple[int, ...], deviation: float, rng: Generator) -> NDArray[np.complex128]:
    parts = rng.standard_normal((2, *shape)) * deviation / np.sqrt(2)
    return parts[0] + 1j * parts[1]
