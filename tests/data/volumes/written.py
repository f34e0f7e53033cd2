"""Small files of every layout, written with h5py alone, at odd sizes."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import torch

from data.kspace.fourier import fftc

COILS, Y, X = 2, 33, 27


def rng_of(*numbers: int) -> np.random.Generator:
    return np.random.default_rng((17, *numbers))


def draw_image(rng: np.random.Generator, slices: int, size: tuple[int, int] = (Y, X)) -> np.ndarray:
    """Draw smooth complex images (slice, y, x)."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, length) for length in size), indexing="ij")
    places = rng.uniform(-0.4, 0.4, (slices, 3, 2, 1, 1))
    spots = np.exp(-((y - places[:, :, 0]) ** 2 + (x - places[:, :, 1]) ** 2) / 0.1).sum(axis=1)
    return ((spots + 0.05) * np.exp(1j * (x + y))).astype(np.complex64)


def to_kspace(images: np.ndarray) -> np.ndarray:
    return fftc(torch.from_numpy(np.ascontiguousarray(images))).numpy()


def write(path: Path, attributes: dict[str, object] | None = None, **arrays: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, values in arrays.items():
            file[key] = values
        file.attrs.update(attributes or {})
    return path


def draw_knee(number: int, *, slices: int = 3, coils: int = COILS, size: tuple[int, int] = (Y, X)) -> dict[str, np.ndarray]:
    """Draw kspace and esp_maps (slice, coil, y, x), the maps of norm 1."""
    rng = rng_of(1, number)
    maps = np.stack([draw_image(rng, slices, size) for _ in range(coils)], axis=1)
    maps /= np.linalg.norm(maps, axis=1, keepdims=True)
    return {"kspace": to_kspace(maps * draw_image(rng, slices, size)[:, None]), "esp_maps": maps}


def write_knees(root: Path, counts: dict[str, int], *, size: tuple[int, int] = (Y, X)) -> Path:
    """Write each dataset with as many training volumes as `counts` says, one to validate and one to test."""
    number = 0
    for dataset, count in counts.items():
        for split, files in (("Train", count), ("Val", 1), ("Test", 1)):
            for _ in range(files):
                write(root / dataset / split / f"{number:02d}.h5", **draw_knee(number, size=size))
                number += 1
    return root


def draw_site(number: int, *, slices: int = 2, size: tuple[int, int] = (Y, X)) -> dict[str, np.ndarray]:
    """Draw kspace (slice, y, x) of one coil and reconstruction_esc."""
    image = draw_image(rng_of(2, number), slices, size)
    return {"kspace": to_kspace(image), "reconstruction_esc": np.abs(image)}


def write_sites(root: Path, sites: dict[str, tuple[int, int]], contrast: str = "T1") -> Path:
    """Write two training volumes, one to validate and one to test at each site, whose size (y, x) `sites` says."""
    number = 0
    for site, size in sites.items():
        for split in ("train", "train", "val", "test"):
            write(root / site / contrast / split / f"{number:02d}.h5", **draw_site(number, size=size))
            number += 1
    return root


def write_cine(root: Path, *, frames: int = 4, size: tuple[int, int] = (18, 17)) -> Path:
    """Write three series to train, one to validate and two to test, (series, x, y, time); `size` is (x, y)."""
    for number, (split, count) in enumerate({"train": 3, "val": 1, "test": 2}.items()):
        truth = np.abs(draw_image(rng_of(3, number), count * frames, size)).reshape(count, frames, *size).transpose(0, 2, 3, 1)
        truth = truth / truth.max()
        write(root / f"{split}.h5", imagesTrue=truth, imagesRecon=(truth + 0.3 * np.roll(truth, 5, axis=1)).astype(np.float32))
    return root


def draw_pair(number: int, *, slices: int = 2) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Draw what the k-space file and the image file of paired data hold; every third column is sampled, and five in the centre."""
    image = draw_image(rng_of(4, number), slices)
    columns = np.arange(X)
    mask = (columns % 3 == number % 3) | (np.abs(columns - X // 2) <= 2)
    kspace = to_kspace(np.stack([image, 1j * image], axis=1)) * mask
    label = np.abs(image[:, 2:-2, 2:-2]) * np.sqrt(2).astype(np.float32)
    images = {"image_label": label, "image_grappa": label * np.float32(0.9), "image_input": label * np.float32(0.5)}
    return {"kspace": kspace, "mask": mask.astype(np.uint8)}, images


def write_pairs(root: Path) -> Path:
    """Write two pairs to train, one to validate and one to test."""
    for number, split in enumerate(("train", "train", "val", "test")):
        measured, images = draw_pair(number)
        write(root / split / "kspace" / f"brain{number}.h5", **measured)
        write(root / split / "image" / f"brain{number}.h5", {"max": float(images["image_label"].max())}, **images)
    return root


def draw_arrays(number: int, *, slices: int, coils: int = COILS, size: tuple[int, int] = (Y, X)) -> np.ndarray:
    """Draw k-space (slice, coil, y, x)."""
    return to_kspace(np.stack([draw_image(rng_of(5, number, coil), slices, size) for coil in range(coils)], axis=1))


def write_split(path: Path, kspace: np.ndarray, volumes: dict[str, int]) -> None:
    """Write an array of k-space, its images and the list of its volumes; volumes: name → slices."""
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))
    target = np.sqrt((np.abs(images) ** 2).sum(axis=1)).astype(np.float32)
    firsts = np.cumsum([0, *volumes.values()])
    listed = [
        {"name": name, "slices": count, "maximum": float(target[first : first + count].max())}
        for (name, count), first in zip(volumes.items(), firsts, strict=False)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, kspace)
    np.save(path.with_name(f"{path.stem}_target.npy"), target)
    path.with_suffix(".json").write_text(json.dumps({"volumes": listed}))


def write_arrays(root: Path, *, coils: int = COILS, size: tuple[int, int] = (Y, X)) -> Path:
    """Write volumes of 5 and 4 slices to train, of 3 and 2 to validate, and one of 3 to test."""
    for number, (split, counts) in enumerate({"train": (5, 4), "val": (3, 2), "test": (3,)}.items()):
        kspace = draw_arrays(number, slices=sum(counts), coils=coils, size=size)
        write_split(root / f"{split}.npy", kspace, {f"{split}-{place}": count for place, count in enumerate(counts)})
    return root
