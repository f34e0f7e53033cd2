"""One command as a process of its own that can be made to fail, to be torn off, to be killed or frozen at any of its operations."""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from orchestrator.store.process import Identity


class Killed(BaseException):
    """The process is dead; nothing of it may touch the world any more."""


class Mode(Enum):
    """What happens at a point."""

    IO_ERROR = "fails (EIO)"
    FULL = "fails, the disk stays full (ENOSPC)"
    DIE = "dies before it"
    TORN = "writes half and dies"
    HOLLOW = "renames, the content is lost, and dies"
    FROZEN = "freezes before it while another watchdog does a round"
    KILL = "is killed by SIGKILL before it"
    NO = "is refused"
    LOST = "is done and not answered"
    SILENCE = "is not heard"
    LATE = "is carried out when the controller thaws"
    FORGOTTEN = "is answered, forgotten, and its id given to a stranger"
    REUSED = "is answered, forgotten, and its id given to the next array"
    DIE_AFTER = "dies when it was done and not recorded"
    KILL_AFTER = "is killed by SIGKILL when it was done and not recorded"


DISK = (Mode.IO_ERROR, Mode.FULL, Mode.DIE, Mode.FROZEN)
CALLS = {
    "sbatch": (Mode.NO, Mode.LOST, Mode.SILENCE, Mode.LATE, Mode.FORGOTTEN, Mode.REUSED, Mode.DIE, Mode.DIE_AFTER, Mode.FROZEN),
    "squeue": (Mode.SILENCE, Mode.DIE, Mode.DIE_AFTER, Mode.FROZEN),
    "sacct": (Mode.SILENCE, Mode.DIE),
    "scancel": (Mode.LOST, Mode.SILENCE, Mode.DIE, Mode.DIE_AFTER, Mode.FROZEN),
    "scontrol": (Mode.NO, Mode.LOST, Mode.SILENCE, Mode.DIE, Mode.DIE_AFTER, Mode.FROZEN),
}
"""Operation → how it may go wrong."""

ANSWERS = {
    Mode.NO: "no",
    Mode.LOST: "lost",
    Mode.SILENCE: "silence",
    Mode.LATE: "late",
    Mode.FORGOTTEN: "forgotten",
    Mode.REUSED: "reused",
}


class Point(NamedTuple):
    """One operation of a command."""

    number: int
    operation: str
    place: str
    durable: bool = True

    @property
    def modes(self) -> tuple[Mode, ...]:
        if self.operation in CALLS:
            return CALLS[self.operation]
        extra = {"write": (Mode.TORN,), "rename": () if self.durable else (Mode.HOLLOW,)}
        return DISK + extra.get(self.operation, ())


class Fault(NamedTuple):
    """What goes wrong, and where: at the n-th operation, or at the n-th of one kind."""

    number: int
    mode: Mode
    operation: str = ""


@dataclass
class Act:
    """A process that carries out one command."""

    identity: Identity
    fault: Fault | None = None
    freeze: Callable[[], object] = lambda: None
    alive: bool = True
    points: list[Point] = field(default_factory=list)
    struck: bool = False
    """The fault came to pass."""
    _full: bool = False
    _torn: tuple[Path, int] | None = None
    _kill_after: Mode | None = None

    def on_disk(self, operation: str, path: Path | str) -> None:
        """Called before each operation that changes the disk."""
        mode = self._reach(operation, Path(path))
        if self._full and operation in ("write", "mkdir", "link"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        match mode:
            case Mode.IO_ERROR:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            case Mode.FULL:
                self._full = True
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            case Mode.TORN if operation == "write":
                self._torn = (Path(path), Path(path).stat().st_size if Path(path).exists() else 0)
            case Mode.HOLLOW if operation == "rename" and not self.points[-1].durable:
                self._torn = (Path(path), -1)

    def on_call(self, operation: str) -> str:
        """Called before each call of the scheduler; returns how it is answered."""
        mode = self._reach(operation, Path())
        if mode in (Mode.DIE_AFTER, Mode.KILL_AFTER):
            self._kill_after = mode
        return ANSWERS.get(mode, "yes") if mode else "yes"

    def after_call(self) -> None:
        """Called when the scheduler has done what it was asked."""
        if self._kill_after:
            self._die(real=self._kill_after is Mode.KILL_AFTER)

    def finish(self) -> None:
        """End well, unless the last write is still to be torn."""
        if self._torn and self.alive:
            self._tear()
        self.alive = False

    def _reach(self, operation: str, path: Path) -> Mode | None:
        if not self.alive:
            raise Killed
        if self._torn:
            self._tear()
            self._die()
        durable = not (operation == "rename" and self.points and self.points[-1].operation == "write")
        self.points.append(Point(len(self.points) + 1, operation, plain_place(path), durable))
        if self.fault is None or not self._is_meant(operation):
            return None
        self.struck = True
        match self.fault.mode:
            case Mode.DIE | Mode.KILL:
                self._die(real=self.fault.mode is Mode.KILL)
            case Mode.FROZEN:
                self.freeze()
        return self.fault.mode

    def _is_meant(self, operation: str) -> bool:
        assert self.fault is not None
        wanted = self.fault.operation
        return wanted in ("", operation) and self.fault.number == sum(wanted in ("", point.operation) for point in self.points)

    def _tear(self) -> None:
        assert self._torn is not None
        path, before = self._torn
        self._torn = None
        if path.exists():
            whole = path.stat().st_size
            os.truncate(path, 0 if before < 0 else before + (whole - before) // 2)

    def _die(self, *, real: bool = False) -> None:
        if real:
            os.kill(os.getpid(), signal.SIGKILL)
        self.alive = False
        raise Killed


_NAMES = (
    (re.compile(r"\d{8}\.jsonl"), "SEGMENT.jsonl"),
    (re.compile(r"[0-9a-f]{16}"), "RUN"),
    (re.compile(r"\.[0-9a-f]{8}\b"), ".ASIDE"),
    (re.compile(r"[A-Za-z0-9_]+-\d{6}-[0-9a-f]{8}"), "TOKEN"),
)


def plain_place(path: Path) -> str:
    """Return the last three parts of a path, with names that chance made replaced by what they are."""
    text = "/".join(path.parts[-3:])
    for pattern, word in _NAMES:
        text = pattern.sub(word, text)
    return text
