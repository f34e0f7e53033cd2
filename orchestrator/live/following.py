"""Follows the log of one run: the end of it, then what is added, read by seek."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from orchestrator.grid.manifest import Manifest
from orchestrator.store.layout import GridPaths
from orchestrator.store.records import Record
from orchestrator.store.states import FINAL
from orchestrator.worker.logs import readable

TAIL_BYTES = 64 * 1024
MOST_LINES = 2000
"""So many lines are kept for scrolling back."""

_REWRITTEN = re.compile(r"[^\n]*\r(?=[^\n])")
"""What a progress bar wrote over."""


class Output(NamedTuple):
    """A log, and what to say while there is nothing in it."""

    file: Path | None
    """None: there is none."""
    told: str


def find_output(paths: GridPaths, manifest: Manifest, record: Record) -> Output:
    """Return the log of the newest attempt; before the first one that of the prepare command that the run waits for."""
    attempt = record.current
    if attempt is not None:
        folder = paths.run(record.id).attempt(attempt.number, attempt.restart)
        return Output(folder.log, f"{folder.dir.name}: nothing is written{'' if record.state in FINAL else ' yet'}")
    if record.adopted_from:
        return Output(None, f"computed by grid {record.adopted_from}")
    if manifest.prepare:
        return Output(paths.prepare(manifest.prepare).log, "its prepare command: nothing is written yet")
    return Output(None, "has not started")


class Follower:
    """Reads one log, piece by piece."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: list[str] = []
        """The last lines, fit for a terminal."""
        self._rest = b""
        self._position: int | None = None

    def read(self) -> bool:
        """Take in what was added; say whether anything was. A log that became shorter is read anew."""
        try:
            with open(self.file, "rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                if self._position is None or size < self._position:
                    self.lines, self._rest, self._position = [], b"", max(0, size - TAIL_BYTES)
                elif size - self._position > TAIL_BYTES:
                    self._rest, self._position = b"", size - TAIL_BYTES
                stream.seek(self._position)
                piece = stream.read(TAIL_BYTES)
        except OSError:
            return False
        self._position += len(piece)
        self._take(piece)
        return bool(piece)

    @property
    def shown(self) -> list[str]:
        """All lines, the unfinished last one as well."""
        return [*self.lines, *_plain(self._rest)] if self._rest else self.lines

    def _take(self, piece: bytes) -> None:
        whole, newline, rest = (self._rest + piece).rpartition(b"\n")
        self._rest = rest[-TAIL_BYTES:]
        if newline:
            self.lines = [*self.lines, *_plain(whole)][-MOST_LINES:]


def _plain(content: bytes) -> list[str]:
    """Return the lines without what could steer a terminal; of a line that was written over and over the last state."""
    text = content.removesuffix(b"\r").decode(errors="replace").replace("\r\n", "\n")
    return [line.expandtabs(4) for line in readable(_REWRITTEN.sub("", text))]
