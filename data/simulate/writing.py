"""A simulated data set on disk: each file is written as a whole, kept when it is complete, refused when it is another's."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from data.errors import BadInput
from data.simulate.brain import SPLITS, BrainSpec, BrainVolume, simulate_volume
from data.simulate.header import ismrmrd_header
from data.volumes.splits import read_splits

SPEC_KEY = "simulate_spec"
"""Attribute: JSON of all that decided the pixels."""
CONTENT_KEY = "simulate_sha256"
"""Attribute: hash of kspace and reconstruction_rss."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """One file of the data set, as it was left."""

    path: Path
    kept: bool
    """True: it was complete already."""


def write_brains(out: Path, counts: Mapping[str, int], spec: BrainSpec) -> Iterator[Written]:
    """Write volumes below `out`/train, val and test, and yield each file when it is there. counts: split → number of volumes.

    Safe to break off and to call again, also twice at once. Raises BadInput before anything is written when `out`
    holds other data: other parameters, or volumes that were not asked for.
    """
    wanted = {_path(out, split, number): (split, number) for split in SPLITS for number in range(counts[split])}
    _refuse_other_data(out, set(wanted), spec)
    for path, (split, number) in wanted.items():
        kept = is_complete(path, spec, split=split, number=number)
        if not kept:
            write_volume(path, simulate_volume(spec, split=split, number=number), spec, split=split, number=number)
        yield Written(path=path, kept=kept)
    if all(counts[split] for split in SPLITS):
        read_splits(out)


def _path(out: Path, split: str, number: int) -> Path:
    return out / split / f"brain_{split}_{number:04d}.h5"


def _refuse_other_data(out: Path, wanted: set[Path], spec: BrainSpec) -> None:
    for path in sorted(out.glob("*/[!.]*.h5")):
        if path not in wanted:
            raise BadInput(f"{path}: was not asked for, and training would read it. Choose another --out, or remove it.")
        found = _read_spec(path)
        if found is not None and found.get("data") != _plain(spec.describe()):
            difference = _difference(found.get("data"), spec)
            raise BadInput(f"{path}: was made otherwise ({difference}). Choose another --out, or remove the folder.")


def _difference(found: object, spec: BrainSpec) -> str:
    if not isinstance(found, dict):
        return "not by this command"
    asked = _plain(spec.describe())
    return ", ".join(f"{key} {found.get(key)}, asked {asked[key]}" for key in asked if found.get(key) != asked[key])


def is_complete(path: Path, spec: BrainSpec, *, split: str, number: int) -> bool:
    """Say whether `path` holds this very volume, undamaged: its parameters fit, and its pixels fit their hash."""
    found = _read_spec(path)
    if found is None or found != _identity(spec, split, number):
        return False
    try:
        with h5py.File(path, "r", locking=False) as file:
            return bool(file.attrs[CONTENT_KEY] == content_hash(file["kspace"][()], file["reconstruction_rss"][()]))
    except (OSError, KeyError):
        return False


def _read_spec(path: Path) -> dict[str, object] | None:
    """Return what the file says it is made of; None where it is missing or torn; {} for somebody else's."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            found = json.loads(file.attrs.get(SPEC_KEY, "{}"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else {}


def _identity(spec: BrainSpec, split: str, number: int) -> dict[str, object]:
    return {"data": _plain(spec.describe()), "split": split, "number": number}


def _plain(values: object) -> dict[str, object]:
    """Return values as JSON gives them back: tuples become lists."""
    plain: dict[str, object] = json.loads(json.dumps(values))
    return plain


def content_hash(kspace: np.ndarray, target: np.ndarray) -> str:
    """Return the sha256 of the pixels. kspace: (slice, coil, y, x), target: (slice, y, x)."""
    digest = hashlib.sha256()
    for values in (kspace, target):
        digest.update(f"{values.shape} {values.dtype.str}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def write_volume(path: Path, volume: BrainVolume, spec: BrainSpec, *, split: str, number: int) -> None:
    """Write one file in fastMRI's format: aside, synced, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with h5py.File(aside, "w-") as file:
            _fill(file, volume, spec)
            file.attrs["patient_id"] = f"simulated-{spec.seed}-{split}-{number:04d}"
            file.attrs[SPEC_KEY] = json.dumps(_identity(spec, split, number))
            file.attrs[CONTENT_KEY] = content_hash(volume.kspace, volume.target)
        _sync(aside)
        os.replace(aside, path)
        _sync(path.parent)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _fill(file: h5py.File, volume: BrainVolume, spec: BrainSpec) -> None:
    file["kspace"] = volume.kspace
    file["reconstruction_rss"] = volume.target
    file["ismrmrd_header"] = ismrmrd_header(
        matrix=spec.matrix, size=spec.size, padding=spec.padding, coils=spec.coils, slices=volume.kspace.shape[0]
    )
    file.attrs["acquisition"] = volume.acquisition
    file.attrs["max"] = float(volume.target.max())
    file.attrs["norm"] = float(np.linalg.norm(volume.target))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
