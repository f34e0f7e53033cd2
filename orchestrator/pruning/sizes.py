"""What files and folders take on disk."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

import msgspec

BLOCK = 512
"""Bytes of a unit of st_blocks, on every filesystem (man 2 stat)."""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Space on disk, and the number of files."""

    bytes: int = 0
    files: int = 0

    @property
    def text(self) -> str:
        """Return "1.2 GB", for people."""
        return told_bytes(self.bytes)

    def __add__(self, other: Size) -> Size:
        return Size(bytes=self.bytes + other.bytes, files=self.files + other.files)


def told_bytes(number: int) -> str:
    """Return a number of bytes as "512 B" or "1.2 GB"."""
    size = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def measure(path: Path) -> Size:
    """Return what a file, or a folder with all below it, takes on disk.

    Links count as themselves and are not followed, a file with several names counts once, and what may not be read counts nothing.
    """
    seen: set[tuple[int, int]] = set()
    try:
        status = path.lstat()
    except OSError:
        return Size()
    total = _count(status, seen)
    if stat.S_ISDIR(status.st_mode):
        total += _measure_content(path, seen)
    return total


def _measure_content(path: Path, seen: set[tuple[int, int]]) -> Size:
    """Walk with a list of folders: os.fwalk calls itself, and a run may have made folders a thousand deep."""
    total, folders = Size(), [os.fspath(path)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    total += _count(entry.stat(follow_symlinks=False), seen)
                    folders += [entry.path] if entry.is_dir(follow_symlinks=False) else []
    return total


def _count(status: os.stat_result, seen: set[tuple[int, int]]) -> Size:
    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
        if (status.st_dev, status.st_ino) in seen:
            return Size()
        seen.add((status.st_dev, status.st_ino))
    return Size(bytes=status.st_blocks * BLOCK, files=0 if stat.S_ISDIR(status.st_mode) else 1)
