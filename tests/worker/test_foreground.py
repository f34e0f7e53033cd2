"""One run here and now: output to the terminal and to the log, Ctrl-C, the next attempt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.states import Cause, State
from orchestrator.worker.foreground import foreground
from tests.worker.conftest import CHECKOUT, poll


def environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(CHECKOUT)}


def test_the_output_is_shown_and_kept_and_each_call_is_the_next_attempt(farm: Any) -> None:
    farm.write("entries.py", "def main(config, run):\n    print('epoch', config['n'])\n    return {'n': config['n']}")
    farm.add(entry="entries:main", config={"n": 3})
    submission = farm.submit()
    shown: list[bytes] = []
    for number in (1, 2):
        ended = foreground(farm.manifests[0], submission, write=shown.append, environ=environ())
        assert (ended.state, ended.attempt, ended.metrics) == (State.COMPLETED, number, {"n": 3})
    assert b"".join(shown) == b"epoch 3\n" * 2
    assert farm.log() == "epoch 3\n"


def test_a_failure_is_classified_and_a_command_runs_too(farm: Any) -> None:
    farm.add(command=("sh", "-c", "echo no space: No space left on device; exit 1"))
    ended = foreground(farm.manifests[0], farm.submit(), write=lambda _: None, environ=environ())
    assert (ended.state, ended.cause) == (State.FAILED, Cause.DISK_FULL)


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_asks_the_run_to_stop_and_a_second_one_ends_it(farm: Any, presses: int) -> None:
    code = """
    import time
    def main(config, run):
        print("begun")
        while not (run.stop_requested and config["listens"]):
            time.sleep(0.02)
        (run.checkpoint_dir / "x").touch()
        raise run.Interrupted
    """
    farm.write("entries.py", code)
    farm.add(entry="entries:main", config={"listens": presses == 1})
    farm.submit()
    program = (
        "import sys, os, msgspec, pathlib\n"
        "from orchestrator.grid.manifest import Manifest\nfrom orchestrator.worker.submission import Submission\n"
        "from orchestrator.worker.foreground import foreground\n"
        "read = lambda path, kind: msgspec.json.decode(pathlib.Path(path).read_bytes(), type=kind)\n"
        "write = lambda content: (sys.stdout.buffer.write(content), sys.stdout.flush())\n"
        "ended = foreground(read(sys.argv[1], Manifest), read(sys.argv[2], Submission), write=write, environ=dict(os.environ))\n"
        "print(ended.state.value, flush=True)"
    )
    argv = [sys.executable, "-c", program, str(farm.grid.run(farm.manifests[0].id).manifest), str(farm.submission.submission)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environ())
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    if presses == 2:
        poll(lambda: "SigQ" in Path(f"/proc/{process.pid}/status").read_text() and _pending(process.pid) == 0)
        process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == ("interrupted\n" if presses == 1 else "cancelled\n")
    assert process.wait(20) == 0


def _pending(pid: int) -> int:
    """Return the signals that a process has not yet taken."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("ShdPnd")).split()[1], 16)
