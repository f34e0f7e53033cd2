"""The phantom: tissues differ, heads differ, coils are smooth, the truth fits k-space."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from data.errors import BadInput
from data.kspace.coils import rss
from data.kspace.crop import center_crop
from data.kspace.fourier import ifftc
from data.simulate.brain import simulate_volume
from data.simulate.coil_maps import draw_coil_maps
from data.simulate.contrasts import CONTRASTS, TISSUES
from data.simulate.head import draw_head, draw_tumour
from data.simulate.options import BrainSpec
from data.simulate.phantom import Blob, paint_slice

SPEC = BrainSpec(size=(33, 31), slices=2, coils=3)


def test_contrasts_order_the_tissues_as_a_radiologist_expects():
    t1, t2, flair = ({name: CONTRASTS[kind](tissue) for name, tissue in TISSUES.items()} for kind in ("AXT1", "AXT2", "AXFLAIR"))
    assert t1["white"] > t1["grey"] > t1["csf"]
    assert t2["csf"] > t2["grey"] > t2["white"]
    assert flair["lesion"] > flair["grey"] > 20 * flair["csf"]  # fluid is nulled


@pytest.mark.parametrize("size", [(33, 31), (64, 48), (16, 16)])
def test_truth_is_the_reconstruction_of_the_written_kspace(size):
    volume = simulate_volume(replace(SPEC, size=size), split="train", number=0)
    image = center_crop(rss(ifftc(torch.from_numpy(volume.kspace))), size)
    np.testing.assert_allclose(volume.target, image.numpy(), rtol=1e-5)
    assert (volume.kspace.dtype, volume.target.dtype, volume.target.shape) == (np.complex64, np.float32, (2, *size))


def test_columns_that_were_not_acquired_are_zero():
    volume = simulate_volume(replace(SPEC, padding=3), split="val", number=0)
    assert not volume.kspace[..., :3].any()
    assert not volume.kspace[..., -3:].any()
    assert volume.kspace[..., 3:-3].all()


def test_volumes_are_functions_of_seed_split_and_number():
    asked = [(1, "train", 0), (1, "train", 3), (1, "val", 0), (2, "train", 0)]
    volumes = [simulate_volume(replace(SPEC, seed=seed), split=split, number=number) for seed, split, number in asked]
    assert len({volume.target.tobytes() for volume in volumes}) == 4
    again = simulate_volume(SPEC, split="train", number=0)
    assert again.kspace.tobytes() == volumes[0].kspace.tobytes()


def test_head_lies_inside_the_image_and_its_slices_differ():
    signals = {name: CONTRASTS["AXT2"](tissue) for name, tissue in TISSUES.items()}
    head = draw_head(np.random.default_rng(0))
    low, high = (paint_slice(head, signals, z=z, size=(65, 48)) for z in (-0.4, 0.2))
    assert not np.allclose(low, high)
    for image in (low, high):
        assert image[0].max() == image[-1].max() == image[:, 0].max() == image[:, -1].max() == 0
        assert image[32, 24] > 0


@pytest.mark.parametrize("angle", [0.0, 0.7])
@pytest.mark.parametrize("radii", [(1, 0.3, 0.05), (1, 0.2, 0.3)])
def test_painting_a_blob_where_it_lies_leaves_out_none_of_it(angle, radii):
    blob = Blob(tissue="fat", center=(0, 0.8, -0.3), radii=radii, angle=angle, waves=((3, 0.2, 0.1), (4, 0.15, 0.7)))
    y, x = np.meshgrid(*(2.0 * (np.arange(length) - length // 2) / length for length in (41, 38)), indexing="ij")
    everywhere = blob.coverage(0, y, x, pixel=2 / 38)
    assert 0 < everywhere.sum() < 150
    np.testing.assert_array_equal(paint_slice([blob], {"fat": 1.0}, z=0, size=(41, 38)), everywhere)


def test_tumour_lies_within_the_brain_and_its_parts_within_each_other():
    rng = np.random.default_rng(4)
    for _ in range(20):
        head = draw_head(rng)
        tumour = draw_tumour(rng, head)
        signals = {blob.tissue: 0.0 for blob in head} | {"white": 1.0, "grey": 1.0, "oedema": 5.0, "tumour": 5.0, "necrosis": 5.0}
        z = tumour[0].center[0]
        inside = paint_slice(head[:5], signals, z=z, size=(96, 80)) > 0.5
        with_tumour = paint_slice((*head[:5], *tumour), signals, z=z, size=(96, 80)) > 3
        assert with_tumour.any()
        assert inside[with_tumour].all()


def test_coil_maps_are_normalised_smooth_and_different():
    maps = draw_coil_maps(4, (41, 38), np.random.default_rng(1))
    np.testing.assert_allclose((np.abs(maps) ** 2).sum(axis=0), 1)
    assert np.abs(np.diff(maps, axis=-1)).max() < 0.15
    overlap = np.abs(np.einsum("kyx,lyx->kl", maps.conj(), maps)) / (41 * 38)
    assert (overlap - np.diag(np.diag(overlap))).max() < 0.9 * np.diag(overlap).min()


def test_noise_has_the_asked_size():
    quiet, noisy = (simulate_volume(replace(SPEC, noise=noise, padding=0), split="train", number=0) for noise in (0.0, 0.05))
    difference = noisy.kspace - quiet.kspace
    head = quiet.target[quiet.target > 0.2 * quiet.target.max()].mean()
    assert np.sqrt((np.abs(difference) ** 2).mean()) == pytest.approx(0.05 * head, rel=0.3)


@pytest.mark.parametrize(
    ("key", "value"), [("size", (8, 40)), ("coils", 0), ("slices", 0), ("noise", float("nan")), ("padding", 20), ("oversampling", 0.5)]
)
def test_impossible_parameters_are_refused_with_their_value(key, value):
    with pytest.raises(BadInput, match=f"--{key} is "):
        replace(SPEC, **{key: value})
