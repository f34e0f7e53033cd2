"""Quality over a whole split, volume by volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean, pstdev

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from data.volumes.loading import Sample
from models.losses import Loss
from models.quality import Quality, volume_quality
from models.training.feed import batches


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a network achieves on a split."""

    loss: float
    """Mean over slices."""
    volumes: tuple[Quality, ...]
    """One a volume, in the order of the split."""
    sampled_fraction: float
    """Mean over slices of what the masks really sampled."""

    def means(self, split: str) -> dict[str, float]:
        """Return loss and mean metrics over volumes, with their number n: {"val/ssim": …, "val/n": …}."""
        values = {name: fmean(getattr(volume, name) for volume in self.volumes) for name in Quality._fields}
        return {f"{split}/{key}": value for key, value in {"loss": self.loss, **values, "n": len(self.volumes)}.items()}

    def deviations(self, split: str) -> dict[str, float]:
        """Return the standard deviation over volumes of each metric: {"test/ssim_std": …}."""
        return {f"{split}/{name}_std": pstdev(getattr(volume, name) for volume in self.volumes) for name in Quality._fields}


@torch.no_grad()
def evaluate(model: nn.Module, loader: DataLoader[Sample], loss: Loss, device: torch.device, *, between: Callable[[], None]) -> Evaluation:
    """Measure `model` on all volumes of a loader that goes through them in order. `between` is called after each slice.

    Holds one volume in memory at a time. The model is left in evaluation mode.
    """
    model.eval()
    losses: list[float] = []
    fractions: list[float] = []
    qualities: list[Quality] = []
    for _, samples in groupby(batches(loader, device), key=lambda sample: int(sample.volume[0])):
        images: list[Tensor] = []
        targets: list[Tensor] = []
        for sample in samples:
            reconstruction = model(sample)
            losses.append(float(loss(reconstruction, sample).mean()))
            fractions.append(float(sample.sampled_fraction.mean()))
            images.append(reconstruction.image)
            targets.append(sample.target)
            between()
        qualities.append(volume_quality(torch.cat(images), torch.cat(targets)))
    return Evaluation(loss=fmean(losses), volumes=tuple(qualities), sampled_fraction=fmean(fractions))
