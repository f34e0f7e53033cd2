"""Verdicts: figures that were measured, signals told as signals or as exit codes, and where each word comes from."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from orchestrator.store.states import Cause, State
from orchestrator.worker.outcome import End
from orchestrator.worker.processes import Exit
from orchestrator.worker.verdict import Evidence, Stop, by_exit, ending_signal, judge

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
    assert verdict.diagnosis is not None
    assert (verdict.diagnosis.cause, verdict.diagnosis.message) == (cause, message)


@pytest.mark.parametrize(
    ("exit_", "number"),
    [
        (Exit(signal=9), 9),
        (Exit(code=137), 9),  # a shell's 128 + 9
        (Exit(code=247), 9),  # Python's -9
        (Exit(code=139), 11),
        (Exit(code=143), 15),
        (Exit(code=1), None),
        (Exit(code=129), None),  # SIGHUP, or any code that a program likes
    ],
)
def test_a_signal_that_was_passed_on_as_an_exit_code_is_the_signal(exit_: Exit, number: int | None) -> None:
    assert ending_signal(exit_) == number


@pytest.mark.parametrize("exit_", [Exit(signal=9), Exit(code=137), Exit(code=247)])
def test_a_kill_has_one_cause_however_it_is_told(exit_: Exit) -> None:
    assert by_exit(exit_, "epoch 3").cause is Cause.UNKNOWN
    assert by_exit(exit_, "run.sh: line 3: 4012 Killed   python train.py").cause is Cause.HOST_OOM


EXITS = [
    (Exit(code=3), "usage: train.py", Cause.ERROR, "bash exited with code 3: usage: train.py"),
    (Exit(code=3), "", Cause.ERROR, "bash exited with code 3"),
    (Exit(signal=11), "", Cause.ERROR, "bash was killed by SIGSEGV"),
    (Exit(signal=6), "terminate called after throwing an instance of 'std::bad_alloc'", Cause.HOST_OOM, None),
    (Exit(signal=7), "epoch 3", Cause.WORKER_OOM, None),
    (Exit(signal=15), "epoch 3", Cause.UNKNOWN, None),
    (Exit(signal=25), "", Cause.DISK_FULL, None),
    (Exit(code=1), "torch.OutOfMemoryError: CUDA out of memory", Cause.GPU_OOM, None),
]


@pytest.mark.parametrize(("exit_", "log", "cause", "message"), EXITS)
def test_a_command_that_failed_is_judged_by_its_log_then_by_its_exit(exit_: Exit, log: str, cause: Cause, message: str | None) -> None:
    diagnosis = by_exit(exit_, log, "bash")
    assert diagnosis.cause is cause
    assert message is None or diagnosis.message == message
    assert diagnosis.evidence[0] == f"exit: {exit_}"


def command(cause: Cause, confidence: str) -> End:
    return End(at=0.0, run="r", attempt=1, state=State.FAILED, cause=cause, confidence=confidence, message="bash exited with code 137")


COUNTED = [
    # what the command's own process said, what the kernel counted, cause, confidence
    (command(Cause.UNKNOWN, "guess"), 1, Cause.HOST_OOM, "certain"),
    (command(Cause.HOST_OOM, "guess"), 1, Cause.HOST_OOM, "certain"),
    (command(Cause.UNKNOWN, "guess"), 0, Cause.UNKNOWN, "guess"),
    (command(Cause.GPU_OOM, "certain"), 1, Cause.GPU_OOM, "certain"),
    (command(Cause.WORKER_OOM, "guess"), 1, Cause.WORKER_OOM, "certain"),
    (command(Cause.WORKER_OOM, "guess"), 0, Cause.WORKER_OOM, "guess"),
]


@pytest.mark.parametrize(("end", "kills", "cause", "confidence"), COUNTED)
def test_the_kernels_count_makes_a_guess_certain_and_overrules_no_words(end: End, kills: int, cause: Cause, confidence: str) -> None:
    diagnosis = judge(Evidence(exit=Exit(code=1), end=end, oom_kills=kills, peak_gb=1.0, mem_gb=4.0)).diagnosis
    assert diagnosis is not None
    assert (diagnosis.cause, diagnosis.confidence) == (cause, confidence)


def test_a_diagnosis_names_its_sources() -> None:
    verdict = judge(Evidence(exit=Exit(signal=signal.SIGKILL), end=None, oom_kills=2, peak_gb=31.2, mem_gb=32.0))
    assert verdict.diagnosis is not None
    assert verdict.diagnosis.evidence == (
        "exit: was killed by SIGKILL",
        "kernel: killed 2 processes of its task for memory",
        "worker: measured 31.2 of 32 GB",
    )


STOPPED: list[tuple[dict[str, Any], State, Cause]] = [
    ({"stop": Stop.STALLED}, State.INTERRUPTED, Cause.STALLED),
    ({"stop": Stop.TIMEOUT}, State.INTERRUPTED, Cause.TIMEOUT),
    ({"log": "OSError: [Errno 116] Stale file handle"}, State.INTERRUPTED, Cause.NODE_FAILURE),
    ({"log": "RuntimeError: CUDA error: uncorrectable ECC error encountered"}, State.INTERRUPTED, Cause.GPU_FAULT),
    ({"log": "OSError: [Errno 28] No space left on device"}, State.FAILED, Cause.DISK_FULL),
]


@pytest.mark.parametrize(("more", "state", "cause"), STOPPED)
def test_what_the_machine_did_interrupts_and_what_the_run_did_fails(more: dict[str, Any], state: State, cause: Cause) -> None:
    verdict = judge(Evidence(exit=Exit(code=1), end=None, **more))
    assert verdict.diagnosis is not None
    assert (verdict.state, verdict.diagnosis.cause) == (state, cause)
