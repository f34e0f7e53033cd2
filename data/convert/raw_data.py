"""ISMRMRD raw data, as mridata.org delivers them, to fastMRI's multi-coil layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from data.convert.fastmri_files import check_images, fill, rss_images
from data.convert.files import STAMP_KEY, is_made, stamp_of
from data.convert.jobs import Job
from data.convert.options import RawOptions
from data.convert.raw_header import RawHeader, parse_header
from data.errors import BadInput
from data.kspace.fourier import ifftc
from data.volumes.formats import member, open_file
from data.whole_files import written_whole

BLOCK = 256
"""Readouts that are read at once."""
REVERSED = 1 << (22 - 1)
"""Flag ACQ_IS_REVERSE: the readout runs backwards, as in EPI."""
NO_IMAGE = sum(1 << (flag - 1) for flag in (19, 20, 23, 24, 26, 27, 28, 29, 30, 31))
"""Flags of readouts that belong to no image: noise, calibration alone, navigation, phase correction, feedback, dummy, surface
coil correction, phase stabilisation (ismrmrd.h)."""
SINGLE = ("contrast", "phase", "repetition", "set")
"""Counters that must stay at one value: a volume has one image a slice."""


def convert_raw(job: Job, options: RawOptions) -> bool:
    """Write `kspace` (slice, coil, y, x), `reconstruction_rss` and `ismrmrd_header`. Returns True where it was done before.

    Rows are the readout, columns phase encoding 1, placed by the encoding limits; averages are averaged. Of a 3-D scan, phase
    encoding 2 is transformed to slices. Raises BadInput naming file, key, what was expected and found.
    """
    stamp = stamp_of("ismrmrd", job.source, asdict(options))
    if is_made(job.target, stamp):
        return True
    header, text, kspace = read_raw(job.source, undersampled=options.undersampled)
    target = rss_images(kspace, header.shown)
    check_images(target, job.source)
    names = {"acquisition": header.protocol, "patient_id": header.patient_id or job.source.stem}
    with written_whole(job.target) as file:
        fill(file, kspace=kspace, target=target, target_key="reconstruction_rss", **names)
        file["ismrmrd_header"] = text
        file.attrs[STAMP_KEY] = stamp
    return False


def read_raw(path: Path, *, undersampled: bool = False) -> tuple[RawHeader, bytes, NDArray[np.complex64]]:
    """Read a scan. Returns its header, the header's text, and k-space (slice, coil, readout, phase encoding)."""
    with open_file(path) as file:
        for key in ("dataset", "dataset/xml", "dataset/data"):
            if key not in file:
                raise BadInput(
                    f"{path}: key '{key}' is missing; the file holds {', '.join(file) or 'nothing'}. ISMRMRD raw data is needed."
                )
            member(file, key)
        text = bytes(file["dataset/xml"][0])
        header = parse_header(text, path)
        readouts = _Readouts(path, file["dataset/data"])
        kspace, lines = _sorted(header, readouts)
    _refuse_missing(path, lines, undersampled=undersampled)
    if header.encoded[2] > 1:
        kspace = ifftc(torch.from_numpy(kspace), axes=(0,)).numpy()
    return header, text, kspace


