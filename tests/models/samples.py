"""Small batches of every kind that networks take, drawn in a moment."""

from __future__ import annotations

import torch
from torch import Tensor

from data.kspace.coils import expand, reduce
from data.kspace.crop import center_crop
from data.kspace.fourier import fftc
from data.volumes.cine_sample import CineSample
from data.volumes.loading import Sample


def draw_sample(
    *, batch: int = 1, coils: int = 3, size: tuple[int, int] = (35, 38), crop: tuple[int, int] = (31, 32), task: int = 0, seed: int = 0
) -> Sample:
    """Draw smooth complex images and maps, and sample every third column of their k-space and six in the centre."""
    rng = torch.Generator().manual_seed(seed)
    image = draw_blobs(batch, size, rng) * torch.exp(1j * draw_blobs(batch, size, rng))
    maps = torch.stack([draw_blobs(batch, size, rng) + 1j * draw_blobs(batch, size, rng) for _ in range(coils)], dim=1)
    maps = maps / torch.linalg.vector_norm(maps, dim=1, keepdim=True)
    columns = torch.arange(size[1])
    mask = ((columns % 3 == 0) | ((columns - size[1] // 2 + 0.5).abs() < 3)).expand(batch, 1, -1)
    target = center_crop(reduce(expand(image, maps), maps), crop).abs()
    return Sample(
        kspace=fftc(expand(image, maps)) * mask[:, None],
        mask=mask,
        target=target,
        maximum=target.amax(dim=(-2, -1)),
        sampled_fraction=mask.float().mean(dim=(-2, -1)),
        volume=torch.zeros(batch, dtype=torch.int64),
        slice=torch.arange(batch),
        sens_maps=maps,
        task=torch.full((batch,), task),
        grappa=target + 0.1 * target.roll(crop[1] // 3, dims=-1),
    )


def draw_cine(*, batch: int = 1, frames: int = 5, size: tuple[int, int] = (17, 20), seed: int = 0) -> CineSample:
    """Draw series whose brightness swings, and the same with a ghost half a field of view away."""
    rng = torch.Generator().manual_seed(seed)
    swing = 0.7 + 0.3 * torch.sin(2 * torch.pi * torch.arange(frames) / frames)
    target = draw_blobs(batch, size, rng)[:, None] * swing[:, None, None]
    image = target + 0.4 * target.roll((1, size[0] // 2), dims=(1, 2))
    return CineSample(image=image, target=target, maximum=torch.ones(batch), volume=torch.zeros(batch, dtype=torch.int64))


def draw_blobs(batch: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    """Draw images of three Gaussian spots on an even ground, (batch, y, x) between 0.1 and about 1."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, length) for length in size), indexing="ij")
    centres = torch.rand(batch, 3, 2, 1, 1, generator=rng) * 1.2 - 0.6
    spots = torch.exp(-((y - centres[:, :, 0]) ** 2 + (x - centres[:, :, 1]) ** 2) / 0.15)
    return 0.1 + spots.sum(dim=1) / 2


def to_double(sample: Sample) -> Sample:
    """Return the sample in double precision, for comparisons."""
    changed = {"kspace": sample.kspace.cdouble(), "target": sample.target.double()}
    changed |= {} if sample.grappa is None else {"grappa": sample.grappa.double()}
    return sample._replace(**changed, sens_maps=None if sample.sens_maps is None else sample.sens_maps.cdouble())
