"""Our weights under the names of the fastmri package."""

from __future__ import annotations

import re

from torch import nn


def their_name(name: str, pools: int) -> str:
    """Translate the name of a weight of ours."""
    last = pools - 1
    for ours, other in [
        (r"^sensitivity\.", "sens_net."),
        (r"regulariser\.", "model."),
        (r"\beta\b", "dc_weight"),
        (r"encoder\.down\.(\d+)\.", r"down_sample_layers.\1.layers."),
        (r"encoder\.bottom\.", "conv.layers."),
        (r"decoder\.up\.(\d+)\.", r"up_transpose_conv.\1.layers."),
        (rf"decoder\.merge\.{last}\.", rf"up_conv.{last}.0.layers."),
        (r"decoder\.merge\.(\d+)\.", r"up_conv.\1.layers."),
        (r"decoder\.out\.", rf"up_conv.{last}.1."),
    ]:
        name = re.sub(ours, other, name)
    return name


def give_weights(ours: nn.Module, other: nn.Module, pools: int) -> None:
    """Give a network of the package the weights of ours."""
    other.load_state_dict({their_name(name, pools): weights.clone() for name, weights in ours.state_dict().items()})
