"""Memory: the guard of a packed worker, what is journalled, and judging a violent end."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from orchestrator.cluster.resources import Pack, Resources
from orchestrator.store.events import Measured
from orchestrator.store.states import Cause, State
from orchestrator.worker.outcome import End
from orchestrator.worker.processes import Exit
from orchestrator.worker.telemetry import oom_counter, oom_kills, pss_gb
from orchestrator.worker.verdict import Evidence, Stop, judge

HUNGRY = """
import subprocess, sys, time
def main(config, run):
    if config["gb"]:
        grow = f"import time; kept = bytearray(int({config['gb']} * 2**30)); time.sleep(60)"
        subprocess.run([sys.executable, "-c", grow])
    time.sleep(2.0)
    return {"gb": config["gb"]}
"""


def test_a_packed_run_that_outgrows_its_memory_is_ended_and_its_sibling_is_not(farm: Any) -> None:
    farm.write("entries.py", HUNGRY)
    for gb in (0.4, 0.0):
        farm.add(entry="entries:main", config={"gb": gb})
    farm.submit(pack=Pack(per_task=2, per_gpu=2), resources=Resources(mem_gb=0.25))
    farm.work()
    ended = {int(end.run, 16): end for end in farm.ended()}
    assert (ended[0].state, ended[0].cause) == (State.FAILED, Cause.HOST_OOM)
    assert ended[0].peak_mem_gb > 0.25
    assert "of its 0.25 GB" in ended[0].message
    assert ended[1].state is State.COMPLETED
    assert any(isinstance(line, Measured) and line.run == ended[0].run for line in farm.lines())


def test_a_run_alone_in_its_task_is_left_to_the_kernel(farm: Any) -> None:
    ended = farm.compute("def main(config, run):\n    kept = bytearray(2**27)\n    return {}", submit={"resources": Resources(mem_gb=0.01)})
    assert ended.state is State.COMPLETED
    assert ended.peak_mem_gb < 0.2  # given back before the end


def test_pages_that_processes_share_count_once() -> None:
    block = bytearray(os.urandom(2**20) * 100)  # 100 MB
    alone = pss_gb([os.getpid()])
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(reader, 1)
        os._exit(0)
    both = pss_gb([os.getpid(), pid])
    os.write(writer, b"x")
    os.waitpid(pid, 0)
    assert len(block) > 0
    assert both < alone + 0.05


def test_the_kernels_count_of_kills_is_found_where_there_is_one() -> None:
    assert oom_kills(None) is None
    counter = oom_counter()
    assert counter is None or oom_kills(counter) is not None


KILLED = Exit(signal=signal.SIGKILL)
ERROR = End(at=0.0, run="r", attempt=1, state=State.FAILED, cause=Cause.ERROR, message="boom")


@pytest.mark.parametrize(
    ("evidence", "state", "cause"),
    [
        ({"exit": KILLED, "sha256": "x"}, State.COMPLETED, None),
        ({"exit": KILLED, "oom_kills": 1}, State.FAILED, Cause.HOST_OOM),
        ({"exit": KILLED, "oom_kills": 1, "shared": True, "peak_gb": 1.0}, State.INTERRUPTED, Cause.SIBLING_OOM),
        ({"exit": KILLED, "oom_kills": 1, "shared": True, "peak_gb": 3.9}, State.FAILED, Cause.HOST_OOM),
        ({"exit": KILLED, "oom_kills": 0}, State.FAILED, Cause.UNKNOWN),
        ({"exit": KILLED, "oom_kills": None, "peak_gb": 4.0}, State.FAILED, Cause.HOST_OOM),
        ({"exit": KILLED, "oom_kills": 1, "stop": Stop.TIMEOUT}, State.FAILED, Cause.HOST_OOM),
        ({"exit": KILLED, "stop": Stop.TIMEOUT}, State.INTERRUPTED, Cause.TIMEOUT),
        ({"exit": KILLED, "stop": Stop.MEMORY, "peak_gb": 5.0}, State.FAILED, Cause.HOST_OOM),
        ({"exit": KILLED, "stop": Stop.CANCEL, "oom_kills": 1}, State.CANCELLED, Cause.CANCELLED),
        ({"exit": KILLED, "stop": Stop.LINGERING}, State.FAILED, Cause.UNKNOWN),
        ({"exit": Exit(code=1), "end": ERROR}, State.FAILED, Cause.ERROR),
        ({"exit": Exit(code=1), "end": ERROR, "stop": Stop.PREEMPTED}, State.INTERRUPTED, Cause.PREEMPTED),
        ({"exit": Exit(code=1), "end": ERROR, "stop": Stop.NEWER}, State.INTERRUPTED, Cause.LOST),
        ({"exit": Exit(code=0)}, State.FAILED, Cause.SILENT_EXIT),
        ({"exit": Exit(code=1), "log": "x\ntorch.OutOfMemoryError: CUDA out of memory. Tried"}, State.FAILED, Cause.GPU_OOM),
        ({"exit": Exit(signal=signal.SIGBUS), "log": "CUDA error: uncorrectable ECC error"}, State.INTERRUPTED, Cause.GPU_FAULT),
        ({"exit": Exit(signal=64), "log": ""}, State.FAILED, Cause.ERROR),
    ],
)
def test_an_end_is_judged_by_proof_then_by_what_was_done_to_it_then_by_its_words(
    evidence: dict[str, Any], state: State, cause: Cause | None
) -> None:
    verdict = judge(Evidence(**{"end": None, "mem_gb": 4.0, **evidence}))
    assert (verdict.state, verdict.diagnosis.cause if verdict.diagnosis else None) == (state, cause)
