"""Cine U-Nets: each convolution plane by plane, sizes, widths, the residual, what regularises."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.cine.dropblock import DropBlock
from models.cine.regularisation import SeenAxesNorm
from models.cine.unet import KERNELS, CineUnet, Stage, UpStage
from models.regularisation_config import (
    BatchNorm,
    DropBlocks,
    Dropout,
    InstanceNorm,
    L1L2Regularisation,
    L1Regularisation,
    L2Regularisation,
    NoRegularisation,
)
from tests.models.samples import draw_cine

NONE = NoRegularisation()
EACH = [NONE, L1Regularisation(), L2Regularisation(), L1L2Regularisation(), BatchNorm(), InstanceNorm(), Dropout(), DropBlocks()]


def make(kind: str = "unet2d2d", **changed: object) -> CineUnet:
    torch.manual_seed(0)
    return CineUnet(KERNELS[kind], **{"regularisation": NONE, "chans": 2, "pools": 2, **changed})


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def stages(kind: str, **changed: object) -> list[Stage]:
    torch.manual_seed(0)
    options = {"regularisation": NONE, "regularise_last": False, **changed}
    first, second = KERNELS[kind]
    return [Stage(2, 3, first, **options).double(), Stage(3, 3, second, **options).double()]


def weights(stage: Stage, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    return stage[0].weight.reshape(*stage[0].weight.shape[:2], *shape), stage[0].bias


def test_planes_and_time_is_each_frame_then_each_pixel():
    first, second = stages("unet2d1d")
    image = draw(2, 2, 5, 6, 7)
    frames = torch.stack([F.conv2d(image[:, :, t], *weights(first, 3, 3), padding=1).relu() for t in range(5)], dim=2)
    torch.testing.assert_close(first(image), frames)
    expected = torch.empty_like(frames)
    for y in range(6):
        for x in range(7):
            expected[:, :, :, y, x] = F.conv1d(frames[:, :, :, y, x], *weights(second, 3), padding=1).relu()
    torch.testing.assert_close(second(first(image)), expected)


def test_two_planes_are_x_with_time_for_each_y_then_y_with_time_for_each_x():
    first, second = stages("unet2d2d")
    image = draw(2, 2, 5, 6, 7)
    rows = torch.stack([F.conv2d(image[:, :, :, y], *weights(first, 3, 3), padding=1).relu() for y in range(6)], dim=3)
    torch.testing.assert_close(first(image), rows)
    columns = torch.stack([F.conv2d(rows[..., x], *weights(second, 3, 3), padding=1).relu() for x in range(7)], dim=4)
    torch.testing.assert_close(second(first(image)), columns)


@pytest.mark.parametrize("length", [2, 3])
def test_transposed_convolution_is_the_adjoint_of_one_that_halves_y_and_x(length):
    up = UpStage(2, 3, length, regularisation=NONE, regularise_last=False).double()
    nn.init.zeros_(up.convolution.bias)
    low, high = draw(1, 2, 5, 3, 4), draw(1, 3, 5, 6, 8)
    up.after = nn.Identity()
    # what "same" padding means: all of the missing size at the end, but for an odd kernel along time, where it is on both sides
    padded = F.pad(high, (0, 1, 0, 1, 1, 1) if length == 3 else (0, 0, 0, 0, 0, 1))
    halved = F.conv3d(padded, up.convolution.weight, stride=(1, 2, 2))
    assert halved.shape == low.shape
    torch.testing.assert_close((halved * low).sum(), (high * up(low, high)).sum())


def test_whole_network_puts_blocks_pools_and_skips_together():
    model, sample = make("unet3d").double(), draw_cine(size=(6, 7))
    image = sample.image.double()[:, None]
    top = model.down[0](image)
    below = model.down[1](F.max_pool3d(top, (1, 2, 2), ceil_mode=True))
    bottom = model.bottom(F.max_pool3d(below, (1, 2, 2), ceil_mode=True))
    assert [tuple(each.shape) for each in (top, below, bottom)] == [(1, 2, 5, 6, 7), (1, 4, 5, 3, 4), (1, 8, 5, 2, 2)]
    merged = model.merge[0](torch.cat([below, model.up[0](bottom, below)], dim=1))
    merged = model.merge[1](torch.cat([top, model.up[1](merged, top)], dim=1))
    expected = (image + F.conv3d(merged, model.out[0].weight, model.out[0].bias, padding=1)).relu()
    torch.testing.assert_close(model(sample._replace(image=image[:, 0])).image, expected[:, 0])


def count(model: nn.Module) -> int:
    return sum(weights.numel() for weights in model.parameters())


@pytest.mark.parametrize(("kind", "first", "second"), [("unet3d", 27, 27), ("unet2d1d", 9, 3), ("unet2d2d", 9, 9)])
@pytest.mark.parametrize("up", [2, 3])
def test_published_widths_give_the_parameters_of_their_kernels(kind, first, second, up):
    widths = [32, 64, 128, 256, 512]
    down = sum((first * a + second * b) * b + 2 * b for a, b in zip([1, *widths[:-1]], widths, strict=True))
    ups = sum(up**3 * 2 * w * w + w + (first * 2 * w + second * w) * w + 2 * w for w in widths[:-1])
    assert count(CineUnet(KERNELS[kind], regularisation=NONE, up_kernel=up)) == down + ups + 27 * 32 + 1


def test_two_planes_have_about_a_third_of_the_parameters_of_volumes():
    sizes = {kind: count(CineUnet(kernels, regularisation=NONE)) for kind, kernels in KERNELS.items()}
    assert sizes == {"unet3d": 22_576_161, "unet2d1d": 5_839_329, "unet2d2d": 8_456_673}
    assert 0.33 < sizes["unet2d2d"] / sizes["unet3d"] < 0.38


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("up", [2, 3])
@pytest.mark.parametrize(("frames", "size"), [(1, (1, 1)), (5, (17, 20)), (4, (8, 3))])
def test_any_size_and_number_of_frames_comes_back_as_it_went_in(kind, up, frames, size):
    sample = draw_cine(batch=2, frames=frames, size=size)
    found = make(kind, up_kernel=up)(sample)
    assert found.image.shape == (2, frames, *size)
    assert found.scale.tolist() == [1, 1]


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("regularisation", EACH, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("last", [False, True])
def test_gradients_reach_every_parameter_whatever_regularises(kind, regularisation, last):
    model = make(kind, regularisation=regularisation, regularise_last=last)
    found = model(draw_cine(batch=2))
    found.image.square().sum().backward()
    assert torch.isfinite(found.image).all()
    missing = [name for name, each in model.named_parameters() if each.grad is None or not torch.isfinite(each.grad).all()]
    assert missing == []
    assert all(each.grad.any() for name, each in model.named_parameters() if name.endswith("weight") and each.dim() > 2)


def test_first_kernels_are_drawn_within_glorots_bounds_and_biases_are_zero():
    for module in make("unet3d", chans=8).modules():
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            bound = (6 / (module.weight[0, 0].numel() * (module.in_channels + module.out_channels))) ** 0.5
            assert 0.9 * bound < module.weight.abs().max() <= bound
            assert not module.bias.any()


def test_signed_residual_darkens_and_the_published_one_cannot():
    sample = draw_cine()
    for residual, darkens in (("signed", True), ("relu", False)):
        model = make(residual=residual)
        nn.init.constant_(model.out[0].bias, -0.05)
        nn.init.zeros_(model.out[0].weight)
        found = model(sample).image
        assert found.min() >= 0
        assert bool((found < sample.image).any()) is darkens


@pytest.mark.parametrize(
    ("regularisation", "layer", "expected"),
    [
        (BatchNorm(), nn.BatchNorm3d, 13),  # 5 blocks of two, 2 transposed, the last
        (InstanceNorm(), SeenAxesNorm, 13),
        (Dropout(drop_prob=0.3), nn.Dropout, 13),
        (DropBlocks(), DropBlock, 8),  # not after the five along time
        (L2Regularisation(), (nn.BatchNorm3d, SeenAxesNorm, nn.Dropout, DropBlock), 0),
    ],
)
def test_every_convolution_is_followed_by_its_layer(regularisation, layer, expected):
    model = make("unet2d1d", regularisation=regularisation)
    assert sum(isinstance(module, layer) for module in model.modules()) == expected


def test_layers_stand_before_or_after_the_relu():
    first, _ = stages("unet3d", regularisation=BatchNorm())
    last, _ = stages("unet3d", regularisation=BatchNorm(), regularise_last=True)
    assert [type(layer) for layer in first] == [nn.Conv3d, nn.BatchNorm3d, nn.ReLU]
    assert [type(layer) for layer in last] == [nn.Conv3d, nn.ReLU, nn.BatchNorm3d]


def test_layers_that_draw_are_silent_in_evaluation():
    for regularisation in (Dropout(), DropBlocks(keep_prob=0.5)):
        model, sample = make(regularisation=regularisation), draw_cine()
        assert not torch.equal(model(sample).image, model(sample).image)
        model.eval()
        assert torch.equal(model(sample).image, model(sample).image)


def test_penalty_counts_kernels_and_nothing_else():
    model = make(regularisation=L1L2Regularisation(l1=0.5, l2=2.0))
    kernels = [module.weight for module in model.modules() if isinstance(module, nn.Conv3d | nn.ConvTranspose3d)]
    assert len(kernels) == 13
    expected = sum(0.5 * each.abs().sum() + 2 * each.square().sum() for each in kernels)
    torch.testing.assert_close(model.penalty(), expected)
    model.penalty().backward()
    assert all(module.bias.grad is None for module in model.modules() if isinstance(module, nn.Conv3d))
    assert make(regularisation=BatchNorm()).penalty() == 0
    only = make(regularisation=L1Regularisation(l1=1.0)).penalty()
    torch.testing.assert_close(only, sum(each.abs().sum() for each in kernels))


def test_keep_probability_follows_the_epoch():
    model = make(regularisation=DropBlocks(keep_prob=0.8, ramp_epochs=4))
    seen = []
    for epoch in (1, 2, 3, 5, 9, 3):  # back to 3: a resumed run
        model.begin_epoch(epoch)
        seen.append({module.keep_prob for module in model.modules() if isinstance(module, DropBlock)})
    assert [pytest.approx(min(each)) for each in seen] == [1.0, 0.95, 0.9, 0.8, 0.8, 0.9]
    assert all(len(each) == 1 for each in seen)


def test_nan_in_one_series_leaves_the_others_of_the_batch_alone():
    model, sample = make().eval(), draw_cine(batch=2)
    expected = model(sample).image[1]
    sample.image[0, 0, 0, 0] = torch.nan
    torch.testing.assert_close(model(sample).image[1], expected)
