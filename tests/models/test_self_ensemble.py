"""Self-ensemble: transforms that are undone, and means over them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.model_config import ENSEMBLES
from models.self_ensemble import TRANSFORMS, self_ensemble

IMAGES = torch.arange(2 * 3 * 5 * 4, dtype=torch.double).reshape(2, 3, 5, 4)


def test_names_of_the_config_are_those_of_the_transforms():
    assert tuple(TRANSFORMS) == ENSEMBLES


@pytest.mark.parametrize("name", TRANSFORMS)
def test_way_back_undoes_the_way_there(name):
    there, back = TRANSFORMS[name]
    assert torch.equal(back(there(IMAGES)), IMAGES)


def test_with_the_image_as_it_is_they_are_the_eight_symmetries_of_a_square():
    square = torch.arange(9).reshape(3, 3)
    moved = {tuple(there(square).flatten().tolist()) for there, _ in TRANSFORMS.values()}
    assert len(moved | {tuple(range(9))}) == 8
    y, x = torch.meshgrid(torch.arange(3) - 1, torch.arange(3) - 1, indexing="ij")
    for there, _ in TRANSFORMS.values():
        assert torch.equal(there(y**2 + x**2), y**2 + x**2)


@pytest.mark.parametrize("names", [(), ("flip_x",), ENSEMBLES])
def test_of_a_network_that_commutes_with_all_of_them_it_is_the_network_itself(names):
    def network(images: Tensor) -> Tensor:
        neighbours = sum(images.roll(shift, dims=axis) for shift in (-1, 1) for axis in (-2, -1))
        return (images.square() - neighbours).sum(dim=1, keepdim=True)

    torch.testing.assert_close(self_ensemble(network, IMAGES, names), network(IMAGES))


def test_of_a_network_that_darkens_to_the_right_it_is_the_mean_of_both_sides():
    ramp = torch.tensor([1.0, 0.5, 0.25, 0.0], dtype=torch.double)
    found = self_ensemble(lambda images: images * ramp, IMAGES, ("flip_x",))
    torch.testing.assert_close(found, IMAGES * torch.tensor([0.5, 0.375, 0.375, 0.5]))


def test_turned_images_reach_the_network_with_y_and_x_exchanged():
    seen: list[tuple[int, ...]] = []

    def network(images: Tensor) -> Tensor:
        seen.append(tuple(images.shape[-2:]))
        return images

    self_ensemble(network, IMAGES, ("turn_90", "turn_180", "transpose"))
    assert seen == [(5, 4), (4, 5), (5, 4), (4, 5)]
