"""A run that is a command: its argv made ready, the subprocess started and waited for."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.worker.processes import Exit, die_with

_NAME = re.compile(r"\$(MRSWEEP_[A-Z_]+)")


def prepare_argv(argv: Sequence[str], code: Path | None, environ: Mapping[str, str]) -> list[str]:
    """Return the argv to execute.

    `python` is the worker's interpreter. The first file that the snapshot holds is taken from there. $MRSWEEP_RUN_DIR
    and the like are replaced within elements, by us and not by a shell, for programs that know nothing of mrsweep.
    """
    words = [_NAME.sub(lambda match: environ.get(match[1], match[0]), word) for word in argv]
    script = next((place for place, word in enumerate(words) if code is not None and _is_below(word, code)), None)
    if script is not None and code is not None:
        words[script] = str(code / words[script])
    if words[0] in ("python", "python3"):
        words[0] = sys.executable
    return words


def _is_below(word: str, code: Path) -> bool:
    """Say whether an argument names a file of the snapshot, by a path relative to the project."""
    if not word or "\0" in word or Path(word).is_absolute() or ".." in Path(word).parts:
        return False
    try:
        return (code / word).is_file()
    except OSError:  # an argument longer than a file name can be
        return False


class Command:
    """A subprocess that dies with this process; `warn` forwards the warning to it, if it wants one."""

    def __init__(self, argv: Sequence[str], warning: str) -> None:
        me = os.getpid()
        self._warning = signal_number(warning)
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, preexec_fn=lambda: die_with(me))

    def warn(self) -> None:
        """Tell the command that its end is near; one that names no signal would die of it and is told nothing."""
        if self._warning is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self._warning)

    def wait(self) -> Exit:
        """Wait for its end."""
        code = self._process.wait()
        return Exit(signal=-code) if code < 0 else Exit(code=code)


def signal_number(name: str) -> int | None:
    """Return the number of USR1 or SIGUSR1; None for no name, or one that this system does not know."""
    try:
        return signal.Signals[f"SIG{name.upper().removeprefix('SIG')}"] if name else None
    except KeyError:
        return None
