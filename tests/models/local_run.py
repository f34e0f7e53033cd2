"""The surroundings of a training run without an orchestrator: remembers what it is told, and can ask it to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np


class LocalRun:
    """Stands in for the context of one attempt. polls: how often stop_requested is asked before it says True."""

    class Interrupted(Exception):
        """The run stopped because it was asked to."""

    def __init__(self, folder: Path, *, resume_from: Path | None = None, polls: float = math.inf) -> None:
        self.id = folder.name
        self.needs: dict[str, Path] = {}
        self.dir = folder
        self.checkpoint_dir = folder / "checkpoint"
        self.resume_from = resume_from
        self.reports: dict[int, dict[str, float]] = {}
        self.images: dict[tuple[str, int], np.ndarray] = {}
        self.logged: list[str] = []
        self._polls = polls

    @property
    def stop_requested(self) -> bool:
        self._polls -= 1
        return self._polls < 0

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        self.reports[step] = {key: value for key, value in metrics.items() if key != "seconds"}

    def image(self, name: str, array: np.ndarray, step: int) -> None:
        self.images[name, step] = array

    def log(self, text: str) -> None:
        self.logged.append(text)
