"""fastMRI's files: what is read from a good one, and what a bad one is told."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from data.errors import BadInput
from data.simulate.header import ismrmrd_header
from data.volumes.fastmri import read_volume
from tests.data.small_brains import SPEC


@pytest.fixture
def path(own_brains: Path) -> Path:
    return own_brains / "train" / "brain_train_0000.h5"


def replace_key(path: Path, key: str, value: object) -> None:
    with h5py.File(path, "a") as file:
        del file[key]
        if value is not None:
            file[key] = value


def test_volume_is_described_without_its_pixels(path):
    volume = read_volume(path)
    assert volume.shape == (3, 3, 40, 31)  # 33 * 1.2 = 39.6 rows
    assert volume.size == (33, 31)
    assert volume.acquired == (1, 30)
    assert (volume.name, volume.acquisition) == ("brain_train_0000", "AXT1")
    with h5py.File(path) as file:
        assert volume.maximum == file["reconstruction_rss"][()].max()


BROKEN_KEYS = [
    ("kspace", None, r"key 'kspace' is missing; the file holds ismrmrd_header, reconstruction_rss"),
    ("reconstruction_rss", None, r"key 'reconstruction_rss' is missing"),
    ("kspace", np.zeros((3, 40, 31), np.complex64), r"'reconstruction_esc' is missing; .*An array \(slice, y, x\) is needed"),
    ("kspace", np.zeros((3, 0, 40, 31), np.complex64), r"none of them empty, got \(3, 0, 40, 31\)"),
    ("kspace", np.zeros((3, 3, 40, 31), np.float32), r"expected complex64, got float32"),
    ("kspace", np.zeros((2, 3, 40, 31), np.complex64), r"'kspace' has 2 slices, 'reconstruction_rss' has 3"),
    ("reconstruction_rss", np.zeros((33, 31), np.float32), r"expected \(slice, y, x\).*got \(33, 31\)"),
    ("ismrmrd_header", b"<broken", r"'ismrmrd_header' is no valid ISMRMRD header"),
    ("ismrmrd_header", b"<a/>", r"lacks encoding/encodedSpace/matrixSize/y, encoding"),
    ("ismrmrd_header", ismrmrd_header(matrix=(40, 90), size=(33, 31), padding=1, coils=3, slices=3), r"columns 1 to 89 of 31"),
]


@pytest.mark.parametrize(("key", "value", "message"), BROKEN_KEYS)
def test_wrong_key_is_told_with_file_key_and_shapes(path, key, value, message):
    replace_key(path, key, value)
    with pytest.raises(BadInput, match=message) as caught:
        read_volume(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert caught.value.mrsweep_cause == "bad_input"


@pytest.mark.parametrize("maximum", [float("nan"), 0.0, -1.0])
def test_impossible_maximum_is_refused(path, maximum):
    with h5py.File(path, "a") as file:
        file.attrs["max"] = maximum
    with pytest.raises(BadInput, match=r"attribute 'max' is"):
        read_volume(path)


def test_missing_header_and_attributes_are_made_up_for(path):
    replace_key(path, "ismrmrd_header", None)
    with h5py.File(path, "a") as file:
        file.attrs.clear()
        expected = file["reconstruction_rss"][()].max()
    volume = read_volume(path)
    assert (volume.acquired, volume.acquisition, volume.maximum) == ((0, SPEC.size[1]), "", expected)


def test_missing_file_and_torn_file_are_told_apart(path):
    with pytest.raises(BadInput, match="there is no such file"):
        read_volume(path.with_name("none.h5"))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(BadInput, match="cannot be read as HDF5"):
        read_volume(path)
