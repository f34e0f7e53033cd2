"""The node's side of `doctor --probe`: says what it finds there, and meets the host in the runs folder."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from orchestrator.cluster.mounts import mount_of, read_mounts
from orchestrator.store.files import create_exclusive, read_json, write_atomic

PRIZES = 40
"""Files that both sides try to create, the node from the first, the host from the last."""
PACKAGES = ("numpy", "torch", "h5py")
POLL_S = 0.05
_STEP_S, _WAIT_S = 0.01, 300.0


@dataclass(frozen=True)
class ProbePaths:
    """Where host and node meet: the folder of the probe's submission."""

    dir: Path

    @property
    def report(self) -> Path:
        """What the node found; replaced as a whole when the node is done."""
        return self.dir / "report.json"

    @property
    def question(self) -> Path:
        """Created by the host after the node has looked for it in vain."""
        return self.dir / "question.json"

    @property
    def answer(self) -> Path:
        """When the node saw the question."""
        return self.dir / "answer.json"

    @property
    def lock(self) -> Path:
        """Locked by the node while it lives."""
        return self.dir / "lock"

    def prize(self, number: int) -> Path:
        return self.dir / f"prize-{number}"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the node found."""

    host: str
    user: int
    python: str
    cgroup: str = ""
    """cgroup/v1 or cgroup/v2; empty: the kernel shows none."""
    mem_limit_mb: float | None = None
    """The least memory limit of this process's control groups; None: there is none."""
    filesystem: str = ""
    tmp: str = ""
    tmp_free_gb: float = 0.0
    missing: tuple[str, ...] = ()
    """Packages that cannot be imported."""
    locked: bool = False
    done: bool = False
    won: tuple[int, ...] = ()
    """Prizes that the node created."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A time of day on the clock of one side."""

    at: float


def main(argv: list[str]) -> int:
    """Take part in the probe whose folder is named; the exit code is 0 when the host was met."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # the warning before the time limit may come early
    folder = Path(argv[0])
    paths = ProbePaths(folder)
    with open(paths.lock, "ab") as lock:
        report = msgspec.structs.replace(describe(folder), locked=_try_lock(lock.fileno()))
        write_atomic(paths.report, msgspec.json.encode(report))
        if not wait_for(lambda: read_json(paths.question, Moment), _WAIT_S):
            return 1
        write_atomic(paths.answer, msgspec.json.encode(Moment(at=time.time())))
        won = compete(paths, range(PRIZES))
        write_atomic(paths.report, msgspec.json.encode(msgspec.structs.replace(report, done=True, won=won)))
    return 0


def wait_for(look: Callable[[], object], wait_s: float) -> bool:
    """Look until there is something, for at most `wait_s`."""
    deadline = time.monotonic() + wait_s
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def compete(paths: ProbePaths, numbers: range) -> tuple[int, ...]:
    """Try to create every prize; return those that were created here."""
    won = []
    for number in numbers:
        if create_exclusive(paths.prize(number), f"{os.uname().nodename}\n".encode()):
            won.append(number)
        time.sleep(_STEP_S)
    return tuple(won)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def describe(folder: Path) -> Report:
    """Return what can be said of this machine without a second one."""
    version, limit_mb = memory_limit(Path("/proc/self/cgroup").read_text(), Path("/sys/fs/cgroup"))
    tmp = tempfile.gettempdir()
    mount = mount_of(os.path.realpath(folder), read_mounts(Path("/proc/mounts").read_text(errors="surrogateescape")))
    return Report(
        host=os.uname().nodename,
        user=os.getuid(),
        python=f"{sys.executable} {'.'.join(map(str, sys.version_info[:3]))}",
        cgroup=version,
        mem_limit_mb=limit_mb,
        filesystem=mount.kind,
        tmp=tmp,
        tmp_free_gb=shutil.disk_usage(tmp).free / 1e9,
        missing=tuple(name for name in PACKAGES if importlib.util.find_spec(name) is None),
    )


def memory_limit(groups: str, root: Path) -> tuple[str, float | None]:
    """Return the version of the memory controller and the least limit above this process [MB].

    groups: text of /proc/self/cgroup. root: where control groups are mounted. A v1 limit of more than 2^60 bytes is none.
    """
    version, limits = "", []
    for line in groups.splitlines():
        _, controllers, group = line.split(":", 2)
        if "memory" in controllers.split(","):
            version, folder, name = "cgroup/v1", root / "memory", "memory.limit_in_bytes"
        elif not controllers and not version:
            version, folder, name = "cgroup/v2", root, "memory.max"
        else:
            continue
        place = folder / group.strip("/")
        for level in (place, *place.parents):
            limits += _limit(level / name)
            if level == folder:
                break
    return version, min(limits, default=None)


def _limit(path: Path) -> list[float]:
    try:
        text = path.read_text().strip()
    except OSError:
        return []
    return [int(text) / 2**20] if text.isdigit() and int(text) < 2**60 else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
