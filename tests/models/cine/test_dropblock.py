"""DropBlock: what is dropped are blocks, as often as asked, and the rest makes up for it."""

from __future__ import annotations

import pytest
import torch

from models.cine.dropblock import DropBlock, ramped


def dropped(layer: DropBlock, *shape: int) -> torch.Tensor:
    torch.manual_seed(0)
    return layer.train()(torch.ones(*shape)) == 0


@pytest.mark.parametrize("axes", [(True, True, True), (False, True, True), (True, False, True), (True, True, False)])
def test_zeros_are_made_of_whole_blocks_along_the_named_axes(axes):
    gone = dropped(DropBlock(keep_prob=0.97, block_size=3, axes=axes), 2, 3, 12, 13, 14)
    block = [3 if axis else 1 for axis in axes]
    # each zero lies in a block of zeros: opening with the block gives the zeros back
    windows = gone.float()
    for axis, length in enumerate(block, start=2):
        windows = windows.unfold(axis, length, 1).amin(dim=-1)
    opened = torch.zeros_like(gone)
    for index in windows.nonzero().tolist():
        opened[index[0], index[1], *(slice(start, start + length) for start, length in zip(index[2:], block, strict=True))] = True
    assert gone.any()
    assert torch.equal(opened, gone)


@pytest.mark.parametrize("keep_prob", [0.95, 0.9])
@pytest.mark.parametrize("axes", [(True, True, True), (False, True, True)])
def test_about_the_asked_part_is_kept(keep_prob, axes):
    part = dropped(DropBlock(keep_prob=keep_prob, block_size=5, axes=axes), 8, 16, 20, 32, 32).float().mean().item()
    # blocks overlap, so a little less is dropped than 1 - keep_prob
    assert 0.85 * (1 - keep_prob) < part < 1.02 * (1 - keep_prob)


def test_mean_stays_as_it_was():
    torch.manual_seed(0)
    layer = DropBlock(keep_prob=0.8, block_size=3)
    assert layer(torch.ones(4, 8, 9, 9, 9)).mean().item() == pytest.approx(1, rel=1e-5)


def test_channels_and_planes_are_drawn_one_by_one():
    gone = dropped(DropBlock(keep_prob=0.9, block_size=3, axes=(False, True, True)), 2, 2, 3, 16, 16)
    planes = gone.flatten(0, 2)
    assert all(not torch.equal(a, b) for i, a in enumerate(planes) for b in planes[:i])


@pytest.mark.parametrize("shape", [(1, 2, 1, 1, 1), (1, 2, 3, 2, 9)])
def test_axis_shorter_than_a_block_is_dropped_along_its_length(shape):
    torch.manual_seed(0)
    layer = DropBlock(keep_prob=0.5, block_size=5)
    for _ in range(20):
        assert torch.isfinite(layer(torch.ones(*shape))).all()


@pytest.mark.parametrize("layer", [DropBlock(keep_prob=1.0, block_size=3), DropBlock(keep_prob=0.5, block_size=3).eval()])
def test_nothing_is_dropped_in_evaluation_or_when_all_is_to_be_kept(layer):
    image = torch.randn(1, 2, 4, 5, 6)
    assert layer(image) is image


def test_gradient_passes_where_values_are_kept():
    torch.manual_seed(0)
    image = torch.ones(1, 2, 6, 8, 8, requires_grad=True)
    output = DropBlock(keep_prob=0.7, block_size=3)(image)
    output.sum().backward()
    torch.testing.assert_close(image.grad, output.detach())


def test_ramp_is_a_straight_line_from_one():
    assert [ramped(0.6, epoch=epoch, ramp_epochs=2) for epoch in (1, 2, 3, 4)] == pytest.approx([1, 0.8, 0.6, 0.6])
    assert ramped(0.6, epoch=1, ramp_epochs=0) == 0.6
