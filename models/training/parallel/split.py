"""One network on two devices: the first half of its cascades on one, the second on the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from models.network import Network


def place(model: Network, devices: Sequence[torch.device]) -> Network:
    """Move a network to the first device and, where there are two, the second half of its cascades to the other.

    Samples are given on the first device, where the reconstruction is returned too; `models.cascade.unroll` moves across.
    """
    model.to(devices[0])
    if len(devices) > 1:
        cascades = model.get_submodule("cascades")
        assert isinstance(cascades, nn.ModuleList)
        cascades[len(cascades) // 2 :].to(devices[1])
    return model
