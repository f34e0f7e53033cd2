"""Variational networks for one task: the papers' formulas, any size, wrong samples told."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from data.errors import BadInput
from data.kspace.crop import center_crop
from data.kspace.fourier import ifftc
from models.varnet import EndToEndVarNet, UnrolledVarNet
from tests.models import plain
from tests.models.samples import draw_sample, to_double

SMALL = {"cascades": 2, "chans": 3, "pools": 2}


def unrolled() -> UnrolledVarNet:
    torch.manual_seed(0)
    return UnrolledVarNet(**SMALL)


def end_to_end() -> EndToEndVarNet:
    torch.manual_seed(0)
    return EndToEndVarNet(**SMALL, sens_chans=2, sens_pools=2)


def test_unrolled_network_follows_the_formula():
    model, sample = unrolled().double(), to_double(draw_sample(batch=2))
    for number, cascade in enumerate(model.cascades):
        cascade.eta.data.fill_(0.5 + number)
    weights, kspace = dict(model.named_parameters()), sample.kspace
    for number in range(2):
        own = plain.below(weights, f"cascades.{number}")
        network = partial(plain.unet, weights=plain.below(own, "regulariser.unet"), pools=2)
        kspace = plain.step(kspace, sample.kspace, sample.mask, sample.sens_maps, own["eta"], network)
    expected = (plain.transform(kspace, +1) * sample.sens_maps.conj()).sum(dim=1)
    found = model(sample)
    torch.testing.assert_close(found.kspace, kspace, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(found.complex_image, center_crop(expected, sample.size), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(found.image, found.complex_image.abs())


def test_network_of_twelve_cascades_has_as_many_parameters_as_the_paper():
    count = sum(weights.numel() for weights in EndToEndVarNet().parameters())
    assert count == 29_936_966  # the paper: 29.9 to 30.1 million
    assert sum(weights.numel() for weights in UnrolledVarNet().parameters()) == 12 * (2_454_338 + 1)


@pytest.mark.parametrize("make", [unrolled, end_to_end])
@pytest.mark.parametrize(("size", "crop", "coils"), [((33, 31), (33, 31), 1), ((48, 17), (40, 20), 3), ((16, 40), (15, 15), 2)])
def test_any_size_and_number_of_coils_gives_images_of_the_size_of_the_target(make, size, crop, coils):
    sample = draw_sample(batch=2, coils=coils, size=size, crop=crop)
    found = make()(sample)
    assert found.image.shape == sample.target.shape
    assert found.scale.shape == (2,)
    assert torch.isfinite(found.image).all()


@pytest.mark.parametrize("make", [unrolled, end_to_end])
def test_gradients_reach_every_parameter(make):
    model = make()
    model(draw_sample()).image.square().sum().backward()
    untouched = [name for name, weights in model.named_parameters() if not weights.grad.any()]
    assert untouched == ["cascades.0.eta"]  # the first step starts from what was measured: there is nothing to make consistent


@pytest.mark.parametrize("make", [unrolled, end_to_end])
def test_reconstruction_follows_the_scale_of_kspace(make):
    model, sample = make().eval(), draw_sample(batch=2)
    quieter, louder = (model(sample._replace(kspace=sample.kspace * factor)) for factor in (1e-5, 1.0))
    torch.testing.assert_close(quieter.image * 1e5, louder.image, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(quieter.scale * 1e5, louder.scale, rtol=1e-3, atol=0)


@pytest.mark.parametrize("make", [unrolled, end_to_end])
def test_nan_in_one_slice_leaves_the_others_of_the_batch_alone(make):
    model, sample = make().eval(), draw_sample(batch=2)
    expected = model(sample).image[1]
    sample.kspace[0, 0, 3, sample.mask[0, 0].nonzero()[0, 0]] = torch.nan
    found = model(sample).image
    assert found[0].isnan().any()
    torch.testing.assert_close(found[1], expected)


@pytest.mark.parametrize("make", [unrolled, end_to_end])
@pytest.mark.parametrize("out", ["drawn", "zero"])
def test_empty_slice_gives_finite_images_and_gradients(make, out):
    model, sample = make(), draw_sample()
    for name, weights in model.named_parameters():
        if out == "zero" and ".out." in name:
            torch.nn.init.zeros_(weights)
    found = model(sample._replace(kspace=torch.zeros_like(sample.kspace)))
    found.image.sum().backward()
    assert torch.isfinite(found.image).all()
    assert all(torch.isfinite(weights.grad).all() for weights in model.parameters())


def test_without_a_regulariser_data_consistency_alone_keeps_the_measured_kspace():
    model, sample = unrolled().double(), to_double(draw_sample())
    for cascade in model.cascades:
        cascade.regulariser = torch.nn.Identity()
        cascade.regulariser.forward = torch.zeros_like
    torch.testing.assert_close(model(sample).kspace, sample.kspace)


def test_masks_of_points_are_taken_as_masks_of_columns_are():
    model, sample = end_to_end().eval(), draw_sample(batch=2)
    points = sample.mask.expand(-1, sample.kspace.shape[-2], -1)
    torch.testing.assert_close(model(sample._replace(mask=points)).image, model(sample).image)


def test_end_to_end_image_is_the_root_of_the_sum_of_squares_of_the_predicted_kspace():
    sample = draw_sample()
    found = end_to_end()(sample)
    expected = ifftc(found.kspace).abs().square().sum(dim=1).sqrt()
    torch.testing.assert_close(found.image, center_crop(expected, sample.size))


def test_missing_and_ill_fitting_maps_are_told_with_their_shapes():
    sample = draw_sample(coils=2)
    with pytest.raises(BadInput, match=r"expected sens_maps \(1, 2, 35, 38\), the data hold none.*e2e_varnet"):
        unrolled()(sample._replace(sens_maps=None))
    with pytest.raises(BadInput, match=r"expected sens_maps \(1, 2, 35, 38\) .*got \(1, 1, 35, 38\)"):
        unrolled()(sample._replace(sens_maps=sample.sens_maps[:, :1]))
