"""Paired files: each k-space with its own mask and its images, and what a bad pair is told."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from data.errors import BadInput
from data.volumes.description import PairedData
from data.volumes.layouts import open_splits
from data.volumes.loading import SliceDataset
from data.volumes.sampling import Pick, buckets_of
from data.volumes.splits import Splits
from tests.data.volumes.written import X, draw_pair, write, write_pairs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "pairs of one's own")


def read(root: Path, **changed: object) -> Splits:
    return open_splits(PairedData(root=str(root), **changed))


def never(*_: object) -> None:
    raise AssertionError("the mask of the file is to be used")


@pytest.mark.parametrize("seed", [None, 4])
def test_mask_of_the_file_is_used_in_training_too(root, seed):
    slices = SliceDataset(read(root).train, never, seed=seed)
    sample = slices[Pick(5, 2)]  # the second pair, its first slice
    measured, images = draw_pair(1)
    np.testing.assert_array_equal(sample.mask.numpy()[0], measured["mask"].astype(bool))
    np.testing.assert_array_equal(sample.kspace.numpy(), measured["kspace"][0])
    np.testing.assert_array_equal(sample.target.numpy(), images["image_label"][0])
    np.testing.assert_array_equal(sample.grappa.numpy(), images["image_grappa"][0])
    assert float(sample.sampled_fraction) == pytest.approx(measured["mask"].mean())
    assert float(sample.maximum) == pytest.approx(images["image_label"].max())
    assert (sample.task, sample.sens_maps) == (None, None)


def test_kspace_that_is_stored_whole_is_sampled_by_the_mask(root):
    with h5py.File(root / "val" / "kspace" / "brain2.h5", "a") as file:
        file["kspace"][...] = 1 + 1j
        mask = file["mask"][()].astype(bool)
    sample = SliceDataset(read(root).val, never)[Pick(0, 0)]
    assert (sample.kspace[..., mask] != 0).all()
    assert (sample.kspace[..., ~mask] == 0).all()


def test_images_by_grappa_may_be_left_out_and_never_share_a_batch_with_those_that_have_them(root):
    with h5py.File(root / "train" / "image" / "brain0.h5", "a") as file:
        del file["image_grappa"]
    train = read(root).train
    assert SliceDataset(train, never)[Pick(0, 0)].grappa is None
    assert len(set(buckets_of(train))) == 2


def change(path: Path, key: str, values: np.ndarray | None) -> None:
    with h5py.File(path, "a") as file:
        del file[key]
        if values is not None:
            file[key] = values


IMAGES = draw_pair(2)[1]
BROKEN = [
    ("kspace", "mask", None, r"key 'mask' is missing"),
    ("kspace", "mask", np.ones(X - 1), r"key 'mask': expected \(27,\) of 0 and 1.*got \(26,\)"),
    ("kspace", "mask", np.zeros(X), r"key 'mask': expected .*not all 0"),
    ("kspace", "mask", np.full(X, 2), r"key 'mask': expected \(27,\) of 0 and 1"),
    ("kspace", "kspace", np.ones((2, 33, X), np.complex64), r"key 'kspace': expected \(slice, coil, y, x\).*got \(2, 33, 27\)"),
    ("image", "image_label", None, r"key 'image_label' is missing; the file holds image_grappa, image_input"),
    ("image", "image_label", IMAGES["image_label"][:1], r"'kspace' has 2 slices, 'image_label' has 1"),
    ("image", "image_grappa", IMAGES["image_grappa"][:, 1:], r"key 'image_grappa': expected \(2, 29, 23\).*got \(2, 28, 23\)"),
]


@pytest.mark.parametrize(("folder", "key", "values", "message"), BROKEN)
def test_bad_file_is_told_with_key_and_shapes(root, folder, key, values, message):
    path = root / "val" / folder / "brain2.h5"
    change(path, key, values)
    with pytest.raises(BadInput, match=message) as caught:
        read(root)
    assert str(caught.value).startswith(str(path))


def test_missing_partner_is_told_or_left_out(root, caplog):
    (root / "train" / "image" / "brain1.h5").unlink()
    with pytest.raises(BadInput, match=r"kspace/brain1.h5: its partner .*image/brain1.h5 is missing"):
        read(root)
    assert [volume.name for volume in read(root, skip_bad=True).train] == ["brain0"]
    assert len(caplog.records) == 1


def test_pair_in_two_splits_is_found_under_another_name(root):
    measured, images = draw_pair(0)
    write(root / "test" / "kspace" / "other.h5", **measured)
    write(root / "test" / "image" / "other.h5", **images)
    with pytest.raises(BadInput, match=r"train/kspace/brain0.h5 \(train\) and .*test/kspace/other.h5 \(test\)"):
        read(root)


@pytest.mark.parametrize(
    ("folder", "key", "way_out"),
    [
        ("kspace", "kspace", r"Remove the pair from the split, or make it again\."),
        ("image", "image_label", r"Remove the pair from the split, or make it again\."),
        ("image", "image_grappa", r"Delete that key, then make it anew: python -m data.convert grappa \S.*/train\."),
    ],
)
def test_nan_is_told_with_the_file_and_key_that_hold_it(root, folder, key, way_out):
    path = root / "train" / folder / "brain1.h5"
    with h5py.File(path, "r+") as file:
        file[key][1] = np.nan
    slices = SliceDataset(read(root).train, never)
    with pytest.raises(BadInput, match=rf"train/{folder}/brain1.h5: slice 1 holds NaN or Inf \({key}\)\. {way_out}"):
        slices[Pick(0, 3)]
