"""Copies of files on the node's own disk, made once and shared by all runs on the node."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import BadInput

_log = logging.getLogger(__name__)


def cache_folder(setting: str) -> Path | None:
    """Return the folder of data.cache, in which $TMPDIR and the like are replaced; None where it is empty."""
    if not setting:
        return None
    expanded = os.path.expandvars(setting)
    if "$" in expanded:
        raise BadInput(
            f"data.cache is '{setting}'; on this node no such variable is set. Name a folder that every node has, or leave it out."
        )
    return Path(expanded)


def cached(path: Path, folder: Path) -> Path:
    """Return the copy of `path` in `folder`, made now unless it is there. A source of other size or date gets another copy.

    A copy is there as a whole or not at all; of several processes one copies and the others wait. Where the disk is full or refuses,
    `path` itself is returned, with a warning: reading goes on, only slower.
    """
    try:
        target = folder / _name(path)
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with _locked(folder / f".{target.name}.lock"):
                if not target.exists():
                    _copy(path, target)
        return target
    except OSError as error:
        _log.warning("%s: no copy in data.cache %s (%s); it is read where it is", path, folder, error)
        return path


def note_about(path: Path, folder: Path, subject: str) -> Path:
    """Return where in `folder` a note about `path` has its place. A file of other size or date has another place."""
    return folder / f"{_name(path)}.{subject}"


def _name(path: Path) -> str:
    status = path.stat()
    source = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    return f"{hashlib.sha256(source.encode()).hexdigest()[:16]}-{path.name}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process; the folder is on the node's own disk, where such locks work."""
    with open(path, "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _copy(path: Path, target: Path) -> None:
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        shutil.copyfile(path, aside)
        os.replace(aside, target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
