"""What tasks share in each of the four blocks: by identity of parameters, by gradients, by formula."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from data.errors import BadInput
from models.multitask.attention import AttentionUnet, Gate
from models.multitask.blocks import BLOCKS, AttentionShare, MultiHeadShare, Split, TrueShare
from models.unet import Unet
from tests.models import plain

SMALL = {"tasks": 3, "chans": 2, "pools": 2, "drop_prob": 0.0}


def make(letter: str, **changed: object) -> nn.Module:
    torch.manual_seed(0)
    return BLOCKS[letter](**{**SMALL, **changed}).double()


def image(*size: int) -> torch.Tensor:
    return torch.randn(2, 2, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def touched(block: nn.Module, task: int) -> set[int]:
    """Return the identities of the parameters that a step of one task moves."""
    block.zero_grad(set_to_none=True)
    block(image(16, 16), task).square().sum().backward()
    return {id(weights) for weights in block.parameters() if weights.grad is not None}


def test_trueshare_shares_all_parameters():
    block = make("I")
    assert touched(block, 0) == touched(block, 1) == touched(block, 2) == {id(weights) for weights in block.parameters()}
    assert torch.equal(block(image(16, 16), 0), block(image(16, 16), 2))


def test_split_shares_no_parameter():
    block = make("V")
    moved = [touched(block, task) for task in range(3)]
    assert not (moved[0] & moved[1] or moved[0] & moved[2] or moved[1] & moved[2])
    assert len(moved[0] | moved[1] | moved[2]) == len(list(block.parameters())) == 3 * len(list(make("I").parameters()))
    assert len({weights.data_ptr() for weights in block.parameters()}) == len(list(block.parameters()))
    assert len(block.state_dict()) == 3 * len(make("I").state_dict())
    assert not torch.equal(block(image(16, 16), 0), block(image(16, 16), 1))


def test_mhushare_shares_the_encoder_and_no_decoder():
    block = make("Y")
    moved = [touched(block, task) for task in range(3)]
    shared = {id(weights) for weights in block.encoder.parameters()}
    assert moved[0] & moved[1] == moved[0] & moved[2] == moved[1] & moved[2] == shared
    assert all(moved[task] - shared == {id(weights) for weights in decoder.parameters()} for task, decoder in enumerate(block.decoders))


def test_attenshare_shares_all_but_gates_and_heads():
    block = make("W")
    moved = [touched(block, task) for task in range(3)]
    own = [{id(weights) for weights in gates.parameters()} for gates in block.unet.tasks]
    assert [each & mine for each, mine in zip(moved, own, strict=True)] == own
    assert moved[0] & moved[1] == moved[1] & moved[2] == {id(weights) for weights in block.parameters()} - set.union(*own)


def test_each_task_follows_the_formula_with_its_own_weights():
    for task in range(3):
        for block in (make("I"), make("V")):
            weights = dict(block.named_parameters())
            own = plain.below(weights, "unet" if isinstance(block, TrueShare) else f"unets.{task}")
            torch.testing.assert_close(block(image(16, 32), task), plain.unet(image(16, 32), own, 2))
        block = make("Y")
        weights = dict(block.named_parameters())
        encoded = plain.encode(image(16, 32), plain.below(weights, "encoder"), 2)
        expected = plain.decode(*encoded, plain.below(weights, f"decoders.{task}"))
        torch.testing.assert_close(block(image(16, 32), task), expected)


@pytest.mark.parametrize("pools", [1, 2, 4])
def test_attention_follows_the_formula(pools):
    block = make("W", pools=pools)
    weights = plain.below(dict(block.named_parameters()), "unet")
    for task in range(3):
        torch.testing.assert_close(block(image(16, 32), task), plain.attention_unet(image(16, 32), weights, pools, task))


def test_gates_have_the_widths_of_their_levels_and_answers_between_zero_and_one():
    unet = AttentionUnet(tasks=1, in_chans=2, out_chans=2, chans=18, pools=4, drop_prob=0.0)
    gates = unet.tasks[0]
    assert [(gate[0].in_channels, gate[0].out_channels) for gate in gates.down] == [(18, 18), (72, 36), (144, 72), (288, 144), (576, 288)]
    assert [(gate[0].in_channels, gate[3].out_channels) for gate in gates.up] == [(288, 144), (144, 72), (72, 36), (36, 18)]
    assert (gates.head.in_channels, gates.head.out_channels) == (18, 2)
    answers = Gate(3, 4)(torch.randn(2, 3, 5, 7) * 100)
    assert answers.shape == (2, 4, 5, 7)
    assert 0 <= answers.min() < answers.max() <= 1


@pytest.mark.parametrize("letter", "IYVW")
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (33, 8)])
def test_any_size_comes_back_as_it_went_in(letter, size):
    assert make(letter)(image(*size), 1).shape == (2, 2, *size)


@pytest.mark.parametrize("letter", "IYVW")
def test_image_that_is_too_small_is_told_the_way_out(letter):
    with pytest.raises(BadInput, match=r"Lower model.pools"):
        make(letter)(image(4, 4), 0)


def test_blocks_of_eighteen_channels_have_as_many_parameters_as_their_unets():
    def count(block: nn.Module) -> int:
        return sum(weights.numel() for weights in block.parameters())

    unet = Unet(in_chans=2, out_chans=2, chans=18)
    sizes = {"tasks": 2, "chans": 18, "pools": 4, "drop_prob": 0.0}
    assert count(TrueShare(**sizes)) == count(unet) == 2_454_338
    assert count(Split(**sizes)) == 2 * count(unet)
    assert count(MultiHeadShare(**sizes)) == count(unet.encoder) + 2 * count(unet.decoder)
    # the shared U-Net, the layers that tasks' attention passes through, and two sets of gates
    wide = AttentionShare(**sizes).unet
    extra = count(wide.attended_down) + count(wide.attended_up) + count(wide.tasks)
    assert count(wide) == count(unet) + extra
