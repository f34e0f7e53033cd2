"""The U-Net of the fastMRI baseline, and its use on zero-filled images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.errors import BadInput
from data.kspace.coils import rss
from data.kspace.crop import center_crop
from data.kspace.fourier import ifftc
from data.volumes.loading import Sample
from models.network import Network
from models.recompute import run
from models.reconstruction import Reconstruction

LARGEST_DEVIATION = 6.0
"""Normalised images are clamped to this many standard deviations, as in the fastMRI baseline."""
SMALLEST_STD = 1e-11


class ConvLayer(nn.Sequential):
    """3x3 convolution, instance norm, leaky ReLU, dropout of channels. (batch, in, y, x) → (batch, out, y, x)."""

    def __init__(self, in_chans: int, out_chans: int, drop_prob: float) -> None:
        super().__init__(*_conv_layers(in_chans, out_chans, drop_prob))


class ConvBlock(nn.Sequential):
    """Twice: 3x3 convolution, instance norm, leaky ReLU, dropout of channels. (batch, in, y, x) → (batch, out, y, x)."""

    def __init__(self, in_chans: int, out_chans: int, drop_prob: float) -> None:
        super().__init__(*_conv_layers(in_chans, out_chans, drop_prob), *_conv_layers(out_chans, out_chans, drop_prob))


def _conv_layers(in_chans: int, out_chans: int, drop_prob: float) -> list[nn.Module]:
    return [
        nn.Conv2d(in_chans, out_chans, kernel_size=3, padding=1, bias=False),
        nn.InstanceNorm2d(out_chans),
        nn.LeakyReLU(negative_slope=0.2, inplace=True),
        nn.Dropout2d(drop_prob),
    ]


class UpBlock(nn.Sequential):
    """Double the size: 2x2 transposed convolution, instance norm, leaky ReLU. (batch, in, y, x) → (batch, out, 2 y, 2 x)."""

    def __init__(self, in_chans: int, out_chans: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(in_chans, out_chans, kernel_size=2, stride=2, bias=False),
            nn.InstanceNorm2d(out_chans),
            nn.LeakyReLU(negative_slope=0.2, inplace=True),
        )


class Encoder(nn.Module):
    """The way down: a block a level, the size halved between them."""

    def __init__(self, *, in_chans: int, chans: int, pools: int, drop_prob: float) -> None:
        super().__init__()
        widths = level_widths(chans, pools)
        self.down = nn.ModuleList(ConvBlock(a, b, drop_prob) for a, b in zip([in_chans, *widths[:-2]], widths[:-1], strict=True))
        self.bottom = ConvBlock(widths[-2], widths[-1], drop_prob)

    def forward(self, image: Tensor, *, recompute: bool = False) -> tuple[Tensor, list[Tensor]]:
        """image: (batch, in, y, x). Returns the features of the bottom, (batch, chans 2 ** pools, y, x), and those of each level."""
        check_size(image, len(self.down))
        skipped: list[Tensor] = []
        for block in self.down:
            image = run(block, image, recompute=recompute)
            skipped.append(image)
            image = F.avg_pool2d(image, kernel_size=2)
        return run(self.bottom, image, recompute=recompute), skipped


class Decoder(nn.Module):
    """The way up: at each level the features from below, doubled in size, are merged with those of the way down."""

    def __init__(self, *, out_chans: int, chans: int, pools: int, drop_prob: float) -> None:
        super().__init__()
        widths = level_widths(chans, pools)[:-1]
        self.up = nn.ModuleList(UpBlock(2 * width, width) for width in reversed(widths))
        self.merge = nn.ModuleList(ConvBlock(2 * width, width, drop_prob) for width in reversed(widths))
        self.out = nn.Conv2d(chans, out_chans, kernel_size=1)

    def forward(self, image: Tensor, skipped: list[Tensor], *, recompute: bool = False) -> Tensor:
        """image, skipped: as an Encoder returns them. Returns (batch, out, y, x)."""
        for up, merge, skip in zip(self.up, self.merge, reversed(skipped), strict=True):
            image = pad_to(run(up, image, recompute=recompute), skip)
            image = run(merge, torch.cat([image, skip], dim=1), recompute=recompute)
        return self.out(image)


class Unet(nn.Module):
    """U-Net (Ronneberger et al. 2015) with the layers of the fastMRI baseline (Zbontar et al. 2018, arXiv 1811.08839)."""

    def __init__(self, *, in_chans: int = 1, out_chans: int = 1, chans: int = 32, pools: int = 4, drop_prob: float = 0.0) -> None:
        super().__init__()
        self.encoder = Encoder(in_chans=in_chans, chans=chans, pools=pools, drop_prob=drop_prob)
        self.decoder = Decoder(out_chans=out_chans, chans=chans, pools=pools, drop_prob=drop_prob)

    def forward(self, image: Tensor, *, recompute: bool = False) -> Tensor:
        """image: (batch, in, y, x) real, any size of at least 2 ** pools pixels. Returns (batch, out, y, x)."""
        bottom, skipped = self.encoder(image, recompute=recompute)
        return self.decoder(bottom, skipped, recompute=recompute)


def level_widths(chans: int, pools: int) -> list[int]:
    """Return the channels of each level, the bottom last: twice as many as the level above."""
    return [chans * 2**level for level in range(pools + 1)]


def check_size(image: Tensor, pools: int) -> None:
    """Raise BadInput for an image (batch, channel, y, x) that `pools` halvings would leave nothing of."""
    # instance norm needs two pixels at the bottom, so the smaller axis may shrink to 1 only if the other does not
    smallest = 2**pools
    if min(image.shape[-2:]) < smallest or max(image.shape[-2:]) < 2 * smallest:
        raise BadInput(
            f"unet: expected (batch, channel, y, x) with y and x of at least {smallest}, one of them {2 * smallest}, "
            f"got {tuple(image.shape)}. Lower model.pools."
        )


def pad_to(image: Tensor, wanted: Tensor) -> Tensor:
    """Give back the last row and column that pooling an odd size has lost, by reflection. Both: (batch, channel, y, x)."""
    rows, columns = wanted.shape[-2] - image.shape[-2], wanted.shape[-1] - image.shape[-1]
    return F.pad(image, (0, columns, 0, rows), mode="reflect") if rows or columns else image


class ZeroFilledUnet(Network):
    """The baseline of fastMRI: x = U(|F^H y|), U a U-Net that sees one magnitude image, normalised slice by slice."""

    def __init__(self, *, chans: int = 32, pools: int = 4, drop_prob: float = 0.0) -> None:
        super().__init__()
        self.unet = Unet(chans=chans, pools=pools, drop_prob=drop_prob)

    def forward(self, sample: Sample) -> Reconstruction:
        """Reconstruct a batch. sample.kspace: (batch, coil, y, x) complex. Returns images (batch, size y, size x), and the bottom."""
        image, mean, std = normalise_instance(zero_filled(sample.kspace, sample.size))
        bottom, skipped = self._encode(image)
        output = self.unet.decoder(bottom, skipped, recompute=self.recompute).squeeze(1)
        return Reconstruction(image=output * std + mean, scale=std.flatten(), bottom=bottom)

    def features(self, kspace: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the bottom alone, (batch, channel, y, x). kspace: (batch, coil, y, x) complex; size: (y, x) of the cropped images."""
        image, _, _ = normalise_instance(zero_filled(kspace, size))
        return self._encode(image)[0]

    def _encode(self, normalised: Tensor) -> tuple[Tensor, list[Tensor]]:
        clamped = normalised.clamp(-LARGEST_DEVIATION, LARGEST_DEVIATION)
        bottom, skipped = self.unet.encoder(clamped.unsqueeze(1), recompute=self.recompute)
        return bottom, skipped


def zero_filled(kspace: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the root of the sum of squares of the coil images, (batch, *size), of k-space (batch, coil, y, x)."""
    return center_crop(rss(ifftc(kspace)), size)


def normalise_instance(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shift and scale each image to mean 0 and standard deviation 1. image: (batch, y, x) or (batch, channel, y, x), each channel alone.

    Returns it, and mean and std with y and x of length 1.
    """
    mean = image.mean(dim=(-2, -1), keepdim=True)
    std = image.std(dim=(-2, -1), keepdim=True) + SMALLEST_STD
    return (image - mean) / std, mean, std
