"""Which process is meant: host, boot, pid and start time together name one for ever; a pid alone is reused."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A process of some machine."""

    host: str
    boot_id: str
    pid: int
    start_time: float
    """Seconds between the boot and the start. Not a time of day: that of the boot wanders when the clock is set."""


@cache
def boot_id() -> str:
    """Return the id that the kernel drew when this machine started."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def current_process() -> Identity:
    """Return the identity of this process."""
    return identify(os.getpid())


def identify(pid: int) -> Identity:
    """Return the identity of a process of this host; raises ProcessLookupError when there is none."""
    return Identity(host=socket.gethostname(), boot_id=boot_id(), pid=pid, start_time=_start(pid))


def _start(pid: int) -> float:
    """Return field 22 of /proc/<pid>/stat, proc(5), in seconds; the command's name before it may hold blanks and brackets."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    if fields[0] in ("Z", "X"):
        raise ProcessLookupError(pid)  # dead, and only not buried
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def is_here(identity: Identity) -> bool:
    """Say whether the process belongs to this host, so that its life can be judged."""
    return identity.host == socket.gethostname()


def is_alive(identity: Identity) -> bool | None:
    """Say whether the process still runs; None when it belongs to another host and cannot be seen."""
    if not is_here(identity):
        return None
    if identity.boot_id != boot_id():
        return False
    try:
        return _start(identity.pid) == identity.start_time
    except ProcessLookupError:
        return False
