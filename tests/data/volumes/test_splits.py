"""Splits: complete, sorted, and without a volume in two of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data.errors import BadInput
from data.volumes.description import FastmriData
from data.volumes.layouts import open_splits
from data.volumes.splits import Splits


def read_splits(root: Path, **folders: str) -> Splits:
    return open_splits(FastmriData(root=str(root), **folders))


def test_splits_hold_all_volumes_in_order(brains):
    splits = read_splits(brains)
    assert [volume.name for volume in splits.train] == ["brain_train_0000", "brain_train_0001", "brain_train_0002"]
    assert (len(splits.val), len(splits.test)) == (1, 2)


@pytest.mark.parametrize("name", ["brain_train_0001.h5", "renamed.h5"])
def test_volume_in_two_splits_is_found_by_name_and_by_content(own_brains, name):
    shutil.copy(own_brains / "train" / "brain_train_0001.h5", own_brains / "test" / name)
    with pytest.raises(BadInput, match=rf"brain_train_0001.h5 \(train\) and .*{name} \(test\) are the same volume"):
        read_splits(own_brains)


def test_same_name_with_other_content_is_refused_too(own_brains):
    (own_brains / "val" / "brain_val_0000.h5").rename(own_brains / "val" / "brain_test_0001.h5")
    with pytest.raises(BadInput, match=r"brain_test_0001.h5 \(val\) and .*brain_test_0001.h5 \(test\)"):
        read_splits(own_brains)


def test_missing_and_empty_folders_are_told_with_the_way_out(own_brains, tmp_path):
    with pytest.raises(BadInput, match=r"nothing here/train: there is no such folder. Check data.root"):
        read_splits(tmp_path / "nothing here")
    shutil.rmtree(own_brains / "val")
    (own_brains / "val").mkdir()
    with pytest.raises(BadInput, match=r"val: holds no \*.h5 file"):
        read_splits(own_brains)


def test_folders_may_have_other_names(own_brains):
    (own_brains / "val").rename(own_brains / "multicoil_val")
    assert len(read_splits(own_brains, val="multicoil_val").val) == 1
