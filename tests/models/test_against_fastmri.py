"""The same outputs and gradients as the fastmri package with the same weights."""

from __future__ import annotations

from collections.abc import Callable

import fastmri.models as theirs
import pytest
import torch
from torch import nn

from data.kspace.fourier import fftc
from models.cascade import Cascade
from models.norm_unet import NormUnet
from models.unet import Unet
from models.varnet import EndToEndVarNet
from tests.models.package_weights import give_weights, their_name
from tests.models.samples import draw_sample


def real(values: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(values)


def assert_equal(
    ours: nn.Module, other: nn.Module, pools: int, run_ours: Callable[[], torch.Tensor], run_theirs: Callable[[], torch.Tensor]
):
    """Equal outputs within 1e-5 of the largest value, and equal gradients of all weights within 1e-4 of theirs."""
    found, expected = run_ours(), run_theirs()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * expected.abs().max().item())
    weighting = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    for output in (found, expected):
        (output * weighting).sum().backward()
    gradients = {name: weights.grad for name, weights in other.named_parameters()}
    for name, weights in ours.named_parameters():
        wanted = gradients[their_name(name, pools)]
        assert torch.linalg.vector_norm(weights.grad - wanted) <= 1e-4 * torch.linalg.vector_norm(wanted), name


@pytest.mark.parametrize(("size", "pools"), [((32, 32), 4), ((33, 47), 3), ((20, 18), 2)])
def test_unet_equals_that_of_the_package(size, pools):
    torch.manual_seed(0)
    ours, other = Unet(in_chans=2, out_chans=3, chans=4, pools=pools), theirs.Unet(2, 3, 4, pools)
    give_weights(ours, other, pools)
    image = torch.randn(2, 2, *size)
    assert_equal(ours, other, pools, lambda: ours(image), lambda: other(image))


@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_norm_unet_equals_that_of_the_package(size):
    torch.manual_seed(0)
    ours, other = NormUnet(chans=4, pools=3), theirs.NormUnet(4, 3)
    give_weights(ours, other, 3)
    image = torch.randn(2, *size, dtype=torch.complex64) * 1e-3
    assert_equal(ours, other, 3, lambda: real(ours(image)), lambda: other(real(image)[:, None])[:, 0])


def test_step_on_given_maps_equals_that_of_the_package():
    torch.manual_seed(0)
    ours, other = Cascade(chans=4, pools=2), theirs.VarNetBlock(theirs.NormUnet(4, 2))
    give_weights(ours, other, 2)
    sample = draw_sample(batch=2)
    kspace, mask = sample.kspace + fftc(torch.randn_like(sample.kspace)), sample.mask[:, None]
    assert_equal(
        ours,
        other,
        2,
        lambda: real(ours(kspace, sample.kspace, mask, sample.sens_maps)),
        lambda: other(real(kspace), real(sample.kspace), mask[..., None], real(sample.sens_maps)),
    )


@pytest.mark.parametrize(("size", "coils", "batch"), [((35, 38), 3, 1), ((48, 33), 4, 2)])
def test_end_to_end_network_equals_that_of_the_package(size, coils, batch):
    torch.manual_seed(0)
    ours = EndToEndVarNet(cascades=3, chans=4, pools=3, sens_chans=3, sens_pools=3)
    other = theirs.VarNet(3, 3, 3, 4, 3)
    give_weights(ours, other, 3)
    sample = draw_sample(batch=batch, coils=coils, size=size, crop=size)
    assert_equal(ours, other, 3, lambda: ours(sample).image, lambda: other(real(sample.kspace), sample.mask[:, None, :, :, None]))
