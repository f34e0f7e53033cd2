"""Cine series: axes turned for the network, each series a volume, and what a bad file is told."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from data.errors import BadInput
from data.volumes.cine import SeriesDataset, stack_series
from data.volumes.description import CineData
from data.volumes.layouts import open_splits
from data.volumes.sampling import Pick, buckets_of
from data.volumes.splits import Splits
from tests.data.volumes.written import write_cine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_cine(tmp_path / "hearts")


def read(root: Path, **changed: object) -> Splits:
    return open_splits(CineData(root=str(root), **changed))


def test_series_come_with_frames_first_and_rows_before_columns(root):
    with h5py.File(root / "test.h5") as file:
        recon, truth = file["imagesRecon"][1], file["imagesTrue"][1]  # (x, y, time) = (18, 17, 4)
    sample = SeriesDataset(read(root, data_range=2.0).test)[Pick(1, 1)]
    assert sample.image.shape == (4, 17, 18)
    np.testing.assert_array_equal(sample.image.numpy(), recon.transpose(2, 1, 0))
    np.testing.assert_array_equal(sample.target.numpy(), truth.transpose(2, 1, 0))
    assert (float(sample.maximum), int(sample.volume)) == (2.0, 1)


def test_each_series_is_a_volume_of_one_item(root):
    splits = read(root)
    assert [volume.name for volume in splits.train] == ["train_00000", "train_00001", "train_00002"]
    assert [len(SeriesDataset(volumes)) for volumes in (splits.train, splits.val, splits.test)] == [3, 1, 2]
    assert len(set(buckets_of(splits.train))) == 1
    slices = SeriesDataset(splits.train)
    batch = stack_series([slices[Pick(0, item)] for item in range(3)])
    assert (batch.image.shape, batch.volume.tolist()) == ((3, 4, 17, 18), [0, 1, 2])


def rewrite(path: Path, key: str, values: np.ndarray | None) -> None:
    with h5py.File(path, "a") as file:
        del file[key]
        if values is not None:
            file[key] = values


BROKEN = [
    ("imagesRecon", None, r"key 'imagesRecon' is missing; the file holds imagesTrue"),
    ("imagesTrue", np.ones((3, 18, 17), np.float32), r"key 'imagesTrue': expected \(series, x, y, time\).*got \(3, 18, 17\)"),
    ("imagesTrue", np.ones((3, 18, 17, 5), np.float32), r"key 'imagesTrue': expected \(3, 18, 17, 4\).*got \(3, 18, 17, 5\)"),
    ("imagesTrue", np.ones((3, 18, 17, 4), np.complex64), r"key 'imagesTrue': expected float32, got complex64. Store the magnitude"),
]


@pytest.mark.parametrize(("key", "values", "message"), BROKEN)
def test_bad_file_is_told_with_key_and_shapes(root, key, values, message):
    rewrite(root / "train.h5", key, values)
    with pytest.raises(BadInput, match=message) as caught:
        read(root)
    assert str(caught.value).startswith(str(root / "train.h5"))


def test_nan_is_told_with_its_series(root):
    with h5py.File(root / "train.h5", "a") as file:
        file["imagesRecon"][2, 0, 0, 0] = np.nan
    slices = SeriesDataset(read(root).train)
    slices[Pick(0, 1)]
    with pytest.raises(BadInput, match=r"train.h5: key 'imagesRecon': series 2 holds NaN"):
        slices[Pick(0, 2)]


def test_series_in_two_splits_is_found_by_content(root):
    with h5py.File(root / "train.h5") as file:
        copied = file["imagesTrue"][1]
    with h5py.File(root / "val.h5", "a") as file:
        file["imagesTrue"][0] = copied
    with pytest.raises(BadInput, match=r"train.h5, series 1 \(train\) and .*val.h5, series 0 \(val\) are the same"):
        read(root)


def test_missing_file_is_told(tmp_path):
    with pytest.raises(BadInput, match=r"train.h5: there is no such file. Check data.root"):
        read(tmp_path)
