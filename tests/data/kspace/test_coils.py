"""Expand, reduce, root of the sum of squares, and the crop."""

from __future__ import annotations

import pytest
import torch

from data.kspace.coils import expand, reduce, rss
from data.kspace.crop import center_crop


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("batch", "coils", "size"), [((), 1, (4, 4)), ((2,), 3, (5, 7)), ((2, 3), 4, (1, 5))])
def test_reduce_is_the_adjoint_of_expand(batch, coils, size):
    image, data, maps = draw(*batch, *size, seed=1), draw(*batch, coils, *size, seed=2), draw(*batch, coils, *size, seed=3)
    left = (expand(image, maps).conj() * data).sum()
    right = (image.conj() * reduce(data, maps)).sum()
    torch.testing.assert_close(left, right)


def test_reduce_undoes_expand_where_the_maps_are_normalised():
    maps = draw(3, 5, 7)
    maps = maps / rss(maps)
    image = draw(5, 7, seed=1)
    torch.testing.assert_close(reduce(expand(image, maps), maps), image)


def test_rss_is_the_norm_over_coils_for_complex_and_real_images():
    images = draw(2, 3, 5, 4)
    torch.testing.assert_close(rss(images), torch.linalg.vector_norm(images, dim=1))
    torch.testing.assert_close(rss(images.real), torch.linalg.vector_norm(images.real, dim=1))


@pytest.mark.parametrize(
    ("size", "crop", "expected"),
    [((8, 8), (4, 4), (4, 4)), ((9, 7), (4, 3), (4, 3)), ((8, 7), (3, 4), (3, 4)), ((5, 5), (9, 3), (5, 3)), ((4, 4), (4, 4), (4, 4))],
)
def test_crop_keeps_the_centre_in_the_centre(size, crop, expected):
    image = torch.zeros(2, *size)
    image[:, size[0] // 2, size[1] // 2] = 1
    cropped = center_crop(image, crop)
    assert cropped.shape == (2, *expected)
    assert cropped[0, expected[0] // 2, expected[1] // 2] == 1