class _Readouts:
    """The readouts of a file that belong to images, after a first look at all of their heads."""

    def __init__(self, path: Path, table: h5py.Dataset) -> None:
        self.path = path
        self._table = table
        heads = table["head"] if table.size else np.zeros(0, dtype=[("flags", "u8")])
        self._wanted = (heads["flags"] & NO_IMAGE) == 0
        if not self._wanted.any():
            raise BadInput(f"{path}: key 'dataset/data' holds {table.size} readouts, none of an image. Check the scan.")
        self.heads = heads[self._wanted]
        if (self.heads["flags"] & REVERSED).any():
            raise BadInput(f"{path}: holds readouts that run backwards (ACQ_IS_REVERSE), as EPI does. Correct their phase first.")
        for counter in SINGLE:
            values = np.unique(self.heads["idx"][counter])
            if values.size > 1:
                raise BadInput(f"{path}: holds {values.size} values of '{counter}', one image a slice is needed. Split the scan first.")
        coils = np.unique(self.heads["active_channels"])
        if coils.size > 1:
            raise BadInput(f"{path}: readouts have {' and '.join(map(str, coils))} coils; one number is needed. Split the scan first.")
        self.coils = int(coils[0])

    def __iter__(self) -> Iterator[tuple[Any, NDArray[np.complex64]]]:
        """Yield head and samples (coil, readout) of each."""
        for start in range(0, self._table.size, BLOCK):
            block = self._table[start : start + BLOCK]
            for row in block[self._wanted[start : start + BLOCK]]:
                yield row["head"], self._samples(row)

    def _samples(self, row: Any) -> NDArray[np.complex64]:
        head, values = row["head"], row["data"]
        expected = (int(head["active_channels"]), int(head["number_of_samples"]))
        if values.size != 2 * expected[0] * expected[1]:
            raise BadInput(
                f"{self.path}: key 'dataset/data': readout {int(head['scan_counter'])}: expected (coil, sample) = {expected}, "
                f"got {values.size // 2} samples in all. Copy the file again from its source."
            )
        samples: NDArray[np.complex64] = values.view(np.complex64).reshape(expected)
        return samples


def _sorted(header: RawHeader, readouts: _Readouts) -> tuple[NDArray[np.complex64], NDArray[np.int64]]:
    """Put each readout into its place. Returns k-space (slice, coil, readout, phase encoding) and (slice, phase encoding) counts."""
    length, width, depth = header.encoded
    slices = depth if depth > 1 else int(readouts.heads["idx"]["slice"].max()) + 1
    kspace = np.zeros((slices, readouts.coils, length, width), dtype=np.complex64)
    counts = np.zeros((slices, width), dtype=np.int64)
    for head, samples in readouts:
        place, column = _place(header, head, readouts.path, slices)
        start = length // 2 - (int(head["center_sample"]) if int(head["center_sample"]) else samples.shape[1] // 2)
        _refuse_outside(readouts.path, "sample", start, start + samples.shape[1], length)
        kspace[place, :, start : start + samples.shape[1], column] += samples
        counts[place, column] += 1
    kspace /= np.maximum(counts, 1)[:, None, None, :]
    return kspace, counts


def _place(header: RawHeader, head: Any, path: Path, slices: int) -> tuple[int, int]:
    """Return slice and column of a readout."""
    counters, depth = head["idx"], header.encoded[2]
    if depth > 1 and int(counters["slice"]):
        raise BadInput(f"{path}: holds several slabs of a 3-D scan; one is needed. Split the scan first.")
    column = int(counters["kspace_encode_step_1"]) - header.centers[0] + header.encoded[1] // 2
    place = int(counters["kspace_encode_step_2"]) - header.centers[1] + depth // 2 if depth > 1 else int(counters["slice"])
    _refuse_outside(path, "kspace_encode_step_1", column, column + 1, header.encoded[1])
    _refuse_outside(path, "kspace_encode_step_2", place, place + 1, slices)
    return place, column


def _refuse_outside(path: Path, what: str, start: int, stop: int, length: int) -> None:
    if not 0 <= start < stop <= length:
        raise BadInput(
            f"{path}: key 'dataset/data': {what} {start} to {stop - 1} lies outside of the matrix of {length}. "
            "Check matrixSize and encodingLimits in 'dataset/xml'."
        )


def _refuse_missing(path: Path, lines: NDArray[np.int64], *, undersampled: bool) -> None:
    """Refuse a scan that lacks lines between its first and its last one. lines: (slice, phase encoding) counts."""
    sampled = np.flatnonzero(lines.any(axis=0))
    inner = lines[:, sampled[0] : sampled[-1] + 1]
    missing = int((inner == 0).sum())
    if missing and not undersampled:
        raise BadInput(
            f"{path}: lacks {missing} of {inner.size} lines between the first and the last one: its images are no truth. "
            "Choose a fully sampled scan, or --undersampled to convert it all the same."
        )
