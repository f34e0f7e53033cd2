"""What people look at: TensorBoard scalars, and pictures of slices."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from data.errors import BadInput
from data.limits import unknown
from models.training.context import Run
from models.training.evaluate import Reconstructed

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


class MiddleSlices:
    """Takes pictures of the middle slice of the first volume of each task, the same slices each time."""

    def __init__(self, tasks: Sequence[str], *, given: bool = False) -> None:
        """given: show what the network was given, instead of what it makes of it."""
        self._tasks = tasks
        self._given = given
        self._pictures: dict[str, Picture] = {}

    def __call__(self, volume: Reconstructed) -> None:
        """Watch an evaluation."""
        ending = f"/{self._tasks[volume.task]}" if len(self._tasks) > 1 else ""
        place = len(volume.image) // 2
        if f"truth{ending}" not in self._pictures:
            panels = _given(volume, place) if self._given else _panels(volume, place)
            self._pictures |= {f"{name}{ending}": as_picture(values) for name, values in panels.items()}

    def show(self, step: int, *, run: Run, board: Board) -> None:
        """Hand the pictures to the run and to TensorBoard."""
        for name, array in self._pictures.items():
            run.image(name, array, step)
            board.image(name, array, step)


def refuse_unknown_volumes(chosen: Collection[str], names: Sequence[str]) -> None:
    """Raise BadInput for a volume of train.show_volumes that is not among those of the split."""
    for name in chosen:
        if name not in names:
            raise BadInput(f"train.show_volumes: {unknown(name, names)}.")


class WholeVolumes:
    """Shows every slice of chosen volumes, with the number of the slice as the step, so that one scrolls through them."""

    def __init__(self, chosen: Collection[str], names: Sequence[str], *, run: Run, board: Board) -> None:
        """names: of all volumes of the split."""
        self._chosen, self._names, self._run, self._board = chosen, names, run, board

    def __call__(self, volume: Reconstructed) -> None:
        """Watch an evaluation."""
        name = self._names[volume.number]
        if name in self._chosen:
            for place, index in enumerate(volume.slices):
                for panel, values in _panels(volume, place).items():
                    self._run.image(f"{name}/{panel}", as_picture(values), index)
                    self._board.image(f"{name}/{panel}", as_picture(values), index)


def _panels(volume: Reconstructed, place: int) -> dict[str, Tensor]:
    """Return pictures of one slice: reconstruction, truth, error, mask. White is the data range; the error is ERROR_GAIN times brighter."""
    image, target = volume.image[place], volume.target[place]
    panels = {
        "reconstruction": image / volume.maximum,
        "truth": target / volume.maximum,
        "error": ERROR_GAIN * (image - target).abs() / volume.maximum,
    }
    return panels | ({"mask": torch.cat(volume.masks)[place]} if volume.masks else {})


def _given(volume: Reconstructed, place: int) -> dict[str, Tensor]:
    panels = {"given": torch.cat(volume.given)[place] / volume.maximum, "truth": volume.target[place] / volume.maximum}
    return panels | ({"mask": torch.cat(volume.masks)[place]} if volume.masks else {})


def as_picture(values: Tensor) -> Picture:
    """Turn values (y, x) between 0 and 1 into a picture; what lies outside is black or white."""
    return (255 * values.float().clamp(0, 1)).round().to(torch.uint8).cpu().numpy()
