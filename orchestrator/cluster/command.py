"""Runs one short command of the scheduler: with a deadline, a clean environment, and an end when we end."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

import msgspec

from orchestrator.store.errors import ClusterError

_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None, use_errno=True).prctl

_INHERITED = (
    *("SBATCH_", "SLURM_", "SLURMD_", "SRUN_", "SALLOC_", "SQUEUE_", "SACCT_", "SACCTMGR_", "SCANCEL_", "SINFO_", "SCONTROL_"),
    *("SUBMITIT_", "MRSWEEP_SLURM_", "MRSWEEP_INDEX"),
    *("PYTHONINSPECT", "PYTHONSTARTUP", "MRSWEEP_NOTIFY"),
)
"""Variables of an enclosing job, those that change what Slurm's commands do or print, those that make Python interactive
(with PYTHONINSPECT a worker's exit code is lost), and the passwords of messages, which are none of a job's business."""
_KEPT = frozenset({"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"})
"""Which cluster is asked, and with what right."""

FORMATS = {"SLURM_TIME_FORMAT": "%s", "SLURM_BITSTR_LEN": "0", "LC_ALL": "C"}
"""What makes the output readable: seconds since 1970 (no summer time), array lists in full length."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a command said. `code` is None when it did not end in time."""

    command: str
    code: int | None
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    def complaint(self) -> str:
        """Return the first line that says what went wrong."""
        if self.code is None:
            return f"{self.command} gave no answer in time"
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[0][:300] if lines else f"{self.command} ended with code {self.code} and no message"


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a copy without what an enclosing job or the user's settings would leak into sbatch and squeue."""
    return {name: value for name, value in environment.items() if name in _KEPT or not name.startswith(_INHERITED)}


class Running:
    """A command that was started, and is asked for its answer later: several of them wait at the same time.

    Raises ClusterError when this machine does not have it. The child is killed when this process dies, kill -9 included:
    no sbatch goes on behind the back of the next launch.
    """

    def __init__(self, argv: Sequence[str], *, environment: Mapping[str, str]) -> None:
        self._command = argv[0]
        self._process = _start(argv, environment)

    def answer(self, deadline_s: float) -> Answer:
        """Wait for what the command says, at most `deadline_s` from now; then it is killed."""
        process, command = self._process, self._command
        try:
            out, err = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            return Answer(command=command, code=None, out=out, err=err)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        return Answer(command=command, code=process.returncode, out=out, err=err)


def run_command(argv: Sequence[str], *, environment: Mapping[str, str], deadline_s: float) -> Answer:
    """Run a command and return what it said; raise ClusterError when this machine does not have it."""
    return Running(argv, environment=environment).answer(deadline_s)


def _start(argv: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            preexec_fn=_die_with(os.getpid()),
        )
    except FileNotFoundError as error:
        raise ClusterError(f"{argv[0]} was not found on this machine. Work on a login node, or use --profile local.") from error


def _die_with(parent: int) -> Callable[[], None]:
    """Return what ties a child to the life of its parent: between fork and exec it asks the kernel for SIGKILL."""

    def tie() -> None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before the wish was heard
            os._exit(1)

    return tie
