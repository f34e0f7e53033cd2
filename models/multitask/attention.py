"""A U-Net that all tasks share, with attention gates that pick from it what a task needs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.unet import ConvBlock, ConvLayer, UpBlock, check_size, level_widths, pad_to


class Gate(nn.Sequential):
    """Soft attention: twice a 1x1 convolution and instance norm, leaky ReLU between, a sigmoid last.

    (batch, in, y, x) → (batch, out, y, x), each value between 0 and 1.
    """

    def __init__(self, in_chans: int, out_chans: int) -> None:
        super().__init__(
            nn.Conv2d(in_chans, out_chans, kernel_size=1),
            nn.InstanceNorm2d(out_chans),
            nn.LeakyReLU(negative_slope=0.2, inplace=True),
            nn.Conv2d(out_chans, out_chans, kernel_size=1),
            nn.InstanceNorm2d(out_chans),
            nn.Sigmoid(),
        )


class TaskGates(nn.Module):
    """What one task has of its own: a gate a level down and up, and a last 1x1 convolution."""

    def __init__(self, *, out_chans: int, chans: int, pools: int) -> None:
        super().__init__()
        widths = level_widths(chans, pools)
        self.down = nn.ModuleList([Gate(chans, chans), *(Gate(2 * width, width) for width in widths[1:])])
        self.up = nn.ModuleList(Gate(2 * width, width) for width in widths[-2::-1])
        self.head = nn.Conv2d(chans, out_chans, kernel_size=1)


class AttentionUnet(nn.Module):
    """The multi-task attention network (Liu et al. 2019, arXiv 1803.10704) on a U-Net.

    Each level of the shared U-Net has a first feature g0 and a second one g1. A task's gate looks at g0 and at the attention
    feature of the level before, and multiplies g1. Gates and the last 1x1 convolution belong to one task, all else to all.
    """

    def __init__(self, *, tasks: int, in_chans: int, out_chans: int, chans: int, pools: int, drop_prob: float) -> None:
        super().__init__()
        widths = level_widths(chans, pools)
        upwards = widths[-2::-1]
        self.first = nn.ModuleList(ConvLayer(a, b, drop_prob) for a, b in zip([in_chans, *widths[:-1]], widths, strict=True))
        self.second = nn.ModuleList(ConvLayer(width, width, drop_prob) for width in widths)
        self.up = nn.ModuleList(UpBlock(2 * width, width) for width in upwards)
        self.merge = nn.ModuleList(ConvBlock(2 * width, width, drop_prob) for width in upwards)
        self.out = nn.Conv2d(chans, out_chans, kernel_size=1)
        self.attended_down = nn.ModuleList(ConvLayer(a, b, drop_prob) for a, b in zip(widths, [*widths[1:], widths[-1]], strict=True))
        self.attended_up = nn.ModuleList(nn.Sequential(UpBlock(2 * width, width), ConvLayer(width, width, drop_prob)) for width in upwards)
        self.tasks = nn.ModuleList(TaskGates(out_chans=out_chans, chans=chans, pools=pools) for _ in range(tasks))

    def forward(self, image: Tensor, task: int) -> Tensor:
        """image: (batch, in, y, x), all of one task. Returns (batch, out, y, x)."""
        check_size(image, len(self.up))
        gates = self.tasks[task]
        assert isinstance(gates, TaskGates)
        first, second = self._shared_down(image)
        raised, merged = self._shared_up(second)
        return self._attend_up(self._attend_down(first, second, gates), raised, merged, gates)

    def _shared_down(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return g0 and g1 of each level, the bottom last."""
        first: list[Tensor] = []
        second: list[Tensor] = []
        for layer0, layer1 in zip(self.first, self.second, strict=True):
            first.append(layer0(F.avg_pool2d(second[-1], kernel_size=2) if second else image))
            second.append(layer1(first[-1]))
        return first, second

    def _shared_up(self, second: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the features of each level upwards: raised from below, and merged with the way down, the last with `out` channels."""
        raised: list[Tensor] = []
        merged: list[Tensor] = []
        for up, merge, skip in zip(self.up, self.merge, second[-2::-1], strict=True):
            raised.append(pad_to(up(merged[-1] if merged else second[-1]), skip))
            merged.append(merge(torch.cat([raised[-1], skip], dim=1)))
        return raised, [*merged[:-1], self.out(merged[-1])]

    def _attend_down(self, first: list[Tensor], second: list[Tensor], gates: TaskGates) -> Tensor:
        """Return the attention feature of the bottom."""
        attended: Tensor | None = None
        for g0, g1, gate, layer in zip(first, second, gates.down, self.attended_down, strict=True):
            seen = g0 if attended is None else torch.cat([g0, F.avg_pool2d(attended, kernel_size=2)], dim=1)
            attended = layer(gate(seen) * g1)
        assert attended is not None
        return attended

    def _attend_up(self, attended: Tensor, raised: list[Tensor], merged: list[Tensor], gates: TaskGates) -> Tensor:
        """Return what the task picks of the last merged feature, (batch, out, y, x)."""
        heads = [*(nn.Identity() for _ in merged[1:]), gates.head]
        for g0, g1, gate, layer, head in zip(raised, merged, gates.up, self.attended_up, heads, strict=True):
            attention = gate(torch.cat([g0, pad_to(layer(attended), g0)], dim=1))
            attended = head(attention) * g1
        return attended
