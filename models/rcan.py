"""The residual channel attention network on images (Zhang et al. 2018, arXiv 1807.02758), with plain or bottleneck blocks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from models.recompute import run

NARROWER = 4
"""A bottleneck has this many times fewer channels inside."""


class ChannelAttention(nn.Module):
    """Scale each channel by a factor between 0 and 1 that the means of all channels decide."""

    def __init__(self, chans: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(chans, chans // reduction, kernel_size=1)
        self.excite = nn.Conv2d(chans // reduction, chans, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        """features: (batch, chans, y, x). Returns the same shape."""
        means = features.mean(dim=(-2, -1), keepdim=True)
        return features * self.excite(F.relu(self.squeeze(means))).sigmoid()


class AttentionBlock(nn.Module):
    """x + s A(B(x)), B two convolutions of 3x3, or a bottleneck 1x1, 3x3, 1x1; A channel attention; s the residual scaling."""

    def __init__(self, chans: int, *, bottleneck: bool, reduction: int, res_scale: float) -> None:
        super().__init__()
        self.body = nn.Sequential(*(_bottleneck(chans) if bottleneck else _plain(chans)))
        self.attention = ChannelAttention(chans, reduction)
        self.res_scale = res_scale

    def forward(self, features: Tensor) -> Tensor:
        """features: (batch, chans, y, x). Returns the same shape."""
        return features + self.res_scale * self.attention(self.body(features))


def _plain(chans: int) -> list[nn.Module]:
    return [_conv3(chans, chans), nn.ReLU(inplace=True), _conv3(chans, chans)]


def _bottleneck(chans: int) -> list[nn.Module]:
    inside = chans // NARROWER
    return [
        nn.Conv2d(chans, inside, kernel_size=1),
        nn.ReLU(inplace=True),
        _conv3(inside, inside),
        nn.ReLU(inplace=True),
        nn.Conv2d(inside, chans, kernel_size=1),
    ]


def _conv3(in_chans: int, out_chans: int) -> nn.Conv2d:
    return nn.Conv2d(in_chans, out_chans, kernel_size=3, padding=1)


class ResidualGroup(nn.Module):
    """x + C(B_n(… B_1(x))), B_i attention blocks, C a convolution of 3x3."""

    def __init__(self, chans: int, *, blocks: int, bottleneck: bool, reduction: int, res_scale: float) -> None:
        super().__init__()
        made = (AttentionBlock(chans, bottleneck=bottleneck, reduction=reduction, res_scale=res_scale) for _ in range(blocks))
        self.body = nn.Sequential(*made, _conv3(chans, chans))

    def forward(self, features: Tensor) -> Tensor:
        """features: (batch, chans, y, x). Returns the same shape."""
        return features + self.body(features)


class Rcan(nn.Module):
    """Residual in residual: a convolution to features f, groups of blocks with a skip around each, one around all, and one back.

    x = T(f + C(G_n(… G_1(f)))), f = H(input), without the paper's enlargement. It has no normalisation and no fixed size.
    """

    def __init__(
        self,
        *,
        in_chans: int = 2,
        out_chans: int = 1,
        groups: int = 4,
        blocks: int = 25,
        chans: int = 160,
        bottleneck: bool = True,
        reduction: int = 16,
        res_scale: float = 0.125,
    ) -> None:
        super().__init__()
        self.head = _conv3(in_chans, chans)
        self.groups = nn.ModuleList(
            ResidualGroup(chans, blocks=blocks, bottleneck=bottleneck, reduction=reduction, res_scale=res_scale) for _ in range(groups)
        )
        self.last = _conv3(chans, chans)
        self.tail = _conv3(chans, out_chans)

    def forward(self, images: Tensor, *, recompute: bool = False) -> Tensor:
        """images: (batch, in, y, x) of any size. Returns (batch, out, y, x). With `recompute`, only what enters a group is kept."""
        shallow = self.head(images)
        features = shallow
        for group in self.groups:
            features = run(group, features, recompute=recompute)
        return self.tail(shallow + self.last(features))
