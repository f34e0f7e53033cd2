"""MATLAB v7.3 files with cine series to the cine layout: one file a split, with the images that have artefacts and those that have none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from data.convert.files import STAMP_KEY, fingerprint, is_made
from data.convert.jobs import Job, Outcome
from data.convert.options import CineOptions
from data.errors import BadInput
from data.volumes.formats import dataset, open_file
from data.whole_files import written_whole

RECON_KEY, TRUTH_KEY = "imagesRecon", "imagesTrue"
LAYOUT = "nxyt"
"""Axes of the written arrays."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series: where it stands."""

    file: int
    index: int


def convert_cine(sources: Sequence[Path], out: Path, options: CineOptions) -> Iterator[Outcome]:
    """Write train.h5, val.h5 and test.h5 below `out`, each with imagesRecon and imagesTrue (series, x, y, time) float32.

    The series of all sources are put one after another and permuted with the seed; the first ones test, the next validate, the rest
    train. Yields each file when it is there. Raises BadInput naming file, variable, expected and found shape.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(_open(path)) for path in sources]
        counts = [_check(file, options) for file in files]
        _refuse_differing(files, options)
        places = [Series(file=number, index=index) for number, count in enumerate(counts) for index in range(count)]
        for split, chosen in split_series(len(places), options).items():
            job = Job(source=sources[0], target=out / f"{split}.h5")
            stamp = _stamp(sources, options, split)
            kept = is_made(job.target, stamp)
            if not kept:
                _write(job.target, files, [places[place] for place in chosen], options, stamp)
            yield Outcome(job=job, kept=kept)


def split_series(count: int, options: CineOptions) -> dict[str, NDArray[np.int64]]:
    """Return split → numbers of its series, permuted by numpy's legacy generator, whose numbers are promised never to change."""
    if options.val + options.test >= count:
        raise BadInput(
            f"cine: {options.val} series for val and {options.test} for test leave none of {count} to train. Lower --val, --test."
        )
    order = np.random.RandomState(options.seed).permutation(count)
    test, val = options.test, options.test + options.val
    return {"train": order[val:], "val": order[test:val], "test": order[:test]}


def _stamp(sources: Sequence[Path], options: CineOptions, split: str) -> str:
    made_of = {"kind": "cine", "source": [path.name for path in sources], "fingerprint": [fingerprint(path) for path in sources]}
    return json.dumps({**made_of, "options": {**asdict(options), "split": split}}, sort_keys=True)


def _open(path: Path) -> h5py.File:
    """Open a file; say what to do where MATLAB saved it in its older format."""
    if path.is_file() and path.open("rb").read(10) == b"MATLAB 5.0":
        raise BadInput(f"{path}: is a MATLAB file of version 5 to 7. Save it again in MATLAB with: save('{path.name}', '-v7.3').")
    return open_file(path)


def _check(file: h5py.File, options: CineOptions) -> int:
    """Return the number of series of a file whose two variables fit each other."""
    recon, truth = (_variable(file, name, options.axes) for name in (options.recon, options.truth))
    if recon.shape != truth.shape:
        both = f"'{options.recon}' is {_matlab(recon)}, '{options.truth}' is {_matlab(truth)} in MATLAB"
        raise BadInput(f"{file.filename}: {both}; both need the same shape. Make the file again.")
    return int(recon.shape[stored_axes(options.axes).index("n")])


def _variable(file: h5py.File, name: str, axes: str) -> h5py.Dataset:
    found = dataset(file, name, tuple(stored_axes(axes)))
    if found.dtype.kind not in "fiu":
        raise BadInput(f"{file.filename}: variable '{name}': expected real numbers, got {found.dtype}. Save the magnitude, abs(x).")
    return found


def _matlab(variable: h5py.Dataset) -> tuple[int, ...]:
    return tuple(reversed(variable.shape))


def stored_axes(axes: str) -> str:
    """Return the axes as HDF5 has them: MATLAB stores the first axis as the fastest, HDF5 names it last."""
    if sorted(axes) != sorted(LAYOUT):
        raise BadInput(f"cine: --axes is '{axes}'; it must name x, y, t and n once each, such as xytn.")
    return axes[::-1]


def _refuse_differing(files: Sequence[h5py.File], options: CineOptions) -> None:
    stored = stored_axes(options.axes)
    shapes = {tuple(file[options.truth].shape[stored.index(axis)] for axis in "xyt"): file.filename for file in files}
    if len(shapes) > 1:
        listed = " and ".join(f"{shape} in {name}" for shape, name in shapes.items())
        raise BadInput(f"cine: series differ in (x, y, time): {listed}. Convert them apart.")


def _write(target: Path, files: Sequence[h5py.File], chosen: Sequence[Series], options: CineOptions, stamp: str) -> None:
    with written_whole(target) as out:
        for key, variable in ((RECON_KEY, options.recon), (TRUTH_KEY, options.truth)):
            for number, place in enumerate(chosen):
                series = read_series(files[place.file], variable, place.index, options.axes)
                if key not in out:
                    out.create_dataset(key, (len(chosen), *series.shape), dtype=np.float32, chunks=(1, *series.shape))
                out[key][number] = series
        out.attrs[STAMP_KEY] = stamp


def read_series(file: h5py.File, variable: str, index: int, axes: str) -> NDArray[np.float32]:
    """Read one series. axes: those of MATLAB. Returns (x, y, time)."""
    stored = stored_axes(axes)
    selection = tuple(index if axis == "n" else slice(None) for axis in stored)
    left = stored.replace("n", "")
    series = np.asarray(file[variable][selection], dtype=np.float32).transpose([left.index(axis) for axis in "xyt"])
    if not np.isfinite(series).all():
        raise BadInput(f"{file.filename}: variable '{variable}': series {index + 1} holds NaN or Inf. Take it out.")
    return series
