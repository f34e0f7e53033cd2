"""Quality over a whole split, volume by volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from data.kspace.coils import rss
from data.kspace.crop import center_crop
from data.kspace.fourier import ifftc
from data.volumes.cine_sample import CineSample
from data.volumes.loading import Sample
from models.losses import Loss
from models.quality import slice_qualities, volume_quality
from models.reconstruction import Reconstruction
from models.training.feed import AnySample, batches
from models.training.precision import Precision
from models.training.scores import Evaluation, VolumeScore
from models.training.tasks import task_of


class Reconstructed(NamedTuple):
    """A volume of which all slices are reconstructed; a cine series counts as one, its frames as slices."""

    number: int
    """Its index in the split."""
    task: int
    slices: list[int]
    """Their indices in the file; of a cine series the numbers of its frames."""
    image: Tensor
    """(slice, y, x)."""
    target: Tensor
    """(slice, y, x)."""
    maximum: float
    """The data range of losses, and the white of pictures."""
    given: list[Tensor]
    """What the network was given, as images (slice, y, x) in pieces; none where nobody watches."""
    masks: list[Tensor]
    """(slice, y, x) bool in pieces: where k-space was sampled; none of cine series, or where nobody watches."""


Watch = Callable[[Reconstructed], None]
"""Sees each volume when it is complete."""


@torch.no_grad()
def evaluate(
    model: nn.Module,
    loader: DataLoader[AnySample],
    loss: Loss,
    device: torch.device,
    *,
    precision: Precision,
    between: Callable[[], None],
    watchers: Sequence[Watch] = (),
) -> Evaluation:
    """Measure `model` on all volumes of a loader that goes through them in order. `between` is called after each slice.

    Holds one volume in memory at a time, which the watchers see when it is complete. The model is left in evaluation mode.
    """
    model.eval()
    scores: list[VolumeScore] = []
    for _, samples in groupby(batches(loader, device), key=lambda sample: int(sample.volume[0])):
        losses: list[float] = []
        fractions: list[float] = []
        pieces: list[Reconstructed] = []
        for given in samples:
            reconstruction = precision.run(model, given)
            sample = as_sampled(given, reconstruction)
            losses += loss(reconstruction, sample).tolist()
            fractions += sample.sampled_fraction.tolist() if isinstance(sample, Sample) else []
            pieces.append(_piece(sample, reconstruction.image, watched=bool(watchers)))
            between()
        volume = _joined(pieces)
        scores.append(_score(volume, isinstance(sample, CineSample), losses, fractions))
        for watch in watchers:
            watch(volume)
    return Evaluation(volumes=tuple(scores))


class AsGiven(nn.Module):
    """Returns what it is given, as an image: how good a network is has to be seen against this."""

    def forward(self, sample: AnySample) -> Reconstruction:
        """Return magnitude images of the shape of the target."""
        image = given_image(sample).reshape(sample.target.shape)
        return Reconstruction(image=image, scale=torch.ones_like(sample.maximum))


def as_sampled(sample: AnySample, reconstruction: Reconstruction) -> AnySample:
    """Return what the network has measured of a sample: less than it was given, where it chooses its own mask."""
    mask = reconstruction.sampled
    if mask is None or isinstance(sample, CineSample):
        return sample
    return sample._replace(kspace=sample.kspace * mask[:, None], mask=mask, sampled_fraction=mask.float().mean(dim=(-2, -1)))


def given_image(sample: AnySample) -> Tensor:
    """Return what a network is given as images, (slice, y, x): the frames of a series, or the zero-filled root of the sum of squares."""
    return sample.image.flatten(0, 1) if isinstance(sample, CineSample) else center_crop(rss(ifftc(sample.kspace)), sample.size)


def _piece(sample: AnySample, image: Tensor, *, watched: bool) -> Reconstructed:
    return Reconstructed(
        number=int(sample.volume[0]),
        task=task_of(sample),
        slices=list(range(sample.target.shape[1])) if isinstance(sample, CineSample) else sample.slice.tolist(),
        image=image.flatten(0, -3),
        target=sample.target.flatten(0, -3),
        maximum=float(sample.maximum[0]),
        given=[given_image(sample)] if watched else [],
        masks=[sample.mask.expand(-1, sample.kspace.shape[-2], -1)] if watched and isinstance(sample, Sample) else [],
    )


def _joined(pieces: list[Reconstructed]) -> Reconstructed:
    return pieces[0]._replace(
        slices=[index for piece in pieces for index in piece.slices],
        image=torch.cat([piece.image for piece in pieces]),
        target=torch.cat([piece.target for piece in pieces]),
        given=[image for piece in pieces for image in piece.given],
        masks=[mask for piece in pieces for mask in piece.masks],
    )


def _score(volume: Reconstructed, is_cine: bool, losses: list[float], fractions: list[float]) -> VolumeScore:
    data_range = volume.image.new_tensor(volume.maximum) if is_cine else None  # None: the largest true value of what is measured
    return VolumeScore(
        task=volume.task,
        losses=tuple(losses),
        whole=volume_quality(volume.image, volume.target, data_range),
        slices=tuple(slice_qualities(volume.image, volume.target, data_range)),
        sampled_fractions=tuple(fractions),
    )
