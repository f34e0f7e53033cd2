"""What a training run needs of whoever starts it; any object with these members will do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Run(Protocol):
    """The context of one attempt at a run."""

    Interrupted: type[BaseException]
    """Raised after the checkpoint when `stop_requested` made training end early."""

    @property
    def id(self) -> str:
        """Name of the run, unique among all."""

    @property
    def needs(self) -> Mapping[str, Path]:
        """Name → folder of the checkpoint of another run, as a grid asks for it."""

    @property
    def dir(self) -> Path:
        """Folder of this attempt; TensorBoard files go to tb/ below it."""

    @property
    def checkpoint_dir(self) -> Path:
        """Folder for what a later attempt continues from."""

    @property
    def resume_from(self) -> Path | None:
        """checkpoint_dir of an earlier attempt, or None."""

    @property
    def stop_requested(self) -> bool:
        """True once the run should write a checkpoint and end."""

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record metrics of an epoch."""

    def image(self, name: str, array: Any, step: int) -> None:
        """Keep a picture, (y, x) uint8."""

    def log(self, text: str) -> None:
        """Write one line to the log of the run."""
