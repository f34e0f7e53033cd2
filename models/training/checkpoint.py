"""Checkpoints: written whole or not at all, checked when read, the one before kept until the next is complete."""

from __future__ import annotations

import os
import pickle
import uuid
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

from data.whole_files import sync

BEST = "best.pt"
"""Weights of the best epoch with the config that made them: what evaluation and transfer read."""
STATE_PATTERN = "state-*.pt"


def save_state(folder: Path, state: Mapping[str, Any], *, epoch: int, batches: int, keep: int) -> Path:
    """Write the full state of training; afterwards remove all but the `keep` newest. Names sort by epoch and batch."""
    path = folder / f"state-{epoch:06d}-{batches:09d}.pt"
    write_whole(path, state)
    drop_states(folder, keep=keep)
    return path


def drop_states(folder: Path, *, keep: int) -> None:
    """Remove all states but the `keep` newest."""
    for path in sorted(folder.glob(STATE_PATTERN))[:-keep]:
        path.unlink()


def load_newest_state(folder: Path, log: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the newest undamaged state in `folder`, its tensors on the CPU; None when there is none. Damaged ones are logged."""
    for path in sorted(folder.glob(STATE_PATTERN), reverse=True):
        state = _read_or_log(path, log)
        if state is not None:
            return state
    return None


class Damaged(Exception):
    """A checkpoint that is torn or whose bytes have changed."""


def _read_or_log(path: Path, log: Callable[[str], None]) -> dict[str, Any] | None:
    try:
        return read_whole(path)
    except Damaged as error:
        log(f"{error}; the checkpoint before it is used, if there is one")
        return None


def write_whole(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as a plain torch.save file: torch.load(path, weights_only=True) reads it."""
    save_whole(path, lambda stream: torch.save(dict(content), stream))


def save_whole(path: Path, save: Callable[[BinaryIO], object]) -> None:
    """Let `save` write aside, sync, rename. The folder is made where there is none.

    Aside is beside the folder, not in it: a folder that is not empty holds a checkpoint.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.parent.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with open(aside, "xb") as stream:
            save(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def read_whole(path: Path) -> dict[str, Any]:
    """Load a file of `write_whole`. Raises Damaged when its end or a checksum (CRC-32 of each part) does not fit."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken is not None:
            raise Damaged(f"{path}: its part {broken} is damaged")
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, EOFError, RuntimeError, pickle.UnpicklingError, NotImplementedError) as error:
        raise Damaged(f"{path}: is torn or damaged ({error})") from error
    return content
