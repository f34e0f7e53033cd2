"""Daemons of the test cluster: started in the foreground of a session of their own, known by pid and start time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

POLL_S = 0.05
FOLDER_MARK, NODE_MARK = b"MRSWEEP_SLURM_DAEMON_OF", b"MRSWEEP_SLURM_NODE"
"""Environment variables of the daemons; what a daemon starts inherits them, its jobs do not."""


SLURM_PREFIXES = ("SLURM_", "SBATCH_", "SQUEUE_", "SINFO_", "SACCT_", "SALLOC_", "SCANCEL_", "SRUN_", "SCONTROL_")


class ClusterDown(Exception):
    """The test cluster cannot be used; the text says why, and ends with a daemon's last log lines where there are some."""


def wait_until(truth: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Poll `truth`; raise ClusterDown naming `what` when it does not hold in time."""
    deadline = time.monotonic() + within_s
    while not truth():
        if time.monotonic() > deadline:
            raise ClusterDown(f"{what}: not within {within_s:g} s")
        time.sleep(POLL_S)


def without_slurm(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out what changes the meaning of Slurm's commands: SBATCH_*, SQUEUE_FORMAT, SLURM_JOB_ID …"""
    return {key: value for key, value in environ.items() if not key.startswith(SLURM_PREFIXES)}


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """One background process, found again through its pid file."""

    name: str
    argv: tuple[str, ...]
    run_dir: Path
    log_dir: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def pid_file(self) -> Path:
        return self.run_dir / f"{self.name}.pid"

    def pid(self) -> int | None:
        """Return the process id while this very process lives; a reused id does not count."""
        try:
            pid, started = self.pid_file.read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if start_ticks(int(pid)) == started else None

    def start(self) -> None:
        """Start the daemon; one that runs is left alone."""
        if self.pid() is not None:
            return
        with open(self.log_dir / f"{self.name}.out", "ab") as out:
            process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                env=daemon_environment() | self.env,
                start_new_session=True,
            )
        self.pid_file.write_text(f"{process.pid} {start_ticks(process.pid)}")
        process.returncode = 0  # detached: its end is seen in /proc, not through this object

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if the daemon lives."""
        pid = self.pid()
        if pid is not None:
            send(pid, number)

    def kill(self) -> None:
        """End the daemon at once, frozen or not, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self._wait_gone(within_s=10)

    def stop(self) -> None:
        """Ask the daemon to end, as an administrator would, and wait for it."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        self._wait_gone(within_s=30)

    def _wait_gone(self, *, within_s: float) -> None:
        wait_until(lambda: self.pid() is None, within_s=within_s, what=f"end of {self.name}")
        self.pid_file.unlink(missing_ok=True)

    def last_words(self, lines: int = 15) -> str:
        """Return the ends of the daemon's log and of what it printed."""
        texts = [path.read_text(errors="replace").splitlines()[-lines:] for path in self._logs() if path.is_file()]
        return "\n".join(f"  {self.name}: {line}" for text in texts for line in text)

    def _logs(self) -> tuple[Path, Path]:
        return self.log_dir / f"{self.name}.out", self.log_dir / f"{self.name}.log"


def daemon_environment() -> dict[str, str]:
    """Return a small environment: nothing that a caller has set reaches a daemon."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C", "HOME": "/root"}


def run_quietly(argv: tuple[str, ...], env: Mapping[str, str], *, timeout_s: float = 60) -> str:
    """Run a command and return what it printed; raise ClusterDown with its last lines when it fails or hangs."""
    try:
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL, cwd="/")
    except (subprocess.TimeoutExpired, FileNotFoundError) as error:
        raise ClusterDown(str(error)) from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-1500:]
        raise ClusterDown(f"{' '.join(argv)}: {said} (exit {done.returncode})")
    return done.stdout


def start_ticks(pid: int) -> str | None:
    """Return when a living process started (field 22 of /proc/PID/stat); None for a zombie or no process."""
    _reap(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _reap(pid: int) -> None:
    """Collect a child of this process that has ended; another's child is its own parent's affair."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that ended meanwhile is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def processes_of(folder: Path) -> Iterator[int]:
    """Yield every process of the cluster in `folder`: its daemons and job steps, and what its jobs run."""
    conf = os.fsencode(folder / "etc" / "slurm.conf")
    for pid, variables in _environments():
        if variables.get(FOLDER_MARK) == os.fsencode(folder) or _job_node(variables, conf) is not None:
            yield pid


def step_daemons_of(folder: Path, node: str) -> Iterator[int]:
    """Yield the slurmstepd processes of one virtual node; its slurmd is known by its pid file."""
    for pid, variables in _environments():
        if variables.get(FOLDER_MARK) == os.fsencode(folder) and variables.get(NODE_MARK) == node.encode() and _is_step_daemon(pid):
            yield pid


def job_processes_of(folder: Path, node: str) -> Iterator[int]:
    """Yield what jobs run on one virtual node."""
    conf = os.fsencode(folder / "etc" / "slurm.conf")
    for pid, variables in _environments():
        if _job_node(variables, conf) == node.encode():
            yield pid


def _environments() -> Iterator[tuple[int, dict[bytes, bytes]]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            items = (entry / "environ").read_bytes().split(b"\0")
            yield int(entry.name), dict(item.split(b"=", 1) for item in items if b"=" in item)


def _job_node(variables: dict[bytes, bytes], conf: bytes) -> bytes | None:
    """Return the node of a job's process. A shell in which somebody exported SLURM_CONF has no job id, and is none.

    mrsweep renames SLURM_* in the environment of a run, so both names count.
    """
    for prefix in (b"", b"MRSWEEP_"):
        if variables.get(prefix + b"SLURM_CONF") == conf and prefix + b"SLURM_JOB_ID" in variables:
            return variables.get(prefix + b"SLURMD_NODENAME", b"")
    return None


def _is_step_daemon(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"slurmstepd")
    except OSError:
        return False
