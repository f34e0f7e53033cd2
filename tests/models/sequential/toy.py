"""Small k-space whose best columns are known, on disk, and networks that are frozen without having learned."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from data.kspace.coils import rss
from data.kspace.fourier import ifftc
from data.volumes.array_batches import ArrayDataset
from data.volumes.description import ArrayData
from data.volumes.layouts import open_splits
from data.volumes.loading import Sample
from data.volumes.sampling import Pick
from models.build import build_model
from models.config import read_config
from models.network import Network
from models.reconstruction import Reconstruction
from models.training.checkpoint import write_whole
from tests.data.volumes.written import write_arrays, write_split

SIZE = (8, 9)
CENTRE = SIZE[1] // 2


class ZeroFilled(Network):
    """The image of what was acquired, and nothing else."""

    def forward(self, sample: Sample) -> Reconstruction:
        return Reconstruction(image=rss(ifftc(sample.kspace)), scale=torch.ones_like(sample.maximum), kspace=sample.kspace)


def draw_signposts(count: int, seed: int) -> np.ndarray:
    """Draw k-space (slice, 1, y, x) whose centre column is positive where columns 0 and 1 are strong, and negative where 7 and 8 are."""
    rng = np.random.default_rng(seed)
    kspace = 0.02 * rng.standard_normal((count, 1, *SIZE)) * (1 + 0j)
    for number, values in enumerate(kspace):
        left = number % 2 == 0
        for column, strength in zip((0, 1) if left else (8, 7), (1.0, 0.7), strict=True):
            values[0, :, column] += strength * rng.uniform(0.8, 1.2) * rng.choice((-1, 1), SIZE[0])
        values[0, :, CENTRE] = (1 if left else -1) * rng.uniform(0.4, 0.6)
    return kspace.astype(np.complex64)


def write_signposts(root: Path) -> Path:
    """Write 32 slices to train, 8 to validate and 8 to test."""
    for seed, (split, count) in enumerate({"train": 32, "val": 8, "test": 8}.items()):
        write_split(root / f"{split}.npy", draw_signposts(count, seed), {f"{split}-0": count})
    return root


def open_split(root: Path) -> dict[str, ArrayDataset]:
    splits = open_splits(ArrayData(root=str(root)))
    return {name: ArrayDataset(getattr(splits, name), None) for name in ("train", "val", "test")}


def all_of(slices: ArrayDataset) -> Sample:
    """Return all slices as one batch."""
    return slices.__getitems__([Pick(0, item) for item in range(len(slices))])


def best_error(sample: Sample, budget: int) -> Tensor:
    """Return the smallest NMSE of each slice that `budget` columns beside the centre can give, by trying all sets, with numpy alone."""
    errors = []
    for chosen in combinations([column for column in range(SIZE[1]) if column != CENTRE], budget):
        kept = np.zeros(SIZE[1], dtype=bool)
        kept[[CENTRE, *chosen]] = True
        errors.append(numpy_error(sample, kept))
    return torch.from_numpy(np.min(errors, axis=0))


def numpy_error(sample: Sample, kept: np.ndarray) -> np.ndarray:
    """Return the NMSE of the zero-filled images of some columns, by numpy alone. kept: (x,) bool. Returns (batch,)."""
    kspace = np.fft.ifftshift(sample.kspace.numpy()[:, 0] * kept, axes=(1, 2))
    images = np.abs(np.fft.fftshift(np.fft.ifft2(kspace, norm="ortho"), axes=(1, 2)))
    target = sample.target.numpy()
    return ((images - target) ** 2).sum(axis=(1, 2)) / (target**2).sum(axis=(1, 2))


def write_spirit(path: Path, *, coils: int = 2, mask: dict[str, Any] | None = None) -> Path:
    """Write a best.pt of a network that predicts k-space."""
    model = {"kind": "spirit", "coils": coils, "blocks": 1, "kernel": 3}
    return write_network(path, model=model, mask=mask or {}, loss={"kind": "kspace_nmse"})


def write_network(path: Path, **sections: Any) -> Path:
    """Write a best.pt of a network with its first weights."""
    config = read_config({"data": {"layout": "arrays", "root": "a"}, **sections})
    torch.manual_seed(3)
    weights = build_model(config.network, config.mask).state_dict()
    write_whole(path, {"config": msgspec.to_builtins(config), "model": weights, "epoch": 4, "metrics": {}})
    return path


def write_run(root: Path, **sections: Any) -> dict[str, Any]:
    """Write arrays and a checkpoint below a folder, and return a config that uses both."""
    config = {
        "data": {"layout": "arrays", "root": str(write_arrays(root / "data"))},
        "reconstructor": str(write_spirit(root / "spirit" / "best.pt")),
        "acquisition": {"start": 3, "budget": 2},
        "policy": {"kind": "dqn", "chans": 2, "hidden": 8, "batch": 4, "replay": 12, "target_every": 3, "epsilon_steps": 5},
        "train": {"epochs": 3, "episodes": 4, "threads": 1, "device": "cpu"},
    }
    return config | sections
