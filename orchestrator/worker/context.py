"""The object `run` that an entry gets: its folders, reports, needs, and the wish that it stops."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.metrics.lines import as_number, flatten
from orchestrator.store.files import Journal, make_dir, write_atomic
from orchestrator.store.layout import AttemptPaths


class Interrupted(Exception):
    """Raised by an entry that stops because it was asked to, and wants to go on later from its checkpoint."""


class Run:
    """One attempt of a run, as its code sees it.

    An entry is `def train(config: dict, run: Run) -> dict`: it returns its metrics, {name: number}. When
    `run.stop_requested` turns true it has the time of the warning to save a checkpoint into `run.checkpoint_dir`, and
    then does `raise run.Interrupted`; whatever it raises after the warning counts as the interruption.
    """

    Interrupted = Interrupted

    def __init__(self, paths: AttemptPaths, *, run_id: str, attempt: int, resume_from: Path | None, needs: Mapping[str, Path]) -> None:
        self.id = run_id
        """16 hex digits."""
        self.dir = paths.dir
        """Folder of this attempt; what the run writes belongs here."""
        self.attempt = attempt
        """1 at the first start."""
        self.resume_from = resume_from
        """Folder of the checkpoint to continue from; None: start from nothing."""
        self.needs = dict(needs)
        """Name → checkpoint of another run, as the grid file asked."""
        self._paths = paths
        self._journal: Journal | None = None
        self._stop = False

    @property
    def stop_requested(self) -> bool:
        """Somebody wants this attempt to end soon: time limit, preemption, a person."""
        return self._stop

    def request_stop(self) -> None:
        """Turn `stop_requested` on; called from a signal handler."""
        self._stop = True

    @property
    def checkpoint_dir(self) -> Path:
        """Folder of this attempt's checkpoints. Write aside under a name that begins with a dot, then rename."""
        make_dir(self._paths.checkpoint)
        return self._paths.checkpoint

    def report(self, step: int, values: Mapping[str, object] | None = None, /, **metrics: object) -> None:
        """Record metrics at a step, as keywords or as a mapping for names such as "val/ssim".

        One self-contained line of metrics.jsonl, with the file system on return. Tensors and arrays of one element
        are taken as numbers, nested mappings are joined by "/". Raises TypeError for a value that is no metric.
        """
        line = {name: _metric(name, value) for name, value in flatten({**(values or {}), **metrics})}
        if self._journal is None:
            self._journal = Journal(self._paths.metrics)
        self._journal.append({**line, "step": as_number(step)}, durable=False)

    def log(self, *words: object) -> None:
        """Print a line into the attempt's log."""
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        sys.stdout.flush()

    def image(self, name: str, array: Any, step: int = 0) -> Path:
        """Save a picture, images/<name>-<step>.png, and return its path.

        array: (y, x), (1, y, x) or (y, x, 3), a tensor or array; complex values are shown by magnitude, anything but
        uint8 is scaled from its smallest to its largest finite value. Raises TypeError for another shape.
        """
        make_dir(self._paths.images)
        path = self._paths.images / f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', name).lstrip('.')[:100] or 'image'}-{step:06d}.png"
        write_atomic(path, _png(_pixels(name, array)), durable=False)
        return path


def _metric(name: str, value: object) -> object:
    try:
        return as_number(value)
    except TypeError as error:
        raise TypeError(f"report: {name} {error}") from None


_COLOURS = (3, 4)
"""How many values a pixel may have: red, green, blue, and its opacity."""


def _pixels(name: str, array: Any) -> Any:
    """Return a picture as a numpy array, (y, x) or (y, x, colour). Raises TypeError for another shape."""
    import numpy as np

    pixels = np.asarray(array.detach().cpu() if hasattr(array, "detach") else array)
    has_colours = pixels.ndim == 3 and pixels.shape[2] in _COLOURS
    if pixels.ndim == 2 or has_colours:
        return pixels
    if pixels.ndim == 3 and len(pixels) == 1:
        return pixels[0]
    raise TypeError(f"image: {name} has the shape {pixels.shape}; give (y, x), or (y, x, 3) with the channels last")


def _png(pixels: Any) -> bytes:
    """Return a picture as a file. pixels: (y, x) or (y, x, colour), a numpy array."""
    import numpy as np
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    window = PngInfo()
    if pixels.dtype != np.uint8:
        pixels = np.abs(pixels) if np.iscomplexobj(pixels) else pixels.astype(np.float64)
        finite = pixels[np.isfinite(pixels)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        window.add_text("low", repr(low))
        window.add_text("high", repr(high))
        scaled = (np.nan_to_num(pixels, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0)
        pixels = (255.0 * scaled + 0.5).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", pnginfo=window)
    return stream.getvalue()
