"""From what is known of an ended process to state and cause (pure)."""

from __future__ import annotations

import signal
from enum import Enum

import msgspec

from orchestrator.store.states import Cause, State
from orchestrator.worker.causes import MESSAGE_LENGTH, Diagnosis, evidence_lines
from orchestrator.worker.logs import classify_log, with_exit
from orchestrator.worker.outcome import End
from orchestrator.worker.phrases import CERTAIN, GUESS, LIKELY
from orchestrator.worker.processes import Exit
from orchestrator.worker.signatures import SIGNATURE_LENGTH

MACHINE = frozenset({Cause.SIBLING_OOM, Cause.PREEMPTED, Cause.TIMEOUT, Cause.NODE_FAILURE, Cause.GPU_FAULT, Cause.STALLED, Cause.LOST})
"""Causes that are not the run's own: it is interrupted, not failed."""

NEARLY = 0.95
"""A process killed at this part of its memory or more was killed for it."""


class Stop(Enum):
    """Why the worker asked a run to end, or ended it."""

    CANCEL = "somebody cancelled it"
    REQUEUE = "somebody asked for it to be requeued"
    NEWER = "a newer attempt of this run exists"
    STALLED = "it gave no sign of progress"
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

    @property
    def is_over(self) -> bool:
        """Whether it used all of its memory, or nearly."""
        return self.peak_gb >= NEARLY * self.mem_gb > 0

    @property
    def is_killed(self) -> bool:
        """Whether SIGKILL ended it, or the command that it ran, and nothing said why."""
        guessed = self.end is not None and self.end.confidence == GUESS and self.end.cause in (Cause.UNKNOWN, Cause.HOST_OOM)
        return self.exit.signal == signal.SIGKILL or guessed


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt counts."""

    state: State
    diagnosis: Diagnosis | None = None


def judge(evidence: Evidence) -> Verdict:
    """Say how an attempt ended. Only a valid result proves success; then what the worker did to it; then its own words."""
    if evidence.sha256:
        return Verdict(state=State.COMPLETED)
    diagnosis = _killed_for_memory(evidence) or _stopped(evidence) or _own_words(evidence) or _left_no_word(evidence)
    if evidence.stop is Stop.CANCEL:
        return Verdict(state=State.CANCELLED, diagnosis=diagnosis)
    interrupted = evidence.end is not None and evidence.end.state is State.INTERRUPTED
    return Verdict(state=State.INTERRUPTED if interrupted else state_of(diagnosis.cause), diagnosis=diagnosis)


def state_of(cause: Cause) -> State:
    """Return how an attempt counts that ended by this cause."""
    return State.INTERRUPTED if cause in MACHINE else State.FAILED


def _killed_for_memory(evidence: Evidence) -> Diagnosis | None:
    used = f"it used {evidence.peak_gb:.1f} of its {evidence.mem_gb:g} GB"
    if evidence.stop is Stop.MEMORY:
        return _for_memory(Cause.HOST_OOM, f"ended by the worker: {used}", evidence, CERTAIN)
    if not evidence.is_killed or evidence.stop is Stop.CANCEL:
        return None
    if not evidence.oom_kills:
        known = evidence.stop is None and evidence.is_over
        return _for_memory(Cause.HOST_OOM, f"killed while {used}", evidence, LIKELY) if known else None
    measured = f" ({used})" if evidence.peak_gb else ""  # it may have died before the first measurement
    if evidence.shared and not evidence.is_over:
        message = f"the kernel killed it for the memory of another run of its task{measured}"
        return _for_memory(Cause.SIBLING_OOM, message, evidence, LIKELY)
    return _for_memory(Cause.HOST_OOM, f"killed by the kernel for memory{measured}", evidence, CERTAIN)


def _for_memory(cause: Cause, message: str, evidence: Evidence, confidence: str) -> Diagnosis:
    told = evidence_lines(f"exit: {evidence.exit}", _kernel(evidence), _measured(evidence))
    return Diagnosis(cause=cause, message=message, signature=cause.value, confidence=confidence, evidence=told)


def _kernel(evidence: Evidence) -> str:
    kills = evidence.oom_kills
    return f"kernel: killed {kills} {'process' if kills == 1 else 'processes'} of its task for memory" if kills else ""


def _measured(evidence: Evidence) -> str:
    return f"worker: measured {evidence.peak_gb:.1f} of {evidence.mem_gb:g} GB" if evidence.peak_gb else ""


_CAUSE_OF_STOP = {
    Stop.CANCEL: Cause.CANCELLED,
    Stop.REQUEUE: Cause.PREEMPTED,
    Stop.STALLED: Cause.STALLED,
    Stop.NEWER: Cause.LOST,
    Stop.TIMEOUT: Cause.TIMEOUT,
    Stop.PREEMPTED: Cause.PREEMPTED,
}


def _stopped(evidence: Evidence) -> Diagnosis | None:
    """Whatever a run raised after it was asked to stop, a dying DataLoader included, counts as the stop."""
    if evidence.stop not in _CAUSE_OF_STOP:
        return None
    said = f"; {evidence.end.message}" if evidence.end is not None and evidence.end.cause is not Cause.PREEMPTED else ""
    return Diagnosis(
        cause=_CAUSE_OF_STOP[evidence.stop],
        message=f"stopped: {evidence.stop.value}{said}",
        confidence=CERTAIN,
        evidence=evidence_lines(f"worker: {evidence.stop.value}"),
    )


def _own_words(evidence: Evidence) -> Diagnosis | None:
    end = evidence.end
    if end is None or end.cause is None:
        return None
    killed = end.cause is Cause.WORKER_OOM and bool(evidence.oom_kills)
    return Diagnosis(
        cause=end.cause,
        message=end.message,
        signature=end.signature,
        excerpt=end.excerpt,
        confidence=CERTAIN if killed else end.confidence or LIKELY,
        evidence=evidence_lines(_kernel(evidence) if killed else "", *end.evidence),
    )


def _left_no_word(evidence: Evidence) -> Diagnosis:
    """Judge a process that left no word: killed, crashed, or ended by os._exit."""
    if evidence.exit.code == 0:
        message = "its process exited with code 0 and left no result"
        told = evidence_lines(f"exit: {evidence.exit}")
        return Diagnosis(cause=Cause.SILENT_EXIT, message=message, signature="exit 0", confidence=CERTAIN, evidence=told)
    return by_exit(evidence.exit, evidence.log)


def by_exit(exit_: Exit, log: str, name: str = "its process") -> Diagnosis:
    """Say why a process failed that can tell no more: by its log, else by the signal that ended it, or what it started."""
    said = with_exit(classify_log(log), str(exit_))
    what = f"{name} {exit_}"
    known = said.cause is not Cause.ERROR
    number = ending_signal(exit_)
    if not known and number in _BY_SIGNAL:
        cause, words, confidence = _BY_SIGNAL[number]
        return msgspec.structs.replace(said, cause=cause, message=f"{what}{words}", signature=f"{what}{words}", confidence=confidence)
    message = f"{what}: {said.message}" if said.message else what
    bare = f"{name} {_without_code(exit_)} {said.signature}".strip()
    return msgspec.structs.replace(
        said,
        message=message[:MESSAGE_LENGTH],
        signature=(said.signature if known else bare)[:SIGNATURE_LENGTH],
    )


_BY_SIGNAL: dict[int, tuple[Cause, str, str]] = {
    signal.SIGKILL: (Cause.UNKNOWN, ", and nothing tells by whom", GUESS),
    signal.SIGTERM: (Cause.UNKNOWN, ", and nothing tells by whom", GUESS),
    signal.SIGBUS: (Cause.WORKER_OOM, ": /dev/shm is full, or a mapped file shrank", GUESS),
    signal.SIGXFSZ: (Cause.DISK_FULL, ": a file grew beyond the limit", LIKELY),
}
"""What a signal says where the log says nothing; by any other one the code crashed."""


def ending_signal(exit_: Exit) -> int | None:
    """Return the signal that ended a process, or the one whose exit code it passed on: 128 + n of a shell, 256 - n of Python."""
    if exit_.signal is not None or exit_.code is None:
        return exit_.signal
    passed_on = {offset: number for number in _PASSED_ON for offset in (128 + number, 256 - number)}
    return passed_on.get(exit_.code)


_PASSED_ON = (signal.SIGABRT, signal.SIGBUS, signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGXFSZ)


def _without_code(exit_: Exit) -> str:
    """Return the words of an exit; a signal that was passed on counts as the signal itself."""
    number = ending_signal(exit_)
    return str(exit_ if number is None else Exit(signal=number))
