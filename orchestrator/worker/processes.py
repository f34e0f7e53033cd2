"""Child processes: started so that they die with the worker, watched without being reaped, ended as a whole group."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)

BLOCKED = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})
"""Signals that a worker takes one at a time, when it waits; they stay pending in between, so none is lost."""


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended: with a code, or by a signal."""

    code: int | None = None
    signal: int | None = None

    def __str__(self) -> str:
        if self.signal is None:
            return f"exited with code {self.code}"
        known = self.signal in set(signal.Signals)
        return f"was killed by {signal.Signals(self.signal).name if known else f'signal {self.signal}'}"


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; end at once when it already has."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def volunteer_for_oom() -> None:
    """Let the kernel, short of memory, take a run rather than its worker; refused in some containers."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def exit_of(pid: int) -> Exit | None:
    """Return how a child ended, None while it lives; it stays a zombie, so that its group's number is not used again."""
    status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if status is None:
        return None
    return Exit(code=status.si_status) if status.si_code == os.CLD_EXITED else Exit(signal=status.si_status)


def signal_process(pid: int, number: int) -> None:
    """Signal one process; one that is gone is passed over."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def signal_group(pid: int, number: int) -> None:
    """Signal the process group that `pid` leads."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def spawn(argv: list[str], environ: Mapping[str, str], stdin: bytes = b"") -> int:
    """Start a fresh process in a session of its own, with all signals as this process has them; return its pid."""
    descriptor = os.memfd_create("stdin")
    try:
        os.write(descriptor, stdin)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return os.posix_spawn(argv[0], argv, environ, file_actions=[(os.POSIX_SPAWN_DUP2, descriptor, 0)], setsid=True)
    finally:
        os.close(descriptor)


def family(pid: int) -> list[int]:
    """Return a process and all its descendants, from the kernel's lists of children."""
    found = [pid]
    for member in found:
        found.extend(_children(member))
    return found


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as stream:
                yield from map(int, stream.read().split())


class Guard:
    """A tiny process that outlives the worker for a moment and kills what is left of its children's groups.

    The kernel kills the children of a killed worker (die_with), but not their own: the programs that a shell script
    started. The guard sees the worker's end as the end of a pipe.
    """

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._writer)
            _stand_guard(reader)
        os.close(reader)

    @property
    def descriptor(self) -> int:
        """The pipe's end that a forked child has to close."""
        return self._writer

    def watch(self, group: int) -> None:
        """Name a group that must not outlive the worker."""
        os.write(self._writer, b"+%d\n" % group)

    def forget(self, group: int) -> None:
        """Take a group off the list, before its number can be used again."""
        os.write(self._writer, b"-%d\n" % group)

    def dismiss(self) -> None:
        """Let the guard end."""
        os.close(self._writer)
        os.waitpid(self._pid, 0)


def _stand_guard(reader: int) -> None:
    """Keep the list of groups until the pipe ends; never returns."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    groups: set[int] = set()
    with os.fdopen(reader, "rb") as stream:
        _follow(stream, groups)
    for group in groups:
        signal_group(group, signal.SIGKILL)
    os._exit(0)


def _follow(lines: Iterable[bytes], groups: set[int]) -> None:
    for line in lines:
        group = int(line[1:])
        groups.add(group) if line[:1] == b"+" else groups.discard(group)
