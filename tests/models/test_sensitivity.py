"""Learned sensitivities: which k-space they see, and their norm."""

from __future__ import annotations

import pytest
import torch

from models.sensitivity import SensitivityNet, calibration_region, central_run, normalise_maps
from tests.models.samples import draw_sample


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1..1111..1", "...1111..."),  # 2 left of the centre (place 5), 2 from it on
        ("1.111111.1", "..111111.."),
        ("..1111111.", "..111111.."),  # 3 to the left, 4 from the centre on: the smaller side counts
        ("1.......11", ".....1...."),  # a gap at the centre: the centre alone
        ("..11111..", "...1111.."),  # odd: place 4 is the centre, 3 to 6
        ("1111111111", "1111111111"),
        ("111111111", "111111111"),
        (".", "1"),
    ],
)
def test_calibration_lines_are_the_even_run_through_the_centre(line, expected):
    found = central_run(torch.tensor([[place == "1" for place in line]]))
    assert "".join("1" if place else "." for place in found[0].tolist()) == expected


def test_calibration_of_points_is_the_rectangle_of_the_runs_along_both_axes():
    mask = torch.zeros(1, 9, 12, dtype=torch.bool)
    mask[0, 2:7, 4:8] = True  # of 9 rows with centre 4: 2 before it, 3 from it on, so rows 3 to 6
    mask[0, 0, 0] = mask[0, 8, 11] = True
    region = calibration_region(mask)
    assert region.shape == (1, 1, 9, 12)
    assert region.sum() == 4 * 4
    assert region[0, 0, 3:7, 4:8].all()


def test_each_mask_of_a_batch_has_its_own_calibration_columns():
    masks = torch.zeros(2, 1, 10, dtype=torch.bool)
    masks[0, :, 3:7] = masks[1, :, 4:6] = True
    assert calibration_region(masks).shape == (2, 1, 1, 10)
    assert calibration_region(masks).sum(dim=(1, 2, 3)).tolist() == [4, 2]


def test_maps_have_norm_one_and_depend_on_the_centre_alone():
    torch.manual_seed(0)
    model, sample = SensitivityNet(chans=2, pools=2), draw_sample(batch=2, coils=4)
    maps = model(sample.kspace, sample.mask)
    torch.testing.assert_close(maps.abs().square().sum(dim=1), torch.ones(2, 35, 38))
    outside = torch.where(calibration_region(sample.mask), sample.kspace, 7 * sample.kspace)
    torch.testing.assert_close(model(outside, sample.mask), maps)


def test_coils_one_by_one_give_the_same_maps():
    torch.manual_seed(0)
    model, sample = SensitivityNet(chans=2, pools=2), draw_sample(batch=2)
    together = model(sample.kspace, sample.mask)
    seen: list[int] = []
    model.norm_unet.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    torch.testing.assert_close(model(sample.kspace, sample.mask, recompute=True), together)
    assert seen == [1] * 2 * 3


def test_maps_of_nothing_are_zero_with_a_finite_gradient():
    maps = torch.zeros(1, 2, 3, 3, dtype=torch.complex64, requires_grad=True)
    normalised = normalise_maps(maps)
    normalised.abs().sum().backward()
    assert normalised.abs().max() == 0
    assert torch.isfinite(maps.grad).all()
