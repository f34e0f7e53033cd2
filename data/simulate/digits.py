"""Digits as single-coil scans in fastMRI's format: drawn, or taken from MNIST's files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from data.convert.fastmri_files import fill
from data.convert.files import fingerprint
from data.errors import BadInput
from data.kspace.masks import rng_of_name
from data.simulate.digit_arrays import digit_arrays, digit_kspace
from data.simulate.files import PlannedBytes, PlannedData, PlannedFile
from data.simulate.glyphs import SIZE, draw_digit
from data.simulate.idx import idx_bytes, read_idx
from data.simulate.options import SPLITS, DigitSpec

IDX_NAMES = {"train": "train", "val": "train", "test": "t10k"}
"""Split → beginning of the names of the MNIST files that it is taken from; val are those that follow train."""
IDX_ENDINGS = ("images-idx3-ubyte", "labels-idx1-ubyte")
"""Ends of the names of MNIST's files: what is seen, and which digit it is."""
Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images (digit, y, x) and what each shows (digit,)."""


def digit_files(out: Path, counts: Mapping[str, int], spec: DigitSpec) -> PlannedData:
    """Plan the files below `out`/train, val and test. counts: split → number of files. Raises BadInput where MNIST has too few."""
    if spec.format == "idx":
        return _idx_files(out, counts, spec)
    source = Path(spec.mnist) if spec.mnist else None
    described = spec.describe() | ({"mnist": _described(source)} if source else {})
    digits = _taken(source, counts, spec.slices) if source else {}
    if spec.format == "arrays":
        return digit_arrays(out, counts, described, partial(_digits, spec, digits), slices=spec.slices)
    places = [(split, number) for split in SPLITS for number in range(counts[split])]
    files = (
        PlannedFile(
            path=out / split / f"digits_{split}_{number:04d}.h5",
            data=described,
            place={"split": split, "number": number},
            fill=partial(_fill, spec=spec, split=split, number=number, taken=digits.get((split, number))),
        )
        for split, number in places
    )
    return PlannedData(folders=tuple(out / split for split in SPLITS), files=tuple(files))


def _digits(spec: DigitSpec, taken: Mapping[tuple[str, int], Digits], split: str, number: int) -> Digits:
    """Return the digits of one file. taken: (split, number) → its digits; empty where they are drawn."""
    return taken[split, number] if taken else draw_digits(spec, split=split, number=number)


def _fill(file: h5py.File, *, spec: DigitSpec, split: str, number: int, taken: Digits | None) -> None:
    """Write kspace and reconstruction_esc (slice, y, x), without noise, and beside them which digits they are."""
    images, labels = taken if taken else draw_digits(spec, split=split, number=number)
    target, kspace = digit_kspace(images)
    origin = "mnist" if taken else f"simulated-{spec.seed}"
    names = {"acquisition": "digits", "patient_id": f"{origin}-digits-{split}-{number:04d}"}
    fill(file, kspace=kspace, target=target, target_key="reconstruction_esc", **names)
    file["labels"] = labels


def _idx_files(out: Path, counts: Mapping[str, int], spec: DigitSpec) -> PlannedData:
    """Plan MNIST's four files, with the very digits that the other format has."""
    files = (
        PlannedBytes(path=out / f"{name}-{ending}", content=partial(_idx_content, counts, spec, name=name, part=part))
        for name in ("train", "t10k")
        for part, ending in enumerate(IDX_ENDINGS)
    )
    return PlannedData(folders=(), files=tuple(files))


def _idx_content(counts: Mapping[str, int], spec: DigitSpec, *, name: str, part: int) -> bytes:
    """Return the images (part 0) or the labels (part 1) of all splits that lie in MNIST's files of this name."""
    places = [(split, number) for split in SPLITS if IDX_NAMES[split] == name for number in range(counts[split])]
    drawn = [draw_digits(spec, split=split, number=number)[part] for split, number in places]
    nothing = np.zeros((0, SIZE, SIZE) if part == 0 else 0, dtype=np.uint8)
    return idx_bytes(np.concatenate([nothing, *drawn]))


def draw_digits(spec: DigitSpec, *, split: str, number: int) -> Digits:
    """Draw the digits of one file, all ten as often as can be, in random order."""
    rng = rng_of_name(f"digits {spec.seed} {split} {number}")
    labels = rng.permutation(np.arange(spec.slices) % 10).astype(np.uint8)
    return np.stack([draw_digit(int(label), rng) for label in labels]), labels


def _described(source: Path) -> str:
    return ", ".join(fingerprint(path) for name in ("train", "t10k") for path in _pair(source, name))


def _taken(source: Path, counts: Mapping[str, int], slices: int) -> dict[tuple[str, int], Digits]:
    """Return (split, number) → digits of each file: those for val follow those for train in MNIST's training files."""
    taken: dict[tuple[str, int], Digits] = {}
    for split, first in (("train", 0), ("val", counts["train"] * slices), ("test", 0)):
        images, labels = read_mnist(source, IDX_NAMES[split])
        last = first + counts[split] * slices
        if last > len(images):
            path = _pair(source, IDX_NAMES[split])[0]
            raise BadInput(f"{path}: {last} digits were asked up to {split}, the file has {len(images)}. Lower --{split} or --slices.")
        parts = (slice(start, start + slices) for start in range(first, last, slices))
        taken |= {(split, number): (images[part], labels[part]) for number, part in enumerate(parts)}
    return taken


def read_mnist(source: Path, name: str) -> Digits:
    """Read one of MNIST's two pairs of files, train or t10k. Raises BadInput for images of another size, or of other labels."""
    image_path, label_path = _pair(source, name)
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.shape[1:] != (SIZE, SIZE) or images.dtype != np.uint8:
        raise BadInput(f"{image_path}: expected (digit, 28, 28) of bytes, got {images.shape} {images.dtype}. Download it again.")
    if labels.shape != images.shape[:1]:
        raise BadInput(f"{label_path}: expected {images.shape[:1]}, a label for each image, got {labels.shape}. Download it again.")
    return images.astype(np.uint8), labels.astype(np.uint8)


def _pair(source: Path, name: str) -> tuple[Path, Path]:
    """Return the files with the images and the labels, packed or not."""
    images, labels = (_found(source, f"{name}-{content}") for content in IDX_ENDINGS)
    return images, labels


def _found(source: Path, name: str) -> Path:
    candidates = [source / f"{start}{ending}" for start in (name, name.replace("-idx", ".idx")) for ending in ("", ".gz")]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise BadInput(f"{source}: holds neither {name} nor {name}.gz. Put MNIST's four files there, or leave --mnist out.")
    return found
