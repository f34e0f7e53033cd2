"""The four ways in which tasks may share the U-Net of one unrolled step, by letter."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from models.multitask.attention import AttentionUnet
from models.unet import Decoder, Encoder, Unet

PARTS = 2
"""Real and imaginary part of an image."""


class TrueShare(nn.Module):
    """I: one U-Net for all tasks."""

    def __init__(self, *, tasks: int, chans: int, pools: int, drop_prob: float) -> None:
        super().__init__()
        self.unet = Unet(in_chans=PARTS, out_chans=PARTS, chans=chans, pools=pools, drop_prob=drop_prob)

    def forward(self, image: Tensor, task: int) -> Tensor:
        """image: (batch, 2, y, x). Returns the same shape, the same for all tasks."""
        return self.unet(image)


class MultiHeadShare(nn.Module):
    """Y: one encoder for all tasks, a decoder for each (hard parameter sharing, Caruana 1997)."""

    def __init__(self, *, tasks: int, chans: int, pools: int, drop_prob: float) -> None:
        super().__init__()
        self.encoder = Encoder(in_chans=PARTS, chans=chans, pools=pools, drop_prob=drop_prob)
        self.decoders = nn.ModuleList(Decoder(out_chans=PARTS, chans=chans, pools=pools, drop_prob=drop_prob) for _ in range(tasks))

    def forward(self, image: Tensor, task: int) -> Tensor:
        """image: (batch, 2, y, x). Returns the same shape."""
        return self.decoders[task](*self.encoder(image))


class Split(nn.Module):
    """V: a whole U-Net for each task; no parameter is shared."""

    def __init__(self, *, tasks: int, chans: int, pools: int, drop_prob: float) -> None:
        super().__init__()
        self.unets = nn.ModuleList(
            Unet(in_chans=PARTS, out_chans=PARTS, chans=chans, pools=pools, drop_prob=drop_prob) for _ in range(tasks)
        )

    def forward(self, image: Tensor, task: int) -> Tensor:
        """image: (batch, 2, y, x). Returns the same shape."""
        return self.unets[task](image)


class AttentionShare(nn.Module):
    """W: one U-Net for all tasks, attention gates for each (Liu et al. 2019)."""

    def __init__(self, *, tasks: int, chans: int, pools: int, drop_prob: float) -> None:
        super().__init__()
        self.unet = AttentionUnet(tasks=tasks, in_chans=PARTS, out_chans=PARTS, chans=chans, pools=pools, drop_prob=drop_prob)

    def forward(self, image: Tensor, task: int) -> Tensor:
        """image: (batch, 2, y, x). Returns the same shape."""
        return self.unet(image, task)


BLOCKS: dict[str, Callable[..., nn.Module]] = {"I": TrueShare, "Y": MultiHeadShare, "V": Split, "W": AttentionShare}
"""By letter of model.blocks."""
