"""Knees: k-space, maps and images belong together, and the two contrasts differ as those of a scanner do."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from data.errors import BadInput
from data.kspace.coils import expand, reduce
from data.kspace.fourier import fftc, ifftc
from data.simulate.contrasts import KNEE_CONTRASTS, KNEE_TISSUES
from data.simulate.knee import contrast_of
from data.simulate.leg import draw_knee
from data.simulate.options import DATASETS, KneeSpec
from data.simulate.phantom import paint_slice
from tests.data.simulate.small_sets import ONE, make

SPEC = KneeSpec(size=(33, 31), oversampling=2.0, slices=2, coils=3, noise=0.0)


def volume(tmp_path, spec=SPEC, dataset="div_coronal_pd"):
    (path,) = (file.path for file in make("knee", tmp_path, {dataset: {"train": 1, "val": 0, "test": 0}}, spec))
    with h5py.File(path) as file:
        kspace, maps = (torch.from_numpy(file[key][()]) for key in ("kspace", "esp_maps"))
        return path.relative_to(tmp_path).as_posix(), kspace, maps, dict(file.attrs)


def test_file_has_the_layout_of_the_real_ones(tmp_path):
    path, kspace, maps, attributes = volume(tmp_path, dataset="div_coronal_pd_fs")
    assert path == "div_coronal_pd_fs/Train/div_coronal_pd_fs_train_0000.h5"
    assert kspace.shape == maps.shape == (2, 3, 66, 31)
    assert kspace.dtype == maps.dtype == torch.complex64
    assert attributes["acquisition"] == "CORPDFS_FBK"
    assert attributes["patient_id"] == "simulated-1-div_coronal_pd_fs-train-0"


def test_counts_are_those_of_each_dataset_and_split(tmp_path):
    counts = {"div_coronal_pd": {"train": 3, "val": 0, "test": 1}, "div_coronal_pd_fs": {"train": 1, "val": 2, "test": 0}}
    make("knee", tmp_path, counts, replace(SPEC, size=(17, 16), slices=1))
    found = {(name, split): len(list((tmp_path / name / split.capitalize()).glob("*.h5"))) for name, per in counts.items() for split in per}
    assert found == {(name, split): number for name, per in counts.items() for split, number in per.items()}


def test_combined_image_seen_by_the_maps_gives_kspace_back(tmp_path):
    """E R = 1 on the measured data, R being the adjoint of E: the maps are those that the coils have."""
    _, kspace, maps, _ = volume(tmp_path)
    image = reduce(ifftc(kspace), maps)
    again = fftc(expand(image, maps))
    assert torch.linalg.norm(again - kspace) < 0.05 * torch.linalg.norm(kspace)
    inner = (slice(None), slice(None), slice(20, 46))
    np.testing.assert_allclose(ifftc(again)[inner], ifftc(kspace)[inner], atol=1e-5 * float(image.abs().max()))


def test_file_says_the_largest_value_of_its_truth(tmp_path):
    (file,) = make("knee", tmp_path, {"pd": {"train": 1, "val": 0, "test": 0}}, replace(SPEC, noise=0.1))
    with h5py.File(file.path) as stored:
        coils = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(stored["kspace"][()], axes=(2, 3)), norm="ortho"), axes=(2, 3))
        truth = np.abs((coils * stored["esp_maps"][()].conj()).sum(axis=1))
        assert stored["esp_maps"].attrs["max_combined"] == pytest.approx(truth.max(), rel=1e-5)


def test_expand_and_reduce_are_adjoint_on_its_maps(tmp_path):
    _, kspace, maps, _ = volume(tmp_path, replace(SPEC, noise=0.1))
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.standard_normal(maps[:, 0].shape) + 1j * rng.standard_normal(maps[:, 0].shape))
    left = torch.vdot(fftc(expand(image, maps.to(image.dtype))).ravel(), kspace.to(image.dtype).ravel())
    right = torch.vdot(image.ravel(), reduce(ifftc(kspace.to(image.dtype)), maps.to(image.dtype)).ravel())
    assert abs(left - right) < 1e-10 * abs(left)


def test_maps_are_normalised_in_the_leg_and_zero_outside(tmp_path):
    _, _, maps, _ = volume(tmp_path)
    power = (maps.abs() ** 2).sum(dim=1)
    assert torch.all(((power - 1).abs() < 1e-5) | (power == 0))
    assert 0.3 < (power > 0).float().mean() < 0.95
    assert not power[:, :, 0].any()
    assert (power[:, 33, 10:20] > 0).all()


def test_fat_is_dark_and_fluid_bright_when_it_is_suppressed():
    plain, suppressed = ({name: KNEE_CONTRASTS[key](tissue) for name, tissue in KNEE_TISSUES.items()} for key in KNEE_CONTRASTS)
    assert plain["fat"] > plain["muscle"] > plain["meniscus"] > plain["cortex"]
    assert suppressed["fluid"] > suppressed["cartilage"] > 3 * suppressed["fat"]
    assert suppressed["bruise"] > 3 * suppressed["marrow"]
    assert [contrast_of(name) for name in DATASETS] == list(KNEE_CONTRASTS)


def test_both_contrasts_have_the_same_noise_though_not_the_same_signal(tmp_path):
    deviations, means = [], []
    for dataset in DATASETS:
        noisy, quiet = (volume(tmp_path / f"{dataset} {noise}", replace(SPEC, noise=noise), dataset)[1] for noise in (0.05, 0.0))
        scale = quiet.abs().max()
        deviations.append(float((noisy - quiet).abs().square().mean().sqrt()))
        means.append(float(quiet.abs().mean()))
        assert scale > 20 * deviations[-1]
    gain = 20 / 8  # the widest that two volumes can differ in
    assert 1 / gain < deviations[0] / deviations[1] < gain
    assert means[0] / deviations[0] > 1.5 * means[1] / deviations[1]


def test_knees_differ_and_their_slices_do():
    signals = {name: KNEE_CONTRASTS["CORPD_FBK"](tissue) for name, tissue in KNEE_TISSUES.items()}
    knees = [draw_knee(np.random.default_rng(seed)) for seed in range(4)]
    images = [paint_slice(knee, signals, z=z, size=(48, 40)) for knee in knees for z in (-0.3, 0.3)]
    assert len({image.tobytes() for image in images}) == 8
    for image in images:
        assert max(image[:, 0].max(), image[:, -1].max()) < 0.01 * image.max()  # the leg is narrower than the field of view
        assert image[0].max() > 0.2  # and longer
        assert image[24, 20] < signals["fat"]


@pytest.mark.parametrize(
    ("key", "value"), [("size", (8, 40)), ("coils", 0), ("slices", 0), ("noise", float("nan")), ("oversampling", 0.5), ("seed", -1)]
)
def test_impossible_options_are_refused_with_their_value(key, value):
    with pytest.raises(BadInput, match=f"--{key} is "):
        replace(SPEC, **{key: value})


def test_counts_of_one_dataset_leave_the_other_alone(tmp_path):
    small = replace(SPEC, size=(17, 16), slices=1)
    alone = make("knee", tmp_path / "alone", {"b_fs": ONE}, small)
    both = make("knee", tmp_path / "both", {"a": {**ONE, "train": 4}, "b_fs": ONE}, small)
    content = {file.path.name: file.path.read_bytes() for file in both}
    assert all(content[file.path.name] == file.path.read_bytes() for file in alone)
