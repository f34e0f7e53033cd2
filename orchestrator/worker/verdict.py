"""From what is known of an ended process to state and cause (pure)."""

from __future__ import annotations

import signal
from enum import Enum

import msgspec

from orchestrator.store.states import Cause, State
from orchestrator.worker.causes import Failure, classify_log
from orchestrator.worker.outcome import End
from orchestrator.worker.processes import Exit

MACHINE = frozenset({Cause.SIBLING_OOM, Cause.PREEMPTED, Cause.TIMEOUT, Cause.GPU_FAULT, Cause.LOST})
"""Causes that are not the run's own: it is interrupted, not failed."""

NEARLY = 0.95
"""A process killed at this part of its memory or more was killed for it."""


class Stop(Enum):
    """Why the worker asked a run to end, or ended it."""

    CANCEL = "somebody cancelled it"
    REQUEUE = "somebody asked for it to be requeued"
    NEWER = "a newer attempt of this run exists"
    MEMORY = "it used more memory than it asked for"
    TIMEOUT = "the time limit is near"
    PREEMPTED = "the scheduler takes the node back, or the worker was told to end"
    LINGERING = "it left its result and did not end"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of an attempt whose process has ended."""

    exit: Exit
    end: End | None
    """What it wrote itself."""
    sha256: str = ""
    """Of a valid result.json."""
    stop: Stop | None = None
    oom_kills: int | None = None
    """How many processes of this task the kernel killed for memory while it ran; None: it does not tell."""
    shared: bool = False
    """Other runs shared the task's memory."""
    peak_gb: float = 0.0
    mem_gb: float = 0.0
    log: str = ""
    """The end of its log."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt counts."""

    state: State
    failure: Failure | None = None


def judge(evidence: Evidence) -> Verdict:
    """Say how an attempt ended. Only a valid result proves success; then what the worker did to it; then its own words."""
    if evidence.sha256:
        return Verdict(state=State.COMPLETED)
    failure = _killed_for_memory(evidence) or _stopped(evidence) or _own_words(evidence) or _by_exit(evidence)
    if evidence.stop is Stop.CANCEL:
        return Verdict(state=State.CANCELLED, failure=failure)
    interrupted = failure.cause in MACHINE or (evidence.end is not None and evidence.end.state is State.INTERRUPTED)
    return Verdict(state=State.INTERRUPTED if interrupted else State.FAILED, failure=failure)


def _killed_for_memory(evidence: Evidence) -> Failure | None:
    used = f"it used {evidence.peak_gb:.1f} of its {evidence.mem_gb:g} GB"
    if evidence.stop is Stop.MEMORY:
        return Failure(cause=Cause.HOST_OOM, message=f"ended by the worker: {used}", signature="host_oom")
    if evidence.exit.signal != signal.SIGKILL or evidence.stop is Stop.CANCEL:
        return None
    over = evidence.peak_gb >= NEARLY * evidence.mem_gb > 0
    if not evidence.oom_kills:
        known = evidence.stop is None and over
        return Failure(cause=Cause.HOST_OOM, message=f"killed while {used}", signature="host_oom") if known else None
    measured = f" ({used})" if evidence.peak_gb else ""  # it may have died before the first measurement
    if evidence.shared and not over:
        message = f"the kernel killed it for the memory of another run of its task{measured}"
        return Failure(cause=Cause.SIBLING_OOM, message=message, signature="sibling_oom")
    return Failure(cause=Cause.HOST_OOM, message=f"killed by the kernel for memory{measured}", signature="host_oom")


_CAUSE_OF_STOP = {
    Stop.CANCEL: Cause.CANCELLED,
    Stop.REQUEUE: Cause.PREEMPTED,
    Stop.NEWER: Cause.LOST,
    Stop.TIMEOUT: Cause.TIMEOUT,
    Stop.PREEMPTED: Cause.PREEMPTED,
}


def _stopped(evidence: Evidence) -> Failure | None:
    """Whatever a run raised after it was asked to stop, a dying DataLoader included, counts as the stop."""
    if evidence.stop not in _CAUSE_OF_STOP:
        return None
    said = f"; {evidence.end.message}" if evidence.end is not None and evidence.end.cause is not Cause.PREEMPTED else ""
    return Failure(cause=_CAUSE_OF_STOP[evidence.stop], message=f"stopped: {evidence.stop.value}{said}")


def _own_words(evidence: Evidence) -> Failure | None:
    end = evidence.end
    if end is None or end.cause is None:
        return None
    return Failure(cause=end.cause, message=end.message, signature=end.signature, excerpt=end.excerpt)


def _by_exit(evidence: Evidence) -> Failure:
    """Judge a process that left no word: killed, crashed, or ended by os._exit."""
    if evidence.exit.code == 0:
        return Failure(cause=Cause.SILENT_EXIT, message="its process exited with code 0 and left no result", signature="exit 0")
    said = classify_log(evidence.log)
    message = f"its process {evidence.exit}"
    if evidence.exit.signal == signal.SIGKILL and said.cause is Cause.ERROR:
        return Failure(cause=Cause.UNKNOWN, message=f"{message}, and nothing tells by whom", signature="killed", excerpt=said.excerpt)
    known = said.cause is not Cause.ERROR
    return msgspec.structs.replace(said, message=f"{message}: {said.message}" if known else message, signature=message)
