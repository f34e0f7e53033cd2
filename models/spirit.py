"""SPIRiT: each point of k-space from its neighbours in all coils, as one complex convolution a block."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.errors import BadInput
from data.kspace.crop import center_crop
from data.kspace.fourier import ifftc
from data.volumes.loading import Sample
from models.network import LearnedState, Network
from models.recompute import run
from models.reconstruction import Reconstruction
from models.sampling.learned import LearnedMask


class Spirit(Network):
    """k_{t+1} = (1 - M) G_t k_t + M y with k_0 = M y (SPIRiT, Lustig and Pauly 2010, MRM 64:457); each block has a G of its own.

    With `sampling`, the network is given all of k-space and M is what it has learned to sample; otherwise M comes with the data.
    """

    def __init__(
        self,
        *,
        coils: int = 1,
        blocks: int = 5,
        kernel: int = 5,
        centre: str = "all",
        padding: str = "zeros",
        init_std: float | None = None,
        sampling: LearnedMask | None = None,
    ) -> None:
        super().__init__()
        self.coils = coils
        self.sampling = sampling
        self.blocks = nn.ModuleList(
            SpiritConvolution(coils, kernel, centre=centre, padding=padding, init_std=init_std) for _ in range(blocks)
        )

    def begin_epoch(self, epoch: int) -> None:
        """Set the noise of the learned mask."""
        if self.sampling is not None:
            self.sampling.begin_epoch(epoch)

    def forward(self, sample: Sample) -> Reconstruction:
        """Reconstruct a batch. sample.kspace: (batch, coil, y, x) complex. Returns images (batch, size y, size x) and all of k-space."""
        self._refuse_other_coils(sample)
        mask = self._mask(sample)
        measured = stacked(sample.kspace) * mask
        kspace, several = measured, math.ceil(math.sqrt(len(self.blocks)))
        for first in range(0, len(self.blocks), several):
            kspace = run(fill, kspace, measured, mask, self.blocks[first : first + several], recompute=self.recompute)
        filled = unstacked(kspace)
        # the norm is the root of the sum of squares, with a gradient where all coils are zero
        image = center_crop(torch.linalg.vector_norm(ifftc(filled), dim=1), sample.size)
        sampled = None if self.sampling is None else mask[:, 0].detach() > 0
        return Reconstruction(image=image, scale=root_mean_square(measured), kspace=filled, sampled=sampled)

    @torch.no_grad()
    def learned_state(self, size: tuple[int, int]) -> LearnedState | None:
        """Return what the network would sample now of k-space of `size` (y, x)."""
        if self.sampling is None:
            return None
        was_training, mask = self.sampling.training, self.sampling.eval()(1, size)[0] > 0
        self.sampling.train(was_training)
        return LearnedState(mask=mask, logits=self.sampling.logits.clone())

    def _mask(self, sample: Sample) -> Tensor:
        """Return (batch, 1, y or 1, x), 0 and 1."""
        mask = sample.mask if self.sampling is None else self.sampling(len(sample.kspace), sample.kspace.shape[-2:])
        return mask[:, None].to(sample.kspace.real.dtype)

    def _refuse_other_coils(self, sample: Sample) -> None:
        found = sample.kspace.shape[1]
        if found != self.coils:
            raise BadInput(f"spirit: model.coils is {self.coils}, the data have {found}. Set model.coils: {found}, or choose other data.")


def fill(kspace: Tensor, measured: Tensor, mask: Tensor, blocks: Iterable[nn.Module]) -> Tensor:
    """Let blocks predict what was not measured. kspace, measured: (batch, 2 coil, y, x); mask: (batch, 1, y or 1, x) of 0 and 1."""
    for block in blocks:
        kspace = block(kspace) * (1 - mask) + measured
    return kspace


class SpiritConvolution(nn.Module):
    """One complex convolution coils → coils with no bias, whose centre tap is 0: a point never speaks for itself.

    centre: all, the tap of every pair of coils is 0; own, only that of a coil with itself, as in Lustig and Pauly 2010.
    padding: zeros beyond the edge of k-space, or circular, since the discrete transform is periodic.
    """

    def __init__(self, coils: int, kernel: int, *, centre: str = "all", padding: str = "zeros", init_std: float | None = None) -> None:
        super().__init__()
        self.padding = padding
        self._described = f"coils={coils}, kernel={kernel}, centre={centre}, padding={padding}, init_std={init_std}"
        taps = torch.ones(coils, coils, kernel, kernel)
        taps[..., kernel // 2, kernel // 2] = 0 if centre == "all" else 1 - torch.eye(coils)
        self.register_buffer("taps", taps, persistent=False)
        self.taps: Tensor
        self.real, self.imag = (nn.Parameter(draw_weights(taps.shape, init_std) * taps) for _ in range(2))

    def extra_repr(self) -> str:
        """Return the options."""
        return self._described

    def forward(self, kspace: Tensor) -> Tensor:
        """Convolve. kspace: (batch, 2 coils, y, x), real parts of all coils, then imaginary ones. Returns the same shape."""
        real, imag = self.real * self.taps, self.imag * self.taps
        weights = torch.cat((torch.cat((real, -imag), dim=1), torch.cat((imag, real), dim=1)))
        margin = weights.shape[-1] // 2
        if self.padding == "circular":
            return F.conv2d(F.pad(kspace, [margin] * 4, mode="circular"), weights)
        return F.conv2d(kspace, weights, padding=margin)


def draw_weights(shape: torch.Size, std: float | None) -> Tensor:
    """Draw first weights (coil, coil, y, x): normal with a standard deviation; None: uniform up to 1 / sqrt(fan in), as torch does."""
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    return torch.empty(shape).uniform_(-bound, bound) if std is None else torch.empty(shape).normal_(0, std)


def stacked(kspace: Tensor) -> Tensor:
    """Put real parts of all coils before the imaginary ones. kspace: (batch, coil, y, x) complex. Returns (batch, 2 coil, y, x).

    On a CPU the channels lie innermost: convolutions of one coil then take a third of the time, measured, and of 8 coils no more.
    """
    values = torch.cat((kspace.real, kspace.imag), dim=1)
    return values.contiguous(memory_format=torch.channels_last) if values.device.type == "cpu" else values


def unstacked(values: Tensor) -> Tensor:
    """Undo `stacked`. values: (batch, 2 coil, y, x). Returns (batch, coil, y, x) complex."""
    real, imag = values.chunk(2, dim=1)
    return torch.complex(real.contiguous(), imag.contiguous())


@torch.no_grad()
def root_mean_square(measured: Tensor) -> Tensor:
    """Return (batch,): root mean square of the zero-filled image, which by Parseval is that of k-space. measured: (batch, 2 coil, y, x)."""
    return torch.linalg.vector_norm(measured, dim=(1, 2, 3)) / math.sqrt(measured.shape[-1] * measured.shape[-2])
