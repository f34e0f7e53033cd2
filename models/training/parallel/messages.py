"""What the parent and the processes of a training say to each other, over a Unix socket of their own."""

from __future__ import annotations

import pickle
import signal
import traceback
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

WARNINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Sent to all processes of a job; only the parent obeys them, and the others obey the parent."""


class Start(NamedTuple):
    """From the parent, first: what to train, and what context.Run says of it."""

    config: dict[str, Any]
    id: str
    needs: dict[str, Path]
    dir: Path
    checkpoint_dir: Path
    resume_from: Path | None


class Stop(NamedTuple):
    """From the parent: write a checkpoint and end."""


class Report(NamedTuple):
    """To the parent: metrics of an epoch."""

    step: int
    metrics: Mapping[str, float]


class Picture(NamedTuple):
    """To the parent: a picture, (y, x) uint8."""

    name: str
    array: NDArray[np.uint8]
    step: int


class Line(NamedTuple):
    """To the parent: a line of the log."""

    text: str


class Done(NamedTuple):
    """To the parent, last: what training returned."""

    results: dict[str, float]


class Stopped(NamedTuple):
    """To the parent, last: there is a checkpoint, and it goes on another time."""


class Failed(NamedTuple):
    """To the parent, last: what was raised."""

    error: BaseException


def failed(error: BaseException, place: str) -> Failed:
    """Return the message for an error, with its traceback as a note. One that cannot be sent becomes a RuntimeError of its text."""
    error.add_note(f"in {place}:\n{''.join(traceback.format_exception(error)).rstrip()}")
    try:
        pickle.dumps(copy(error))
    except Exception:  # whatever the class of a stranger does when it is copied
        told = RuntimeError(f"{type(error).__name__}: {error}")
        told.__notes__ = error.__notes__
        return Failed(told)
    return Failed(error)
