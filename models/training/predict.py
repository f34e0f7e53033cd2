"""Predictions: what a network makes of the test volumes, in one HDF5 file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
import torch
from torch import Tensor

from data.whole_files import written_whole
from models.training.evaluate import Reconstructed

PREDICTIONS = "predictions.h5"


class Predictions:
    """Writes a group for each volume that an evaluation completes: {volume}/input, result, truth (slice, y, x), slice (slice,).

    The file carries run, checkpoint (whose weights) and epoch; each group volume, task and maximum. It appears when all is written.
    """

    def __init__(self, path: Path, names: Sequence[str], tasks: Sequence[str], *, run_id: str, checkpoint: str, epoch: int) -> None:
        self._path = path
        self._names = names
        self._tasks = tasks
        self._about = {"run": run_id, "checkpoint": checkpoint, "epoch": epoch, "axes": "slice, y, x"}
        self._opened = ExitStack()

    def __enter__(self) -> Predictions:
        self._file: h5py.File = self._opened.enter_context(written_whole(self._path))
        self._file.attrs.update(self._about)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._opened.__exit__(kind, error, trace)

    def __call__(self, volume: Reconstructed) -> None:
        """Watch an evaluation."""
        group = self._file.create_group(self._names[volume.number])
        for name, images in (("input", torch.cat(volume.given)), ("result", volume.image), ("truth", volume.target)):
            group.create_dataset(name, data=_as_float32(images))
        group.create_dataset("slice", data=np.asarray(volume.slices))
        about = {"run": self._about["run"], "volume": self._names[volume.number], "task": self._tasks[volume.task], "max": volume.maximum}
        group.attrs.update(about)


def _as_float32(images: Tensor) -> np.ndarray:
    return images.float().cpu().numpy()
