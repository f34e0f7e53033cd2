"""The words of a verdict: figures that were measured, and no others."""

from __future__ import annotations

import signal

import pytest

from orchestrator.store.states import Cause
from orchestrator.worker.processes import Exit
from orchestrator.worker.verdict import Evidence, judge

KILLED = [
    # (shared task, measured peak in GB, cause, message)
    (False, 0.0, Cause.HOST_OOM, "killed by the kernel for memory"),
    (False, 0.31, Cause.HOST_OOM, "killed by the kernel for memory (it used 0.3 of its 0.3 GB)"),
    (True, 0.0, Cause.SIBLING_OOM, "the kernel killed it for the memory of another run of its task"),
    (True, 0.1, Cause.SIBLING_OOM, "the kernel killed it for the memory of another run of its task (it used 0.1 of its 0.3 GB)"),
]


@pytest.mark.parametrize(("shared", "peak_gb", "cause", "message"), KILLED)
def test_a_kill_for_memory_names_only_what_was_measured(shared: bool, peak_gb: float, cause: Cause, message: str) -> None:
    verdict = judge(Evidence(exit=Exit(signal=signal.SIGKILL), end=None, oom_kills=1, shared=shared, peak_gb=peak_gb, mem_gb=0.3))
    assert verdict.failure is not None
    assert (verdict.failure.cause, verdict.failure.message) == (cause, message)
