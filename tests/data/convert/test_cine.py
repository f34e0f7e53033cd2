"""MATLAB v7.3 files, which are HDF5 with the axes the other way round, as h5py writes them: every series at its place, in one split."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from data.convert.cine import convert_cine, split_series
from data.convert.options import CineOptions
from data.errors import BadInput

OPTIONS = CineOptions(val=2, test=3, seed=102)
X, Y, T = 7, 5, 4


def matlab_file(path: Path, series: int = 6, *, first: int = 0, axes: str = "xytn", **changed: np.ndarray) -> Path:
    """Write imagesRecon and imagesTrue with these axes in MATLAB. The value of a pixel tells its series, x, y and time."""
    numbers = np.arange(first, first + series)
    n, x, y, t = np.ix_(numbers, np.arange(X), np.arange(Y), np.arange(T))
    values = {"imagesTrue": (1000 * n + 100 * x + 10 * y + t).astype(np.float64)}
    values["imagesRecon"] = -values["imagesTrue"]
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in {**values, **changed}.items():
            in_matlab = array.transpose(["nxyt".index(axis) for axis in axes]) if array.ndim == 4 else array
            file[name] = in_matlab.T
    return path


def read_all(out: Path) -> dict[str, np.ndarray]:
    arrays = {}
    for split in ("train", "val", "test"):
        with h5py.File(out / f"{split}.h5") as file:
            np.testing.assert_array_equal(file["imagesRecon"][()], -file["imagesTrue"][()])
            arrays[split] = file["imagesTrue"][()]
    return arrays


@pytest.mark.parametrize("axes", ["xytn", "nxyt", "yxtn"])
def test_every_series_of_all_files_is_in_one_split(tmp_path, axes):
    sources = [matlab_file(tmp_path / "it's a.mat", axes=axes), matlab_file(tmp_path / "b.mat", 5, first=6, axes=axes)]
    options = CineOptions(val=2, test=3, axes=axes)
    outcomes = list(convert_cine(sources, tmp_path / "out", options))
    assert [(outcome.job.target.name, outcome.kept) for outcome in outcomes] == [("train.h5", False), ("val.h5", False), ("test.h5", False)]
    arrays = read_all(tmp_path / "out")
    assert {split: len(array) for split, array in arrays.items()} == {"train": 6, "val": 2, "test": 3}
    found = np.concatenate(list(arrays.values()))
    assert sorted((found[:, 0, 0, 0] / 1000).astype(int).tolist()) == list(range(11))
    assert found.dtype == np.float32
    x, y, t = np.ix_(np.arange(X), np.arange(Y), np.arange(T))
    np.testing.assert_array_equal(found % 1000, np.broadcast_to(100 * x + 10 * y + t, found.shape))


def test_permutation_is_that_of_numpys_recorded_generator():
    # numpy.random.seed(102); numpy.random.permutation(8)
    order = np.random.RandomState(102).permutation(8).tolist()
    splits = {split: numbers.tolist() for split, numbers in split_series(8, OPTIONS).items()}
    assert splits == {"test": order[:3], "val": order[3:5], "train": order[5:]}


def test_done_files_are_kept_and_those_of_another_seed_are_refused(tmp_path):
    source = matlab_file(tmp_path / "a.mat")
    list(convert_cine([source], tmp_path / "out", OPTIONS))
    (tmp_path / "out" / "val.h5").unlink()
    assert [outcome.kept for outcome in convert_cine([source], tmp_path / "out", OPTIONS)] == [True, False, True]
    with pytest.raises(BadInput, match=r"train.h5: is there already, and was made otherwise: seed 102, asked 7"):
        list(convert_cine([source], tmp_path / "out", CineOptions(val=2, test=3, seed=7)))


WRONG = [
    ({"imagesTrue": np.ones((6, X, Y, T + 1))}, OPTIONS, r"'imagesRecon' is \(7, 5, 4, 6\), 'imagesTrue' is \(7, 5, 5, 6\) in MATLAB"),
    ({"imagesTrue": np.ones((X, Y))}, OPTIONS, r"key 'imagesTrue': expected \(n, t, y, x\).*got \(5, 7\)"),
    ({"imagesTrue": np.ones((6, X, Y, T), dtype=complex)}, OPTIONS, r"'imagesTrue': expected real numbers, got complex128"),
    ({"imagesTrue": np.full((6, X, Y, T), np.nan)}, OPTIONS, r"'imagesTrue': series \d holds NaN or Inf"),
    ({}, CineOptions(recon="undersampled"), r"key 'undersampled' is missing; the file holds imagesRecon, imagesTrue"),
    ({}, CineOptions(axes="xyt"), r"--axes is 'xyt'; it must name x, y, t and n once each"),
    ({}, CineOptions(val=3, test=3), r"3 series .*and 3 .*leave none of 6"),
]


@pytest.mark.parametrize(("changed", "options", "message"), WRONG)
def test_variables_that_do_not_fit_are_refused_with_their_shapes(tmp_path, changed, options, message):
    source = matlab_file(tmp_path / "a.mat", **changed)
    with pytest.raises(BadInput, match=message):
        list(convert_cine([source], tmp_path / "out", options))
    assert not list(tmp_path.glob("out/*"))


def test_files_with_series_of_different_sizes_are_refused(tmp_path):
    smaller = np.ones((4, X - 1, Y, T))
    sources = [matlab_file(tmp_path / "a.mat"), matlab_file(tmp_path / "b.mat", imagesTrue=smaller, imagesRecon=smaller)]
    with pytest.raises(BadInput, match=r"series differ in \(x, y, time\): \(7, 5, 4\) in .*a.mat and \(6, 5, 4\) in .*b.mat"):
        list(convert_cine(sources, tmp_path / "out", OPTIONS))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"MATLAB 5.0 MAT-file, Platform: GLNXA64", r"version 5 to 7. Save it again .*'-v7.3'"), (b"", r"cannot be read as HDF5")],
)
def test_file_of_an_older_matlab_is_told_how_to_save_it(tmp_path, content, message):
    (tmp_path / "old.mat").write_bytes(content)
    with pytest.raises(BadInput, match=rf"old.mat: .*{message}"):
        list(convert_cine([tmp_path / "old.mat"], tmp_path / "out", OPTIONS))
