"""What people look at: TensorBoard scalars, and pictures of one validation slice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from data.volumes.loading import Sample, SliceDataset, stack_samples
from data.volumes.sampling import Pick
from models.training.context import Run

Picture = NDArray[np.uint8]
"""(y, x), 0 to 255: whole numbers, so that nobody stretches the brightness of one picture against another."""

ERROR_GAIN = 5.0
"""The error is shown this many times as bright as the images."""


class Board:
    """The TensorBoard files of an attempt, opened with the first value; a resumed attempt hides what it computes again."""

    def __init__(self, folder: Path, *, first_step: int) -> None:
        self._folder = folder
        self._first_step = first_step
        self._opened: SummaryWriter | None = None

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add one point to each curve."""
        for name, value in values.items():
            self._writer().add_scalar(name, value, step)

    def image(self, name: str, array: Picture, step: int) -> None:
        """Add a picture, (y, x)."""
        self._writer().add_image(name, array[np.newaxis], step)

    def close(self) -> None:
        """Write what is buffered."""
        if self._opened is not None:
            self._opened.close()

    def _writer(self) -> SummaryWriter:
        if self._opened is None:
            self._opened = SummaryWriter(str(self._folder), purge_step=self._first_step)
        return self._opened


@torch.no_grad()
def reconstruct_middle(model: nn.Module, slices: SliceDataset, device: torch.device) -> dict[str, Picture]:
    """Return pictures of the middle slice of the first volume: reconstruction, truth, error, mask.

    White is the largest value of the volume; the error is ERROR_GAIN times brighter.
    """
    sample = stack_samples([slices[Pick(0, slices.volumes[0].shape[0] // 2)]]).to(device)
    model.eval()
    image = model(sample).image
    return {name: _as_picture(values) for name, values in _panels(image, sample).items()}


def _as_picture(values: torch.Tensor) -> Picture:
    return (255 * values.float().clamp(0, 1)).round().to(torch.uint8).cpu().numpy()


def _panels(image: torch.Tensor, sample: Sample) -> dict[str, torch.Tensor]:
    maximum = sample.maximum[0]
    return {
        "reconstruction": image[0] / maximum,
        "truth": sample.target[0] / maximum,
        "error": ERROR_GAIN * (image[0] - sample.target[0]).abs() / maximum,
        "mask": sample.mask[0].expand(sample.kspace.shape[-2], -1),
    }


def show(pictures: Mapping[str, Picture], step: int, *, run: Run, board: Board) -> None:
    """Hand pictures to the run and to TensorBoard."""
    for name, array in pictures.items():
        run.image(name, array, step)
        board.image(name, array, step)
