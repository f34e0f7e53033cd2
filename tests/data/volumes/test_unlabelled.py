"""k-space without its truth: read from files that hold none, under-sampled and mirrored as in training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data.errors import BadInput
from data.kspace.description import MaskDescription
from data.kspace.masks import Mask, draw
from data.simulate.header import ismrmrd_header
from data.volumes.fastmri import read_volume
from data.volumes.loading import SliceDataset
from data.volumes.sampling import Pick
from data.volumes.unlabelled import (
    Unlabelled,
    UnlabelledSlices,
    UnlabelledVolume,
    read_finite,
    read_unlabelled,
    refuse_twins,
    stack_unlabelled,
)
from tests.data.volumes.written import X, Y, draw_site, write

HEADER = ismrmrd_header(matrix=(Y, X), size=(25, X + 9), padding=2, coils=1, slices=2)


def draw_any(size: tuple[int, int], acquired: slice, rng: np.random.Generator) -> Mask:
    return draw(MaskDescription(acceleration=3, center_fraction=0.1), size, rng, acquired=acquired)


def kspace_file(path: Path, **more: object) -> Path:
    """Write k-space alone; `more` datasets beside it."""
    return write(path, kspace=draw_site(0)["kspace"], **more)


def test_a_file_without_truth_is_enough_and_there_is_no_field_for_one(tmp_path):
    volume = read_unlabelled(kspace_file(tmp_path / "a.h5"))
    assert (volume.shape, volume.size, volume.acquired) == ((2, 1, Y, X), (Y, X), (0, X))
    names = {*UnlabelledVolume.__dataclass_fields__, *Unlabelled._fields}
    assert names == {"path", "shape", "size", "acquired", "fingerprint", "kspace"}


def test_header_tells_the_size_of_images_and_the_columns_that_were_acquired(tmp_path):
    volume = read_unlabelled(kspace_file(tmp_path / "a.h5", ismrmrd_header=HEADER))
    assert (volume.size, volume.acquired) == ((25, X), (2, X - 2))


@pytest.mark.parametrize("wrong", [b"0", b"2.5", b"many"])
def test_header_with_an_impossible_size_of_images_is_told(tmp_path, wrong):
    header = HEADER.replace(b"<x>25</x>", b"<x>" + wrong + b"</x>")
    with pytest.raises(BadInput, match=rf"a.h5: key 'ismrmrd_header': reconSpace/matrixSize is \['{wrong.decode()}', "):
        read_unlabelled(kspace_file(tmp_path / "a.h5", ismrmrd_header=header))


def test_several_coils_are_read_as_well(tmp_path):
    coils = np.stack([draw_site(number)["kspace"] for number in range(3)], axis=1)
    path = write(tmp_path / "a.h5", kspace=coils)
    slices = UnlabelledSlices([read_unlabelled(path)], draw_any, seed=3)
    assert slices[Pick(1, 1)].kspace.shape == (3, Y, X)


@pytest.mark.parametrize("flips", [False, True])
def test_slices_are_those_that_training_with_truths_sees(tmp_path, flips):
    header = ismrmrd_header(matrix=(Y, X), size=(Y, X), padding=1, coils=1, slices=2)
    path = write(tmp_path / "a.h5", {"max": 1.0}, **draw_site(0), ismrmrd_header=header)
    acquired = (0, X - 7)  # more padding on one side
    labelled = SliceDataset([replace(read_volume(path), acquired=acquired)], draw_any, seed=3, flips=flips)
    unlabelled = UnlabelledSlices([replace(read_unlabelled(path), acquired=acquired)], draw_any, seed=3, flips=flips)
    assert len(unlabelled) == 2
    for epoch in range(1, 7):
        expected = labelled[Pick(epoch, epoch % 2)]
        assert torch.equal(unlabelled[Pick(epoch, epoch % 2)].kspace, expected.kspace)


def test_batches_keep_the_size_of_images(tmp_path):
    slices = UnlabelledSlices([read_unlabelled(kspace_file(tmp_path / "a.h5", ismrmrd_header=HEADER))], draw_any, seed=3)
    batch = stack_unlabelled([slices[Pick(1, item)] for item in range(2)]).to(torch.device("cpu"))
    assert (batch.kspace.shape, batch.size) == ((2, 1, Y, X), (25, X))


def test_nan_is_told_with_file_and_slice(tmp_path):
    kspace = draw_site(0)["kspace"].copy()
    kspace[1, 2, 3] = np.nan
    path = write(tmp_path / "a.h5", kspace=kspace)
    slices = UnlabelledSlices([read_unlabelled(path)], draw_any, seed=3)
    with pytest.raises(BadInput, match=r"a.h5: slice 1 holds NaN or Inf \(kspace\)"):
        slices[Pick(1, 1)]
    with pytest.raises(BadInput, match=r"a.h5: slice 1 holds NaN or Inf \(kspace\)"):
        read_finite(path)
    good = kspace_file(tmp_path / "b.h5")
    assert read_finite(good) == read_unlabelled(good)


def test_twins_of_other_splits_are_refused_by_name_and_by_content(tmp_path):
    training = [read_unlabelled(kspace_file(tmp_path / "train" / "a.h5"))]
    other = write(tmp_path / "test" / "b.h5", kspace=draw_site(1)["kspace"])
    refuse_twins(training, [other])
    same_name = write(tmp_path / "test" / "a.h5", kspace=draw_site(2)["kspace"])
    for path in (same_name, kspace_file(tmp_path / "test" / "c.h5")):
        with pytest.raises(BadInput, match=rf"train/a.h5 and .*test/{path.name} are the same volume"):
            refuse_twins(training, [other, path])
