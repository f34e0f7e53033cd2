"""A real terminal: the command runs in a pseudo terminal, and what it writes is drawn on a screen of memory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pyte

from tests.cli.conftest import MRSWEEP, Project

KEYS = {"enter": "\r", "escape": "\x1b", "up": "\x1b[A", "down": "\x1b[B", "pagedown": "\x1b[6~", "end": "\x1b[F", "home": "\x1b[H"}


class Screen:
    """A command before a person: 24 lines of 80 columns unless it is said otherwise."""

    def __init__(self, project: Project, *arguments: str, columns: int = 80, lines: int = 24, **environment: str) -> None:
        ours, theirs = pty.openpty()
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.sent = b""
        """All that the command wrote."""
        self.shell = termios.tcgetattr(theirs)
        """How the terminal was set before."""
        _set_size(theirs, columns, lines)
        plain = {name: value for name, value in project.environment.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(
            [MRSWEEP, *arguments],
            cwd=project.folder,
            env={**plain, "TERM": "xterm-256color", **environment},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self._theirs = theirs  # kept open, so that its settings can be read when the command has ended
        self._ours = ours

    @property
    def lines(self) -> list[str]:
        """What stands on the screen now."""
        self._take()
        return [line.rstrip() for line in self._screen.display]

    @property
    def bold(self) -> str:
        """The lines that stand out on the screen now: the one under the cursor among them."""
        shown = zip(self.lines, range(self._screen.lines), strict=True)
        return "\n".join(line for line, row in shown if self._screen.buffer[row][self._screen.columns - 4].bold)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def settings(self) -> list[object]:
        """How the terminal is set now."""
        return termios.tcgetattr(self._theirs)

    def type(self, *keys: str) -> None:
        """Press keys: names of KEYS, or text."""
        for key in keys:
            os.write(self._ours, KEYS.get(key, key).encode())

    def resize(self, columns: int, lines: int) -> None:
        """Make the window larger or smaller."""
        self._take()
        self._screen.resize(lines, columns)
        _set_size(self._ours, columns, lines)

    def until(self, truth: Callable[[str], object], within_s: float = 30.0) -> str:
        """Return the screen once it is as wanted."""
        deadline = time.monotonic() + within_s
        while not truth(text := self.text):
            assert time.monotonic() < deadline, f"\n{text}"
            assert self.process.poll() is None, f"it ended with {self.process.returncode}\n{text}"
        return text

    def end(self, within_s: float = 30.0) -> int:
        """Wait for the end of the command; return its exit code."""
        deadline = time.monotonic() + within_s
        while self.process.poll() is None:
            self._take()
            assert time.monotonic() < deadline, f"it does not end\n{self.text}"
        self._take()
        return self.process.returncode

    def close(self) -> None:
        """End the terminal, as a lost ssh connection does."""
        os.close(self._theirs)
        os.close(self._ours)
        self._ours = self._theirs = -1

    def leave(self) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for descriptor in {self._ours, self._theirs} - {-1}:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _take(self) -> None:
        """Draw what was written since."""
        while self._ours >= 0 and select.select([self._ours], [], [], 0.05)[0]:
            try:
                piece = os.read(self._ours, 65536)
            except OSError:  # the other side is closed
                return
            self.sent += piece
            self._stream.feed(piece)


def _set_size(descriptor: int, columns: int, lines: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def snapshot_of(folder: Path) -> dict[str, bytes]:
    """Return path → content of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
