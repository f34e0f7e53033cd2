"""Mirrored slices: the image of mirrored k-space is the mirrored image, to the pixel, at odd and even sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data.kspace.coils import reduce, rss
from data.kspace.crop import center_crop
from data.kspace.description import MaskDescription
from data.kspace.fourier import ifftc
from data.kspace.masks import Mask, draw
from data.volumes.cine import SeriesDataset
from data.volumes.description import CineData, KneeData, PairedData
from data.volumes.flips import flip_acquired, flip_columns, flip_pixels
from data.volumes.layouts import open_splits
from data.volumes.loading import SliceDataset
from data.volumes.sampling import Pick
from data.volumes.volume import Pixels
from tests.data.volumes.written import draw_image, draw_knee, rng_of, write_cine, write_knees, write_pairs

EVERYTHING = MaskDescription(acceleration=1, center_fraction=0)


def pixels_of(size: tuple[int, int], crop: tuple[int, int]) -> Pixels:
    stored = draw_knee(0, slices=1, size=size)
    kspace, maps = torch.from_numpy(stored["kspace"][0]), torch.from_numpy(stored["esp_maps"][0])
    image = center_crop(reduce(ifftc(kspace), maps), crop)
    grappa = np.abs(draw_image(rng_of(9), 1, crop)[0])
    return Pixels(kspace=kspace.numpy(), target=image.abs().numpy(), complex_target=image.numpy(), sens_maps=maps.numpy(), grappa=grappa)


@pytest.mark.parametrize("size", [(33, 27), (34, 28), (33, 28)])
@pytest.mark.parametrize("crop", [(20, 17), (21, 18), (27, 27)])
@pytest.mark.parametrize("axes", [(-1,), (-2,), (-2, -1)])
def test_everything_shows_the_mirrored_image(size, crop, axes):
    plain = pixels_of(size, crop)
    flipped = flip_pixels(plain, axes)
    image = center_crop(reduce(ifftc(torch.from_numpy(flipped.kspace)), torch.from_numpy(flipped.sens_maps)), crop).numpy()
    np.testing.assert_allclose(image, np.flip(plain.complex_target, axes), atol=2e-6)
    np.testing.assert_allclose(flipped.complex_target, np.flip(plain.complex_target, axes))
    np.testing.assert_allclose(flipped.target, np.flip(plain.target, axes))
    np.testing.assert_allclose(flipped.grappa, np.flip(plain.grappa, axes))
    coils = center_crop(rss(ifftc(torch.from_numpy(flipped.kspace))), crop).numpy()
    np.testing.assert_allclose(coils, np.flip(center_crop(rss(ifftc(torch.from_numpy(plain.kspace))), crop).numpy(), axes), atol=2e-6)


@pytest.mark.parametrize("width", [9, 10])
def test_columns_are_mirrored_about_the_centre_of_kspace(width):
    columns = np.zeros(width, bool)
    columns[[1, width // 2, width // 2 + 1]] = True
    expected = {2 * (width // 2) - 1, width // 2, width // 2 - 1}
    assert set(np.flatnonzero(flip_columns(columns))) == {place for place in expected if place < width}
    assert flip_acquired((0, width), width) == (0, width)
    inside = np.zeros(width, bool)
    inside[slice(*flip_acquired((3, 8), width))] = True
    acquired = np.zeros(width, bool)
    acquired[3:8] = True
    np.testing.assert_array_equal(inside, flip_columns(acquired))


def everything(size: tuple[int, int], acquired: slice, rng: np.random.Generator) -> Mask:
    return draw(EVERYTHING, size, rng, acquired=acquired)


def test_training_slices_are_mirrored_as_seed_epoch_and_slice_say(tmp_path):
    train = open_splits(KneeData(root=str(write_knees(tmp_path, {"pd": 1})), datasets=("pd",), crop=(20, 18))).train
    plain, mirrored = SliceDataset(train, everything, seed=1), SliceDataset(train, everything, seed=1, flips=True)
    seen = set()
    for epoch in range(12):
        truth, found = plain[Pick(epoch, 0)], mirrored[Pick(epoch, 0)]
        assert torch.equal(found.mask, plain[Pick(epoch, 0)].mask)
        seen |= {axes for axes in ((), (-1,), (-2,), (-2, -1)) if torch.equal(found.target, truth.target.flip(axes))}
        assert torch.equal(found.target, mirrored[Pick(epoch, 0)].target)
    assert len(seen) == 4
    fixed = SliceDataset(train, everything, flips=True)
    assert torch.equal(fixed[Pick(3, 0)].target, plain[Pick(3, 0)].target)


def test_masks_of_files_are_mirrored_with_their_kspace(tmp_path):
    train = open_splits(PairedData(root=str(write_pairs(tmp_path)))).train
    mirrored = SliceDataset(train, everything, seed=1, flips=True)
    masks = set()
    for epoch in range(12):
        sample = mirrored[Pick(epoch, 0)]
        sampled = sample.kspace.abs().sum(dim=(0, 1)) > 0
        assert torch.equal(sampled, sample.mask[0])
        masks.add(sampled.numpy().tobytes())
    assert len(masks) == 2


def test_series_are_mirrored_with_their_truth(tmp_path):
    train = open_splits(CineData(root=str(write_cine(tmp_path)))).train
    plain, mirrored = SeriesDataset(train), SeriesDataset(train, seed=2, flips=True)
    truth = plain[Pick(0, 1)]
    seen = set()
    for epoch in range(12):
        found = mirrored[Pick(epoch, 1)]
        (axes,) = (axes for axes in ((), (-1,), (-2,), (-2, -1)) if torch.equal(found.target, truth.target.flip(axes)))
        assert torch.equal(found.image, truth.image.flip(axes))
        seen.add(axes)
    assert len(seen) == 4
