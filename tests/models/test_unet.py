"""The U-Net: the baseline's architecture, any size, and one slice learnt by heart."""

from __future__ import annotations

import pytest
import torch

from data.errors import BadInput
from data.kspace.description import MaskDescription
from data.kspace.masks import draw
from data.volumes.loading import Sample, SliceDataset, stack_samples
from data.volumes.sampling import Pick
from data.volumes.splits import read_folder
from models.losses import LOSSES
from models.unet import LARGEST_DEVIATION, Unet, ZeroFilledUnet, normalise_instance


def one_batch(brains, size: int = 1) -> Sample:
    mask = MaskDescription(kind="equispaced", center_fraction=0.1, acceleration=3)
    slices = SliceDataset(read_folder(brains / "train"), lambda size, acquired, rng: draw(mask, size, rng, acquired=acquired))
    return stack_samples([slices[Pick(0, item)] for item in range(size)])


@pytest.mark.parametrize(("chans", "pools", "expected"), [(32, 4, 7_756_097), (8, 3, 120_273)])
def test_network_has_as_many_parameters_as_the_baseline(chans, pools, expected):
    # with the 32 channels and 4 poolings of the fastMRI paper: 7,756,097
    assert sum(weights.numel() for weights in Unet(chans=chans, pools=pools).parameters()) == expected


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (33, 8), (9, 16), (21, 40)])
def test_any_size_comes_back_as_it_went_in(size):
    network = Unet(in_chans=2, out_chans=3, chans=2, pools=3)
    output = network(torch.randn(1, 2, *size))
    assert output.shape == (1, 3, *size)
    output.sum().backward()
    assert all(weights.grad is not None for weights in network.parameters())


@pytest.mark.parametrize("size", [(7, 64), (8, 8), (1, 1)])
def test_image_that_is_too_small_is_told_the_way_out(size):
    with pytest.raises(BadInput, match=r"at least 8, .*Lower model.pools"):
        Unet(chans=2, pools=3)(torch.zeros(1, 1, *size))


def test_reconstruction_follows_the_scale_of_kspace(brains):
    torch.manual_seed(0)
    model, sample = ZeroFilledUnet(chans=2, pools=2).eval(), one_batch(brains, 2)
    louder = sample._replace(kspace=sample.kspace * 1000)
    torch.testing.assert_close(model(louder).image, model(sample).image * 1000, rtol=1e-3, atol=0)
    assert model(sample).image.shape == sample.target.shape


def test_normalised_image_has_mean_zero_and_deviation_one():
    image = torch.rand(3, 5, 7) * torch.tensor([1.0, 1e-3, 1e3])[:, None, None] + 2
    normalised, mean, std = normalise_instance(image.double())
    torch.testing.assert_close(normalised.std(dim=(-2, -1)), torch.ones(3).double())
    torch.testing.assert_close(normalised * std + mean, image.double())
    empty, _, _ = normalise_instance(torch.zeros(1, 4, 4))
    assert empty.abs().max() == 0 < LARGEST_DEVIATION


@pytest.mark.parametrize("kind", ["l1", "mae", "mse", "ssim"])
def test_one_slice_can_be_learnt_by_heart(brains, kind):
    torch.manual_seed(0)
    model, sample = ZeroFilledUnet(chans=8, pools=2), one_batch(brains)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = LOSSES[kind](model(sample), sample).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
