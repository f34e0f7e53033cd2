"""Run a prepare command once: `python -P -m orchestrator.worker.prepare <folder>`, or in a local worker before its runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from filelock import FileLock

from orchestrator.store.files import make_dir, read_json, write_atomic
from orchestrator.store.layout import PreparePaths
from orchestrator.worker.prepared import PrepareResult, PrepareTask

LOG_LINES = 5


def ensure(paths: PreparePaths, environ: dict[str, str], *, after_failure: bool = True) -> PrepareResult:
    """Run the command unless it was done; processes of one host wait for each other. Returns its result, good or bad.

    `after_failure=False`: one that failed is not tried again.
    """
    make_dir(paths.dir)
    with FileLock(str(paths.lock)):
        known = read_json(paths.result, PrepareResult)
        if known is None and not after_failure:
            known = read_json(paths.failed, PrepareResult)
        return known if known is not None else _run(paths, environ)


def _run(paths: PreparePaths, environ: dict[str, str]) -> PrepareResult:
    command = msgspec.json.decode(paths.command.read_bytes(), type=PrepareTask)
    paths.failed.unlink(missing_ok=True)
    began = time.monotonic()
    exit_code = _execute(command, paths.log, environ)
    result = PrepareResult(exit_code=exit_code, seconds=time.monotonic() - began, log=_last_lines(paths.log))
    write_atomic(paths.failed if exit_code else paths.result, msgspec.json.encode(result))
    return result


def _execute(command: PrepareTask, log: Path, environ: dict[str, str]) -> int:
    argv = [sys.executable if command.argv[0] in ("python", "python3") else command.argv[0], *command.argv[1:]]
    folders = [command.code, f"{command.code}/src"] if command.code else [command.cwd, f"{command.cwd}/src"]
    path = ":".join([*folders, *filter(None, [environ.get("PYTHONPATH")])])
    with open(log, "ab") as stream:
        try:
            done = subprocess.run(argv, check=False, cwd=command.cwd, stdout=stream, stderr=stream, env={**environ, "PYTHONPATH": path})
        except OSError as error:
            stream.write(f"{argv[0]}: {error.strerror}\n".encode())
            return 127
    return done.returncode


def _last_lines(log: Path) -> str:
    with open(log, "rb") as stream:
        stream.seek(max(0, log.stat().st_size - 4096))
        lines = stream.read().decode(errors="replace").strip().splitlines()
    return "\n".join(lines[-LOG_LINES:])


def main(argv: list[str]) -> int:
    """Run the command of one folder; returns 1 when it failed. A launch removes an old failure; one that stands is of this launch."""
    result = ensure(PreparePaths(Path(argv[0])), dict(os.environ), after_failure=False)
    return int(result.exit_code != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
