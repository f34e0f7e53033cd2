"""Volumes with bad pixels: left out where that is asked for, looked at once for all runs of a node, and named in any case."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from data.errors import BadInput
from data.volumes import content
from data.volumes.description import ArrayData, CineData, FastmriData, KneeData, PairedData
from data.volumes.layouts import open_splits
from data.volumes.reading import SliceReader
from tests.data.volumes.written import draw_knee, draw_site, write, write_arrays, write_cine, write_knees, write_pairs

LEFT = ["pd_00", "pd_02", "fs_05", "fs_06"]
"""To train, without pd_01."""


def read_knees(root: Path, **changed: object) -> list[str]:
    data = KneeData(root=str(root), datasets=("pd", "fs"), crop=(24, 24), **{"skip_bad": True, **changed})
    return [volume.name for volume in open_splits(data).train]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_knees(tmp_path / "it's knees", {"pd": 3, "fs": 2})


def spoil(path: Path, key: str, index: int = -1) -> None:
    with h5py.File(path, "a") as file:
        file[key].attrs["max_combined"] = 1.0
        file[key][index, 0, 0] = np.nan


def damage(path: Path, index: int, **arrays: np.ndarray) -> Path:
    """Write a file of packed slices, and overwrite a part of one of the first array."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        stored = [file.create_dataset(key, data=values, chunks=(1, *values.shape[1:]), fletcher32=True) for key, values in arrays.items()]
        chunk = stored[0].id.get_chunk_info(index)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + 20] = bytes(20)
    path.write_bytes(content)
    return path


def test_volume_with_nan_is_left_out_with_one_warning(root, caplog):
    spoil(root / "pd" / "Train" / "01.h5", "esp_maps")
    assert read_knees(root) == LEFT
    (record,) = caplog.records
    assert "01.h5: slice 2 holds NaN or Inf" in record.getMessage()
    assert record.getMessage().endswith("It is left out (data.skip_bad).")


def test_damaged_slice_is_told_with_file_and_key_and_left_out_where_asked_for(root, caplog):
    path = damage(root / "pd" / "Train" / "01.h5", 2, **draw_knee(60))
    with pytest.raises(BadInput, match=r"01.h5: key 'kspace': slice 2 cannot be read \(.*\). Copy the file again"):
        SliceReader().read(path, "kspace", 2)
    with pytest.raises(BadInput, match=r"01.h5: a part of it cannot be read"):
        read_knees(root, skip_bad=False)
    assert read_knees(root) == LEFT
    assert len(caplog.records) == 1


def test_disk_that_fails_is_no_bad_file(root, monkeypatch):
    def fail(file: h5py.Dataset, values: object, index: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(h5py.Dataset, "read_direct", fail)
    with pytest.raises(OSError, match="Input/output"):
        SliceReader().read(root / "pd" / "Train" / "00.h5", "kspace", 0)


@pytest.mark.parametrize("key", ["kspace", "reconstruction_esc"])
def test_files_of_one_coil_are_looked_at_in_both_arrays(tmp_path, key):
    for number, split in enumerate(("train", "train", "val", "test")):
        write(tmp_path / split / f"{number}.h5", {"max": 1.0}, **draw_site(number))
    spoil(tmp_path / "train" / "1.h5", key)
    splits = open_splits(FastmriData(root=str(tmp_path), skip_bad=True))
    assert [volume.name for volume in splits.train] == ["0"]


def test_pair_with_nan_in_its_images_is_left_out(tmp_path):
    write_pairs(tmp_path)
    spoil(tmp_path / "train" / "image" / "brain1.h5", "image_grappa")
    assert [volume.name for volume in open_splits(PairedData(root=str(tmp_path), skip_bad=True)).train] == ["brain0"]


def test_single_series_are_left_out_until_there_is_none(tmp_path):
    write_cine(tmp_path)
    spoil(tmp_path / "train.h5", "imagesRecon", 1)
    read = CineData(root=str(tmp_path), skip_bad=True)
    assert [volume.name for volume in open_splits(read).train] == ["train_00000", "train_00002"]
    spoil(tmp_path / "val.h5", "imagesTrue", 0)
    with pytest.raises(BadInput, match=r"val.h5: none of its volumes can be used; data.skip_bad has left out all of them"):
        open_splits(read)


@pytest.mark.parametrize("name", ["train.npy", "train_target.npy"])
def test_volumes_of_an_array_are_left_out_one_by_one_until_there_is_none(tmp_path, name):
    root = write_arrays(tmp_path / "it's arrays")
    read = ArrayData(root=str(root), skip_bad=True)
    for places, left in (([6], ["train-0"]), ([6, 1], [])):
        values = np.load(root / name)
        values[places, ..., 0, 0] = np.nan
        np.save(root / name, values)
        if left:
            assert [volume.name for volume in open_splits(read).train] == left
    with pytest.raises(BadInput, match=r"train.npy: none of its volumes can be used; data.skip_bad has left out all of them"):
        open_splits(read)


def test_dataset_of_which_no_volume_is_left_is_told(root):
    spoil(root / "fs" / "Val" / "07.h5", "esp_maps")
    with pytest.raises(BadInput, match=r"fs/Val: none of its volumes can be used"):
        read_knees(root)


def test_all_pixels_are_read_once_for_all_runs_of_a_node(root, tmp_path, monkeypatch):
    looked: list[str] = []
    read_slices = content._read_slices
    monkeypatch.setattr(content, "_read_slices", lambda volume, cache: (looked.append(volume.name), read_slices(volume, cache)))
    cache = str(tmp_path / "near")
    names = read_knees(root, cache=cache)
    assert len(looked) == 9
    assert read_knees(root, cache=cache) == names
    assert len(looked) == 9
    spoil(root / "pd" / "Train" / "01.h5", "esp_maps")
    assert read_knees(root, cache=cache) == LEFT
    assert looked[9:] == ["pd_01"]
    assert read_knees(root, cache=cache, skip_slices=0) == LEFT
    assert len(looked) == 10 + 9  # other slices


def test_without_a_wish_nothing_is_read_before_training(root, monkeypatch):
    monkeypatch.setattr(content, "_read_slices", lambda volume, cache: pytest.fail("read"))
    assert len(read_knees(root, skip_bad=False)) == 5
