"""NIfTI volumes that nibabel wrote, converted: the images come back out of k-space, padded about their centre."""

from __future__ import annotations

import h5py
import nibabel
import numpy as np
import pytest
import torch

from data.convert.jobs import Job
from data.convert.nifti import convert_nifti
from data.convert.options import NiftiOptions
from data.errors import BadInput
from data.kspace.fourier import ifftc

OPTIONS = NiftiOptions(size=32, acquisition="T1")


def job(tmp_path, values: np.ndarray, name: str = "it's a scan_t1.nii.gz") -> Job:
    source = tmp_path / name
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), source)
    return Job(source=source, target=tmp_path / "out" / "scan.h5")


def head(size: tuple[int, ...] = (24, 31, 5)) -> np.ndarray:
    return np.random.default_rng(0).random(size, dtype=np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_images_come_back_out_of_kspace_about_the_same_centre(tmp_path, dtype):
    volume = (head() * 1000).astype(dtype)
    one = job(tmp_path, volume)
    assert convert_nifti(one, OPTIONS) is False
    with h5py.File(one.target) as file:
        kspace, images = file["kspace"][()], file["reconstruction_esc"][()]
        attrs = dict(file.attrs)
    assert (kspace.shape, kspace.dtype, images.dtype) == ((5, 32, 32), np.complex64, np.float32)
    # 32 // 2 - 24 // 2 = 4 rows before, 32 // 2 - 31 // 2 = 1 column before
    np.testing.assert_array_equal(images[:, 4:28, 1:32], np.moveaxis(volume, 2, 0))
    assert images.sum() == pytest.approx(volume.sum(), rel=1e-5)
    np.testing.assert_allclose(ifftc(torch.from_numpy(kspace)).numpy(), images, atol=1e-3)
    assert attrs["max"] == images.max()
    assert attrs["norm"] == pytest.approx(np.linalg.norm(images))
    assert attrs["acquisition"] == "T1"
    assert attrs["patient_id"] == "it's a scan_t1"


def test_slices_are_cut_at_both_ends_included(tmp_path):
    volume = head()
    one = job(tmp_path, volume)
    convert_nifti(one, NiftiOptions(size=32, slices=(1, 3)))
    with h5py.File(one.target) as file:
        np.testing.assert_array_equal(file["reconstruction_esc"][:, 4:28, 1:32], np.moveaxis(volume, 2, 0)[1:4])


def test_fourth_axis_of_one_is_dropped(tmp_path):
    one = job(tmp_path, head()[..., None])
    convert_nifti(one, OPTIONS)
    assert one.target.is_file()


def test_done_file_is_kept_and_one_made_otherwise_is_refused(tmp_path):
    one = job(tmp_path, head())
    convert_nifti(one, OPTIONS)
    before = one.target.stat().st_mtime_ns
    assert convert_nifti(one, OPTIONS) is True
    assert one.target.stat().st_mtime_ns == before
    with pytest.raises(BadInput, match=r"scan.h5: is there already, and was made otherwise: size 32, asked 64.*choose another --out"):
        convert_nifti(one, NiftiOptions(size=64, acquisition="T1"))


def with_nan() -> np.ndarray:
    volume = head()
    volume[3, 4, 2] = np.nan
    return volume


WRONG = [
    (head((40, 20, 3)), OPTIONS, r"slices of \(40, 20\) do not fit into 32 x 32. Choose --size 40"),
    (head((8, 8, 3, 2)), OPTIONS, r"expected a volume \(y, x, slice\), got \(8, 8, 3, 2\)"),
    (head((8, 8, 3)), NiftiOptions(size=32, slices=(14, 134)), r"slices 14 to 134 were asked, the volume has 3"),
    (with_nan(), OPTIONS, r"NaN or Inf in 1 pixels"),
    (np.zeros((8, 8, 3), dtype=np.float32), OPTIONS, r"zero everywhere"),
]


@pytest.mark.parametrize(("values", "options", "message"), WRONG)
def test_what_is_no_volume_of_images_is_refused_with_file_and_shape(tmp_path, values, options, message):
    one = job(tmp_path, values)
    with pytest.raises(BadInput, match=message) as caught:
        convert_nifti(one, options)
    assert str(one.source) in str(caught.value)
    assert not list(tmp_path.glob("out/*")), "nothing is left behind"


@pytest.mark.parametrize("content", [b"", b"no nifti at all", None])
def test_torn_file_is_refused_by_name(tmp_path, content):
    one = job(tmp_path, head(), "torn.nii.gz")
    one.source.write_bytes(one.source.read_bytes()[:400] if content is None else content)
    with pytest.raises(BadInput, match=r"torn.nii.gz: cannot be read as NIfTI"):
        convert_nifti(one, OPTIONS)
