"""Pairs of files: what lies in image/ is what follows from kspace/, its mask, and the scan as it was before."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from data.convert.grappa_images import convert_grappa, pairs
from data.convert.jobs import find_jobs
from data.convert.options import GrappaOptions
from data.errors import BadInput
from data.kspace.coils import rss
from data.kspace.crop import center_crop
from data.kspace.fourier import ifftc
from data.simulate.options import PairedSpec
from data.simulate.paired import simulate_scan
from tests.data.simulate.small_sets import make

SPEC = PairedSpec(size=(40, 41), slices=2, coils=6, noise=0.002, acceleration=3, center_fraction=0.2)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Six scans of the training split, and one of each of the others."""
    out = tmp_path_factory.mktemp("it's paired")
    make("paired", out, {"train": 6, "val": 1, "test": 1}, SPEC)
    return out


def pair(root, number=0, split="train"):
    """Return the arrays of both files, and the attribute max."""
    with (
        h5py.File(root / split / "kspace" / f"brain_{split}_{number:04d}.h5") as kspace,
        h5py.File(root / split / "image" / f"brain_{split}_{number:04d}.h5") as image,
    ):
        return {key: file[key][()] for file in (kspace, image) for key in file}, image.attrs["max"]


def error(found, truth):
    return np.linalg.norm(found - truth) / np.linalg.norm(truth)


def test_files_have_the_keys_of_the_real_ones(root):
    arrays, maximum = pair(root)
    assert set(arrays) == {"kspace", "mask", "image_label", "image_grappa", "image_input"}
    assert (arrays["kspace"].shape, arrays["kspace"].dtype) == ((2, 6, 50, 41), np.complex64)
    assert (arrays["mask"].shape, arrays["mask"].dtype) == ((41,), np.float32)
    for key in ("image_label", "image_grappa", "image_input"):
        assert (arrays[key].shape, arrays[key].dtype) == ((2, 40, 41), np.float32)
    assert maximum == arrays["image_label"].max()


def test_kspace_is_zero_where_the_mask_is_and_only_there(root):
    arrays, _ = pair(root)
    sampled = arrays["mask"] == 1
    assert (sampled | (arrays["mask"] == 0)).all()
    assert not arrays["kspace"][..., ~sampled].any()
    assert arrays["kspace"][..., sampled].all()
    assert 1 / 3 <= sampled.mean() < 0.55


def test_input_is_the_zero_filled_image_and_the_label_that_of_the_whole_kspace(root):
    arrays, _ = pair(root, number=1)
    images = rss(ifftc(torch.from_numpy(arrays["kspace"])))
    np.testing.assert_allclose(arrays["image_input"], center_crop(images, SPEC.size).numpy(), rtol=1e-5)
    scan = simulate_scan(SPEC, split="train", number=1)
    np.testing.assert_array_equal(scan.kspace * scan.sampled, arrays["kspace"])
    whole = rss(ifftc(torch.from_numpy(scan.kspace)))
    np.testing.assert_allclose(arrays["image_label"], center_crop(whole, SPEC.size).numpy(), rtol=1e-5)


def test_grappa_is_nearer_to_the_label_than_the_input(root):
    for number in range(3):
        arrays, _ = pair(root, number)
        assert error(arrays["image_grappa"], arrays["image_label"]) < 0.7 * error(arrays["image_input"], arrays["image_label"])


def test_coils_and_columns_vary_from_file_to_file(root):
    shapes = [pair(root, number)[0]["kspace"].shape[1:] for number in range(6)]
    assert [shape[0] for shape in shapes] == [6, 6, 8, 6, 6, 8]
    assert [shape[2] for shape in shapes] == [41, 45, 41, 45, 41, 45]
    assert {pair(root, number)[0]["image_label"].shape for number in range(6)} == {(2, 40, 41)}


def test_masks_differ_from_scan_to_scan():
    masks = [simulate_scan(SPEC, split=split, number=number).sampled for split in ("train", "val") for number in (0, 2, 4, 6)]
    assert len({mask.tobytes() for mask in masks}) > 1


def test_converter_finds_the_images_done(root):
    jobs = pairs(find_jobs([root / "val"], None, endings=(".h5",)))
    assert [convert_grappa(job, GrappaOptions()) for job in jobs] == [True]


def test_heads_and_not_the_noise_lie_above_the_threshold_of_the_challenge():
    spec = PairedSpec(size=(96, 80), slices=2, coils=4)
    for number in range(9):
        label = simulate_scan(spec, split="train", number=number).label
        assert label.max() > 4e-4
        assert 0.25 < (label > 5e-5).mean() < 0.5


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("acceleration", 0.5, "--acceleration is 0.5"),
        ("center_fraction", 0.5, "--center-fraction is 0.5; it must be above 0, and at most 1 / acceleration"),
    ],
)
def test_impossible_options_are_refused_with_their_value(key, value, message):
    with pytest.raises(BadInput, match=message):
        replace(SPEC, **{key: value})


def test_centre_too_narrow_for_grappa_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"key 'mask': .*centre"):
        make("paired", tmp_path, spec=replace(SPEC, acceleration=8, center_fraction=0.02))
