"""Volumes in fastMRI's format to the layout of arrays, which is mapped into memory: one array of k-space a split."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from data.convert import array_files
from data.convert.files import difference, fingerprint
from data.convert.jobs import Job, Outcome
from data.convert.options import ArrayOptions
from data.errors import BadInput
from data.volumes.arrays import Kspace, refuse_differing
from data.volumes.fastmri import read_pixels, read_volume
from data.volumes.reading import SliceReader
from data.volumes.volume import Volume

SPLITS = ("train", "val", "test")


def convert_arrays(sources: Sequence[Path], out: Path, options: ArrayOptions) -> Iterator[Outcome]:
    """Write train.npy, val.npy and test.npy below `out`, with images and a list beside each. sources: files in folders of these names.

    k-space of each volume is divided by its largest magnitude. Yields each split when it is there. Raises BadInput where a file lies
    in no split, two files have one name, or volumes differ in coils or matrix.
    """
    _refuse_others(sources)
    volumes = {split: [read_volume(path) for path in sources if path.parent.name == split] for split in SPLITS}
    refuse_differing([volume for held in volumes.values() for volume in held])
    for split, held in volumes.items():
        if held:
            yield _convert_split(held, out / f"{split}.npy", options)


def _refuse_others(sources: Sequence[Path]) -> None:
    named: dict[str, Path] = {}
    for path in sources:
        if path.parent.name not in SPLITS:
            raise BadInput(f"{path}: lies in none of the folders {', '.join(SPLITS)}. Sort the files into splits first.")
        if named.setdefault(path.name, path) != path:
            raise BadInput(f"{named[path.name]} and {path} have the same name, which tells volumes apart. Rename one.")


def _convert_split(volumes: Sequence[Volume], target: Path, options: ArrayOptions) -> Outcome:
    job = Job(source=volumes[0].path, target=target)
    parts = [_slices(volume, options) for volume in volumes]
    made_of = _made_of(volumes, options)
    found = array_files.about(target)
    if found is not None and found != made_of:
        told = difference(json.dumps(found) if found else None, json.dumps(made_of))
        raise BadInput(f"{target}: is there already, and {told}. Remove it, or choose another --out.")
    if found == made_of and array_files.is_whole(target):
        return Outcome(job=job, kept=True)
    content = ((volume.name, _kspace(volume, part)) for volume, part in zip(volumes, parts, strict=True))
    array_files.write_split(target, content, slices=sum(len(part) for part in parts), about=made_of)
    return Outcome(job=job)


def _made_of(volumes: Sequence[Volume], options: ArrayOptions) -> dict[str, object]:
    """Return what a split is made of, as JSON gives it back."""
    names, hashes = [volume.path.name for volume in volumes], [fingerprint(volume.path) for volume in volumes]
    plain: dict[str, object] = json.loads(
        json.dumps({"kind": "arrays", "source": names, "fingerprint": hashes, "options": asdict(options)})
    )
    return plain


def _slices(volume: Volume, options: ArrayOptions) -> range:
    """Return which slices of a volume are kept."""
    count = volume.shape[0]
    first, last = options.slices or (0, count - 1)
    if last >= count:
        raise BadInput(f"{volume.path}: slices {first} to {last} were asked, the volume has {count}. Change --slices.")
    return range(first, last + 1)


def _kspace(volume: Volume, part: range) -> Kspace:
    """Read the k-space of some slices, divided by its largest magnitude. Returns (slice, coil, y, x)."""
    reader = SliceReader()
    try:
        kspace = np.stack([read_pixels(reader, volume, index).kspace for index in part])
    finally:
        reader.close()
    largest = np.abs(kspace).max()
    if not (np.isfinite(largest) and largest > 0):
        raise BadInput(
            f"{volume.path}: key 'kspace': its largest magnitude is {largest}; it must be finite and above 0. Take the file out."
        )
    return kspace / largest
