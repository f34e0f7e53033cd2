"""U-Nets on cine series, which differ in what their convolutions see of y, x and time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.volumes.cine_sample import CineSample
from models.cine.dropblock import DropBlock, ramped
from models.cine.regularisation import Kernel, kernel_penalty, layer_after
from models.network import Network
from models.recompute import run
from models.reconstruction import Reconstruction
from models.regularisation_config import DropBlocks, Regularisation
from models.unet import level_widths

VOLUME: Kernel = (3, 3, 3)
KERNELS: dict[str, tuple[Kernel, Kernel]] = {
    "unet3d": (VOLUME, VOLUME),
    "unet2d1d": ((1, 3, 3), (3, 1, 1)),
    "unet2d2d": ((3, 1, 3), (3, 3, 1)),
}
"""The two convolutions of a block: volumes; frames, then time; x with time, then y with time."""


class Stage(nn.Sequential):
    """A convolution that keeps the size, its regularisation, a ReLU. (batch, in, frame, y, x) → (batch, out, frame, y, x)."""

    def __init__(self, in_chans: int, out_chans: int, kernel: Kernel, *, regularisation: Regularisation, regularise_last: bool) -> None:
        convolution = nn.Conv3d(in_chans, out_chans, kernel, padding=(kernel[0] // 2, kernel[1] // 2, kernel[2] // 2))
        super().__init__(convolution, *activated(layer_after(out_chans, kernel, regularisation), regularise_last))


class UpStage(nn.Module):
    """A transposed convolution that doubles y and x and keeps time, its regularisation, a ReLU."""

    def __init__(self, in_chans: int, out_chans: int, length: int, *, regularisation: Regularisation, regularise_last: bool) -> None:
        super().__init__()
        # time: a kernel of 3 keeps the length by itself, one of 2 leaves a frame too many, which is cut
        padding = ((length - 1) // 2, 0, 0)
        self.convolution = nn.ConvTranspose3d(in_chans, out_chans, length, stride=(1, 2, 2), padding=padding)
        self.after = nn.Sequential(*activated(layer_after(out_chans, VOLUME, regularisation), regularise_last))

    def forward(self, image: Tensor, wanted: Tensor) -> Tensor:
        """image: (batch, in, frame, y, x), wanted: a feature of the level above, with 2 y or 2 y - 1 rows and as many columns.

        Returns (batch, out, …) of the size of `wanted`.
        """
        frames, rows, columns = wanted.shape[2:]
        return self.after(self.convolution(image)[..., :frames, :rows, :columns])


def activated(layer: nn.Module, regularise_last: bool) -> tuple[nn.Module, nn.Module]:
    """Put a regularising layer before or after the ReLU."""
    return (nn.ReLU(inplace=True), layer) if regularise_last else (layer, nn.ReLU(inplace=True))


class CineUnet(Network):
    """U-Net (Ronneberger et al. 2015) on cine series: x = ReLU(x_0 + U(x_0)), x_0 the images with artefacts (cf. Hauptmann et al. 2019).

    Pooling halves y and x, never time. With residual "relu" the network ends in a ReLU before x_0 is added, so that it cannot darken.
    """

    def __init__(
        self,
        kernels: tuple[Kernel, Kernel],
        *,
        regularisation: Regularisation,
        chans: int = 32,
        pools: int = 4,
        up_kernel: int = 2,
        residual: str = "signed",
        regularise_last: bool = False,
    ) -> None:
        super().__init__()
        self.regularisation = regularisation
        widths = level_widths(chans, pools)
        upwards = widths[-2::-1]
        stage = partial(Stage, regularisation=regularisation, regularise_last=regularise_last)
        up_stage = partial(UpStage, regularisation=regularisation, regularise_last=regularise_last)
        self.down = nn.ModuleList(_block(a, b, kernels, stage) for a, b in zip([1, *widths[:-2]], widths[:-1], strict=True))
        self.bottom = _block(widths[-2], widths[-1], kernels, stage)
        self.up = nn.ModuleList(up_stage(2 * width, width, up_kernel) for width in upwards)
        self.merge = nn.ModuleList(_block(2 * width, width, kernels, stage) for width in upwards)
        last: list[nn.Module] = [nn.Conv3d(chans, 1, VOLUME, padding=1), layer_after(1, VOLUME, regularisation)]
        self.out = nn.Sequential(*last, *([nn.ReLU()] if residual == "relu" else []))
        self.apply(_start_as_published)

    def forward(self, sample: CineSample) -> Reconstruction:
        """Correct a batch of series. sample.image: (batch, frame, y, x), of any size. Returns images of the same shape."""
        image = torch.relu(sample.image + self._correction(sample.image.unsqueeze(1)).squeeze(1))
        return Reconstruction(image=image, scale=torch.ones_like(sample.maximum))

    def _correction(self, image: Tensor) -> Tensor:
        """image: (batch, 1, frame, y, x). Returns the same shape."""
        skipped: list[Tensor] = []
        for block in self.down:
            image = run(block, image, recompute=self.recompute)
            skipped.append(image)
            image = F.max_pool3d(image, kernel_size=(1, 2, 2), ceil_mode=True)
        image = run(self.bottom, image, recompute=self.recompute)
        for up, merge, skip in zip(self.up, self.merge, reversed(skipped), strict=True):
            image = torch.cat([skip, run(up, image, skip, recompute=self.recompute)], dim=1)
            image = run(merge, image, recompute=self.recompute)
        return self.out(image)

    def begin_epoch(self, epoch: int) -> None:
        """Set the keep probability of DropBlock for this epoch, counted from 1."""
        if isinstance(self.regularisation, DropBlocks):
            keep_prob = ramped(self.regularisation.keep_prob, epoch=epoch, ramp_epochs=self.regularisation.ramp_epochs)
            for module in self.modules():
                if isinstance(module, DropBlock):
                    module.keep_prob = keep_prob

    def penalty(self) -> Tensor:
        """Return the l1 and l2 penalties of the kernels, a scalar to be added to the loss."""
        l1, l2 = getattr(self.regularisation, "l1", 0.0), getattr(self.regularisation, "l2", 0.0)
        return kernel_penalty(self.parameters(), l1=l1, l2=l2) if l1 or l2 else super().penalty()


def _block(in_chans: int, out_chans: int, kernels: tuple[Kernel, Kernel], stage: Callable[[int, int, Kernel], Stage]) -> nn.Sequential:
    first, second = kernels
    return nn.Sequential(stage(in_chans, out_chans, first), stage(out_chans, out_chans, second))


def _start_as_published(module: nn.Module) -> None:
    """Draw kernels from Glorot's uniform distribution and set biases to zero."""
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.xavier_uniform_(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
