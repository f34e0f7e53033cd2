"""The surroundings of a training run that nobody manages: one folder, one process, the terminal as its log."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from PIL import Image

from models.training.checkpoint import STATE_PATTERN


class Stopped(BaseException):
    """The run was asked to stop, and has written a checkpoint."""


class AloneRun:
    """What models/training/context.py asks for, in a folder of its own.

    metrics.jsonl holds the training history, a line an epoch, the last of equal steps counting; images/ the pictures; tb/ what
    TensorBoard shows; checkpoint/ what a later call goes on from. Ctrl-C and SIGTERM ask for a checkpoint and the end.
    """

    Interrupted: type[BaseException] = Stopped

    def __init__(self, folder: Path) -> None:
        self.dir = folder
        self.id = folder.resolve().name
        self.needs: dict[str, Path] = {}
        self.checkpoint_dir = folder / "checkpoint"
        self.stop_requested = False

    @property
    def resume_from(self) -> Path | None:
        """The folder of checkpoints, once it holds something."""
        return self.checkpoint_dir if any(self.checkpoint_dir.glob(STATE_PATTERN)) else None

    def stop_on_signals(self) -> None:
        """Let the first SIGINT or SIGTERM ask for the end; a second one ends at once."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask_to_stop)

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a line to metrics.jsonl."""
        self.dir.mkdir(parents=True, exist_ok=True)
        with open(self.dir / "metrics.jsonl", "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **metrics}) + "\n")
        shown = ("train/loss", "val/loss", "val/ssim", "lr")
        self.log(f"epoch {step}: " + ", ".join(f"{name} {metrics[name]:.4g}" for name in shown if name in metrics))

    def image(self, name: str, array: Any, step: int) -> None:
        """Write images/{name}-{step}.png."""
        path = self.dir / "images" / f"{name.replace('/', '_')}-{step:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(array)).save(path)

    def log(self, text: str) -> None:
        """Print a line."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def finish(self, results: Mapping[str, float]) -> None:
        """Write result.json."""
        self.dir.mkdir(parents=True, exist_ok=True)
        aside = self.dir / f".result.json.{os.getpid()}"
        aside.write_text(json.dumps(dict(results), indent=1) + "\n", encoding="utf-8")
        os.replace(aside, self.dir / "result.json")

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop_requested = True
        signal.signal(number, signal.SIG_DFL)
