"""Sites and single-coil files: a coil axis of one, a task a site, one contrast at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.errors import BadInput
from data.kspace.description import MaskDescription
from data.kspace.masks import draw
from data.volumes.description import SiteData
from data.volumes.fastmri import read_volume
from data.volumes.layouts import open_splits
from data.volumes.loading import SliceDataset
from data.volumes.sampling import Pick, buckets_of, plan_epoch
from data.volumes.splits import Splits
from tests.data.volumes.written import X, Y, draw_site, write, write_sites

SIZES = {"B": (Y, X), "F": (25, 30)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_sites(tmp_path, {"B": (8, 8), "F": (8, 8)}, contrast="T2")
    return write_sites(tmp_path, SIZES)


def read(root: Path, **changed: object) -> Splits:
    return open_splits(SiteData(**{"root": str(root), "sites": ("F", "B"), "contrast": "T1", **changed}))


def test_sites_are_tasks_in_the_order_of_the_config(root):
    splits = read(root)
    assert [(volume.task, volume.group, volume.size) for volume in splits.train] == [(0, "F", (25, 30))] * 2 + [(1, "B", (Y, X))] * 2
    assert splits.val[0].name == "F_06"
    assert [volume.task for volume in splits.test] == [0, 1]


def test_kspace_of_one_coil_has_a_coil_axis_and_its_image_is_the_target(root):
    slices = SliceDataset(read(root).train, lambda size, acquired, rng: draw(MaskDescription(), size, rng, acquired=acquired))
    sample = slices[Pick(0, 4)]
    stored = draw_site(0, size=SIZES["B"])
    assert (sample.kspace.shape, sample.mask.shape, int(sample.task)) == ((1, Y, X), (1, X), 1)
    np.testing.assert_array_equal(sample.kspace[0].numpy(), stored["kspace"][0] * sample.mask.numpy())
    np.testing.assert_array_equal(sample.target.numpy(), stored["reconstruction_esc"][0])


def test_batches_never_mix_sites_or_sizes(root):
    buckets = buckets_of(read(root).train)
    assert len(set(buckets)) == 2
    batches = plan_epoch(buckets, batch=3, sampling="none", seed=1, epoch=1)
    assert sorted(map(len, batches)) == [1, 1, 3, 3]
    assert all(len({buckets[pick.item] for pick in batch}) == 1 for batch in batches)


def test_single_coil_file_of_fastmri_needs_no_other_layout(tmp_path):
    volume = read_volume(write(tmp_path / "a.h5", {"max": 2.0}, **draw_site(0)))
    assert (volume.shape, volume.size, volume.maximum, volume.task) == ((2, 1, Y, X), (Y, X), 2.0, None)


GOOD = draw_site(3)
BROKEN = [
    ({"reconstruction_esc": None}, r"key 'reconstruction_esc' is missing; the file holds kspace"),
    ({"reconstruction_esc": GOOD["reconstruction_esc"][:1]}, r"'kspace' has 2 slices, 'reconstruction_esc' has 1"),
    ({"reconstruction_esc": np.ones((2, Y + 1, X), np.float32)}, r"at most \(33, 27\), as 'kspace' has, got \(34, 27\)"),
    ({"reconstruction_esc": GOOD["kspace"]}, r"key 'reconstruction_esc': expected float32, got complex64"),
    ({"kspace": GOOD["kspace"].real}, r"key 'kspace': expected complex64, got float32"),
    ({"kspace": GOOD["kspace"][0]}, r"key 'kspace': expected \(slice, coil, y, x\).*got \(33, 27\)"),
]


@pytest.mark.parametrize(("changed", "message"), BROKEN)
def test_bad_file_is_told_with_key_and_shapes(root, changed, message):
    path = root / "B" / "T1" / "val" / "02.h5"
    write(path, **{key: values for key, values in {**GOOD, **changed}.items() if values is not None})
    with pytest.raises(BadInput, match=message) as caught:
        read(root)
    assert str(caught.value).startswith(str(path))


def test_volume_that_two_sites_hold_in_different_splits_is_found(root):
    write(root / "F" / "T1" / "test" / "new.h5", **draw_site(0))  # B trains on it
    with pytest.raises(BadInput, match=r"B/T1/train/00.h5 \(train\) and .*F/T1/test/new.h5 \(test\) are the same volume"):
        read(root)


def test_missing_contrast_is_told_with_its_folder(root):
    with pytest.raises(BadInput, match=r"F/FLAIR/train: there is no such folder"):
        read(root, contrast="FLAIR")
