"""Really raise the failures of tests/recorded/failures whose origin is "raised": python -m tests.faults.raise_failures FOLDER.

Each program runs in a process of its own, forked from one that has imported what takes long; its output and its
exit become a case file. Names of folders that differ between machines are replaced.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NamedTuple

from tests.faults.programs import PROGRAMS, Program

TEXT_LINES = 60
"""Of a long log its last lines are kept."""


class Ran(NamedTuple):
    """How a program ended."""

    log: str
    status: int
    """As os.waitpid returns it."""

    @property
    def exit(self) -> str:
        return f"signal {os.WTERMSIG(self.status)}" if os.WIFSIGNALED(self.status) else f"code {os.WEXITSTATUS(self.status)}"


def run(program: Program, folder: Path) -> Ran:
    """Run a program as train.py in `folder`; return what it wrote and how it ended."""
    script, log = folder / "train.py", folder / "log.txt"
    script.write_text(program.text)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        _become(script, log)
    _, status = os.waitpid(pid, 0)
    return Ran(_neutral(log.read_text(errors="replace"), folder), status)


def _become(script: Path, log: Path) -> None:
    """Run the script with its output in `log`; never returns."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.chdir(script.parent)
    code = 0
    try:
        exec(compile(script.read_text(), str(script), "exec"), {"__name__": "__main__", "__file__": str(script)})
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
        if isinstance(stop.code, str):
            sys.stderr.write(f"{stop.code}\n")
    except BaseException as error:  # its traceback begins below this frame
        traceback.print_exception(type(error), error, error.__traceback__.tb_next if error.__traceback__ else None)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _neutral(log: str, folder: Path) -> str:
    here = str(Path(__file__).parents[2])
    text = log.replace(str(folder), "/project").replace(sys.prefix, "/venv").replace(sys.base_prefix, "/usr").replace(here, "/mrsweep")
    return "\n".join(re.sub(r"/tmp/\w+", "/tmp/x", text).rstrip().splitlines()[-TEXT_LINES:]) + "\n"


def write_all(folder: Path, names: frozenset[str] = frozenset()) -> None:
    """Write a case file for each program, or for those that are named."""
    import h5py  # noqa: F401
    import numpy  # noqa: F401
    import torch.utils.data  # noqa: F401

    for program in PROGRAMS:
        if names and program.name not in names:
            continue
        with tempfile.TemporaryDirectory() as place:
            ran = run(program, Path(place))
        header = f"cause: {program.cause}\norigin: raised\nsource: tests/faults/programs.py\nexit: {ran.exit}\n"
        (folder / f"raised-{program.name}.txt").write_text(f"{header}---\n{ran.log}")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]), frozenset(sys.argv[2:]))
