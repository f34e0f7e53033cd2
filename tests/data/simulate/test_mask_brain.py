"""Brains for the learning of masks: contrasts, noise and dipole coils follow their formulas, maps of tissues are read and checked."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from data.convert.array_files import write_split
from data.errors import BadInput
from data.simulate.coil_maps import dipole_maps
from data.simulate.mask_brain import draw_contrasts, drawn_images, to_kspace
from data.simulate.options import MaskBrainSpec
from tests.data.simulate.small_sets import make

ROOT = Path(__file__).parents[3]
SMALL = MaskBrainSpec(size=(19, 22), slices=3, first_slice=60, coils=3)
ONE = {"train": 2, "val": 1, "test": 1}


def to_images(kspace: np.ndarray) -> np.ndarray:
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))


def test_defaults_are_those_of_the_publication():
    spec = MaskBrainSpec()
    assert (spec.size, spec.coils, spec.noise_variance) == ((121, 145), 8, 1e-3)
    assert (spec.first_slice, spec.first_slice + spec.slices - 1) == (50, 89)


def test_contrasts_follow_their_formula_and_no_two_are_alike():
    contrasts = draw_contrasts(2000, np.random.default_rng(0))
    assert len(set(contrasts)) == 2000
    values = np.array(contrasts)
    assert (values[:, [3, 5]] == 0).all()
    signals = values[:, [0, 1, 2, 4]]
    np.testing.assert_array_equal(signals, np.round(signals, 1))
    assert (signals.min(), signals.max()) == (pytest.approx(0, abs=0.3), 20)
    # P(20 - 20 u^6 < 10) = 1 - 0.5^(1/6) = 0.1091; its deviation for 8,000 draws is 0.0035
    assert (signals < 10).mean() == pytest.approx(1 - 0.5 ** (1 / 6), abs=0.015)


def test_dipoles_have_the_field_of_the_formula_written_with_vectors():
    size = (7, 10)
    maps = dipole_maps(8, size)
    for coil, (row, column) in ((0, (0, 9)), (3, (6, 2)), (5, (3, 5))):
        angle = 2 * np.pi * coil / 8
        axis, tangent = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
        way = np.array([row - 3, column - 5]) - np.array(size) * axis
        r = np.linalg.norm(way)
        u, v = way @ axis / r, way @ tangent / r
        assert maps[coil, row, column] == pytest.approx((3 * u**2 - 1) / r**3 + 3j * u * v / r**3)
    # at the centre u is -1 for coils on the axes of the image: 2 / r^3
    assert maps[0, 3, 5] == pytest.approx(2 / 10**3)
    assert maps[2, 3, 5] == pytest.approx(2 / 7**3)


def test_coils_see_the_noisy_image_and_kspace_is_divided_by_its_largest_magnitude():
    images = np.random.default_rng(1).random((4, 15, 16))
    maps = 1e6 * dipole_maps(3, (15, 16))
    kspace = to_kspace(images, maps, 1e-3, np.random.default_rng(2))
    assert np.abs(kspace).max() == pytest.approx(1)
    seen = to_images(kspace) / maps
    np.testing.assert_allclose(seen, seen[:, :1].repeat(3, axis=1), rtol=1e-3)
    np.testing.assert_allclose(seen.imag, 0, atol=1e-4 * np.abs(seen).max())
    noisy = seen[:, 0].real
    noise = noisy * (images**2).sum() / (images * noisy).sum() - images
    assert noise.var() == pytest.approx(1e-3, rel=0.15)


def test_an_image_is_the_sum_of_its_tissues():
    def draw(contrast):
        return drawn_images(SMALL, contrast, np.random.default_rng(4))

    one, two = (3.0, 5.0, 0.0, 0.0, 1.0, 0.0), (0.0, 4.0, 9.0, 0.0, 2.0, 0.0)
    both = tuple(a + b for a, b in zip(one, two, strict=True))
    np.testing.assert_allclose(draw(one) + draw(two), draw(both), atol=1e-12)
    assert draw((1.0,) * 6).max() == pytest.approx(1)


def test_volumes_of_all_splits_differ_and_the_list_has_their_maxima(tmp_path):
    make("mask_brain", tmp_path, ONE, SMALL)
    listed = json.loads((tmp_path / "train.json").read_text())["volumes"]
    target = np.load(tmp_path / "train_target.npy")
    assert [volume["name"] for volume in listed] == ["brain_train_0000", "brain_train_0001"]
    assert [volume["maximum"] for volume in listed] == [pytest.approx(target[part].max()) for part in (slice(0, 3), slice(3, 6))]
    kspace = np.load(tmp_path / "train.npy")
    assert (kspace.shape, kspace.dtype) == ((6, 3, 19, 22), np.complex64)
    np.testing.assert_allclose(np.sqrt((np.abs(to_images(kspace)) ** 2).sum(axis=1)), target, atol=1e-5)


def test_bytes_do_not_depend_on_the_hash_seed(tmp_path):
    make("mask_brain", tmp_path / "here", ONE, SMALL)
    command = f"mask_brain --out {tmp_path / 'there'} --train 2 --val 1 --test 1 --size 19x22 --slices 3 --first-slice 60 --coils 3"
    environment = {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1", "PATH": ""}
    subprocess.run([sys.executable, "-m", "data.simulate", *command.split()], cwd=ROOT, env=environment, check=True, capture_output=True)
    here, there = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("here", "there"))
    assert len(here) == 9
    assert here == there


def write_maps(path: Path, values: np.ndarray) -> str:
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    return str(path)


def draw_maps(size=(19, 22), slices=64) -> np.ndarray:
    maps = np.random.default_rng(3).random((*size, slices, 6)).astype(np.float32)
    return maps / maps.sum(axis=3, keepdims=True)


def test_tissue_maps_of_a_file_are_weighed_by_the_contrast(tmp_path):
    maps = draw_maps()
    spec = replace(SMALL, noise_variance=0.0, tissue_maps=write_maps(tmp_path / "it's TPM.nii", maps))
    make("mask_brain", tmp_path / "out", ONE, spec)
    seen = np.abs(to_images(np.load(tmp_path / "out" / "train.npy"))[:3, 0] / dipole_maps(3, (19, 22))[0])
    tissues = np.stack([maps[:, :, 60:63, place].transpose(2, 0, 1).ravel() for place in (0, 1, 2, 4)], axis=1)
    found, left, *_ = np.linalg.lstsq(tissues, seen.ravel(), rcond=None)
    assert np.sqrt(left[0] / seen.size) < 1e-3 * seen.mean()
    ratios = 20 * found / found.max()
    assert (ratios > 0).all()


def test_another_file_of_maps_makes_another_data_set(tmp_path):
    path = tmp_path / "TPM.nii"
    spec = replace(SMALL, tissue_maps=write_maps(path, draw_maps()))
    make("mask_brain", tmp_path / "out", ONE, spec)
    assert all(file.kept for file in make("mask_brain", tmp_path / "out", ONE, spec))
    write_maps(path, draw_maps()[::-1])
    with pytest.raises(BadInput, match=r"was made otherwise \(tissue_maps "):
        make("mask_brain", tmp_path / "out", ONE, spec)


WRONG_MAPS = [
    (draw_maps()[..., :5], r"expected \(y, x, slice, tissue\) with 6 tissues, got \(19, 22, 64, 5\)"),
    (draw_maps(size=(22, 19)), r"its maps are of 22x19, --size asks for 19x22. Set --size 22x19"),
    (draw_maps(slices=61), r"has 61 slices, 60 to 62 were asked"),
    (-draw_maps(), r"holds NaN, Inf or negative numbers"),
]


@pytest.mark.parametrize(("values", "message"), WRONG_MAPS, ids=["tissues", "size", "slices", "signs"])
def test_wrong_maps_are_told(tmp_path, values, message):
    spec = replace(SMALL, tissue_maps=write_maps(tmp_path / "maps.nii", values))
    with pytest.raises(BadInput, match=message) as caught:
        make("mask_brain", tmp_path / "out", ONE, spec)
    assert str(caught.value).startswith(spec.tissue_maps)


def test_slices_of_air_and_bone_alone_are_refused(tmp_path):
    maps = np.zeros((19, 22, 64, 6), np.float32)
    maps[..., 3], maps[..., 5] = 0.25, 0.75
    spec = replace(SMALL, noise_variance=0.0, tissue_maps=write_maps(tmp_path / "maps.nii", maps))
    with pytest.raises(BadInput, match=r"slices 60 to 62 hold no tissue that gives a signal. Take others"):
        make("mask_brain", tmp_path / "out", ONE, spec)
    assert not (tmp_path / "out" / "train.npy").exists()


def test_what_is_no_nifti_is_told(tmp_path):
    (tmp_path / "maps.nii").write_text("no")
    with pytest.raises(BadInput, match=r"maps.nii: cannot be read as NIfTI"):
        make("mask_brain", tmp_path / "out", ONE, replace(SMALL, tissue_maps=str(tmp_path / "maps.nii")))


@pytest.mark.parametrize(
    ("key", "value"), [("slices", 62), ("first_slice", 121), ("coils", 0), ("noise_variance", -1.0), ("size", (9, 20))]
)
def test_impossible_options_are_refused_with_their_value(key, value):
    with pytest.raises(BadInput, match=f"--{key.replace('_', '-')} is "):
        replace(SMALL, **{key: value})


def test_volumes_with_other_coils_do_not_become_one_array(tmp_path):
    volumes = [(name, np.ones((2, coils, 9, 8), np.complex64)) for name, coils in (("one", 4), ("two", 3))]
    with pytest.raises(BadInput, match=r"of one is \(4, 9, 8\), of two \(3, 9, 8\); all volumes of a split need the same coils"):
        write_split(tmp_path / "train.npy", volumes, slices=4, about={})
    assert list(tmp_path.iterdir()) == []
