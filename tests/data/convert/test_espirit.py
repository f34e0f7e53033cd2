"""ESPIRiT maps: equal to sigpy's, true to the coils of a phantom, added to a file that is otherwise left as it was."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import sigpy.mri
import torch

from data.convert.espirit import convert_espirit, espirit_maps
from data.convert.jobs import Job
from data.convert.options import EspiritOptions
from data.errors import BadInput
from data.kspace.coils import expand, reduce, rss
from data.kspace.fourier import ifftc
from data.simulate.brain import BrainSpec, simulate_volume
from data.volumes.knee import read_knee

OPTIONS = EspiritOptions(calibration=20, kernel=5, crop=0.8)


@pytest.fixture(scope="module")
def kspace() -> np.ndarray:
    """(coil, y, x) of one slice, almost without noise, of odd sizes."""
    spec = BrainSpec(size=(57, 49), oversampling=1.0, padding=0, slices=3, coils=6, noise=0.001, seed=3)
    return simulate_volume(spec, split="train", number=0).kspace[1]


def test_maps_equal_those_of_sigpy(kspace):
    expected = sigpy.mri.app.EspiritCalib(kspace, calib_width=20, kernel_width=5, crop=0.8, show_pbar=False).run()
    np.testing.assert_array_equal(espirit_maps(kspace, OPTIONS), expected)


def test_maps_are_normalised_and_explain_the_coil_images(kspace):
    maps = torch.from_numpy(espirit_maps(kspace, OPTIONS))
    inside = rss(maps) > 0
    torch.testing.assert_close(rss(maps)[inside], torch.ones(int(inside.sum())), atol=1e-5, rtol=0)
    assert 0.3 < inside.float().mean() < 0.9
    images = ifftc(torch.from_numpy(kspace))
    left = (images - expand(reduce(images, maps), maps))[:, inside]
    assert torch.linalg.vector_norm(left) < 0.03 * torch.linalg.vector_norm(images[:, inside])


def test_slice_without_signal_has_maps_of_zero():
    assert not espirit_maps(np.zeros((3, 25, 25), dtype=np.complex64), OPTIONS).any()


def test_maps_are_added_and_all_else_stays(own_brains):
    path = Path(shutil.copy(own_brains / "train" / "brain_train_0000.h5", own_brains / "it's one.h5"))
    with h5py.File(path) as file:
        before = {key: file[key][()] for key in file}
        attributes = dict(file.attrs)
    assert convert_espirit(Job(source=path, target=path), OPTIONS) is False
    with h5py.File(path) as file:
        assert sorted(file) == sorted([*before, "esp_maps"])
        assert all(np.array_equal(file[key][()], values) for key, values in before.items())
        assert dict(file.attrs) == attributes
        assert (file["esp_maps"].shape, file["esp_maps"].dtype) == (before["kspace"].shape, np.complex64)
        np.testing.assert_array_equal(file["esp_maps"][1], espirit_maps(before["kspace"][1], OPTIONS))
    assert convert_espirit(Job(source=path, target=path), OPTIONS) is True
    assert not list(path.parent.glob(".*"))
    with pytest.raises(BadInput, match=r"it's one.h5: holds 'esp_maps' already, made with .*\"crop\": 0.8.*Work on a copy"):
        convert_espirit(Job(source=path, target=path), EspiritOptions())


def test_maps_carry_the_largest_value_of_the_images_that_they_give(own_brains):
    path = own_brains / "train" / "brain_train_0000.h5"
    convert_espirit(Job(source=path, target=path), OPTIONS)
    read = partial(read_knee, path, group="", task=None, crop=(20, 20), skip_slices=0)
    as_said = read().maximum
    with h5py.File(path, "a") as file:
        del file["esp_maps"].attrs["max_combined"]
    assert as_said == pytest.approx(read().maximum, rel=1e-6)


def test_file_that_fails_stays_as_it_was(own_brains):
    path = own_brains / "train" / "brain_train_0001.h5"
    with h5py.File(path, "r+") as file:
        file["kspace"][2, 0, 5, 5] = np.nan
    before = path.read_bytes()
    with pytest.raises(BadInput, match=r"brain_train_0001.h5: key 'kspace': slice 2 holds NaN or Inf"):
        convert_espirit(Job(source=path, target=path), OPTIONS)
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".*"))


@pytest.mark.parametrize(("calibration", "kernel"), [(200, 6), (5, 5)])
def test_calibration_region_must_fit_between_kernel_and_matrix(own_brains, calibration, kernel):
    path = own_brains / "train" / "brain_train_0000.h5"
    with pytest.raises(BadInput, match=rf"calibration region of {calibration} must exceed the kernel of {kernel} and fit into 31"):
        convert_espirit(Job(source=path, target=path), EspiritOptions(calibration=calibration, kernel=kernel))


def test_single_coil_file_is_refused_with_its_shape(tmp_path):
    path = tmp_path / "single.h5"
    with h5py.File(path, "w") as file:
        file["kspace"] = np.ones((2, 32, 32), dtype=np.complex64)
    with pytest.raises(BadInput, match=r"single.h5: key 'kspace': expected \(slice, coil, y, x\).*\(2, 32, 32\)"):
        convert_espirit(Job(source=path, target=path), OPTIONS)
