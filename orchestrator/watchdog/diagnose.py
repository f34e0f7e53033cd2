"""Say why an attempt ended whose worker left no word: from what the scheduler says, the logs, and what was measured (pure)."""

from __future__ import annotations

import signal
from typing import NamedTuple

import msgspec

from orchestrator.cluster.scheduler import TaskRow, TaskState
from orchestrator.store.events import Number
from orchestrator.store.states import Cause, State
from orchestrator.worker.causes import Diagnosis, evidence_lines
from orchestrator.worker.logs import classify_log, readable
from orchestrator.worker.outcome import End
from orchestrator.worker.phrases import CERTAIN, GUESS, LIKELY
from orchestrator.worker.trailers import Trailer, since, trailers
from orchestrator.worker.verdict import NEARLY, state_of

WORDS: dict[str, Cause] = {
    "OUT_OF_MEMORY": Cause.HOST_OOM,
    "TIMEOUT": Cause.TIMEOUT,
    "DEADLINE": Cause.TIMEOUT,
    "PREEMPTED": Cause.PREEMPTED,
    "NODE_FAIL": Cause.NODE_FAILURE,
    "BOOT_FAIL": Cause.NODE_FAILURE,
    "REVOKED": Cause.PREEMPTED,
}
"""How a task's end counts for the runs that it was computing and that left no end of their own."""

SILENT_WORDS = frozenset({"COMPLETED", "FAILED", "CANCELLED", "GONE"})
"""They tell of the worker's process, not of its runs; CANCELLED depends on by whom, GONE is said of a local worker."""

_OF_THE_PLACE = frozenset({Cause.DISK_FULL, Cause.NODE_FAILURE, Cause.GPU_FAULT})
"""What a worker's own log tells of all its runs."""
_LIMIT_SLACK_S = 60.0
"""Slurm ends a task up to so much after its limit, and a heartbeat is so much older than the end."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of an attempt whose worker left no word of its end."""

    row: TaskRow | None = None
    """The newest of its task; None: no source names the task any more."""
    ours: bool = False
    """We cancelled the task ourselves."""
    stalled: bool = False
    """The run gave no sign of progress, and we ended its task for that."""
    packed: bool = False
    """The task computed several runs side by side: its memory was theirs together."""
    end: End | None = None
    """What the run's own process wrote before it was gone."""
    log: str = ""
    """The end of the attempt's log."""
    worker_log: str = ""
    """The end of the worker's own output, where slurmstepd writes."""
    measured_gb: float = 0.0
    """The memory of the run that the worker journalled last; 0: none."""
    mem_gb: float = 0.0
    """What the run asked for."""
    began: float | None = None
    """When the attempt started [s since 1970]."""
    heartbeat_at: float | None = None
    limit_s: float | None = None
    """Time limit of the task; None: not known."""
    last_step: Number = None
    """Of the newest report; told on with the end, like `saved_at`, and not judged here."""
    saved_at: float | None = None
    """When it wrote its newest checkpoint; None: it wrote none."""

    @property
    def is_over(self) -> bool:
        """Whether the run used all of its memory, or nearly, when it was measured last."""
        return self.measured_gb >= NEARLY * self.mem_gb > 0


class Ending(NamedTuple):
    """How an attempt counts, and why."""

    state: State
    diagnosis: Diagnosis


def diagnose(case: Case) -> Ending:
    """Say how an attempt ended that nothing proves.

    The order of trust: the run's own words; a person's cancellation, also of a run that was only told to end; what the
    scheduler says of memory, and of the task; slurmstepd's last lines; the logs; the clock. A word that nobody knows is
    no end of any known kind, and where nothing is known the attempt is lost. None of this is ever a success: that only a
    result proves.
    """
    own = _own_words(case)
    if own is not None and own.state is not State.INTERRUPTED:
        return own
    if case.row is not None and is_by_a_person(case.row) and not case.ours:
        reason = f"its task was cancelled {case.row.reason}".strip()
        return Ending(State.CANCELLED, _diagnosis(Cause.CANCELLED, reason, CERTAIN, case))
    if own is not None:
        return own
    diagnosis = (
        _stalled(case)
        or _memory_of_row(case)
        or _word_of_row(case)
        or _trailer(case)
        or _killed_at_its_limit(case)
        or _its_log(case)
        or _log_of_worker(case)
        or _clock(case)
        or _diagnosis(Cause.LOST, f"the worker left no end; {told_of(case.row)}", LIKELY if case.row else GUESS, case)
    )
    return Ending(state_of(diagnosis.cause), diagnosis)


def is_by_a_person(row: TaskRow) -> bool:
    """Say whether somebody cancelled the task: accounting names who, the queue alone names no reason.

    Slurm itself cancels what waits for a job that failed (reason Dependency), and accounting what a controller forgot.
    """
    if row.state is not TaskState.ENDED or row.word != "CANCELLED":
        return False
    return row.reason.startswith("by ") if row.source == "sacct" else not row.reason.startswith("Dependency")


def told_of(row: TaskRow | None) -> str:
    """Return in words what the scheduler says of a task."""
    if row is None:
        return "no source names its task any more"
    code, number = row.exit_code or 0, row.signal or 0
    if number == _LAUNCH_FAILURE:
        return f"{row.word} ({row.source}): Slurm could not start it, its log folder is missing or cannot be written"
    exit_ = f" {code}:{number}" if code or number else ""
    return f"{row.word}{exit_} ({row.source})"


_LAUNCH_FAILURE = 53


def _diagnosis(cause: Cause, message: str, confidence: str, case: Case, *lines: str, excerpt: str = "") -> Diagnosis:
    evidence = evidence_lines(*lines, _row_line(case.row), _journal_line(case))
    return Diagnosis(cause=cause, message=message, signature=cause.value, excerpt=excerpt, confidence=confidence, evidence=evidence)


def _row_line(row: TaskRow | None) -> str:
    if row is None:
        return "scheduler: no source names its task"
    reason = f" {row.reason}" if row.reason and row.reason != "None" else ""
    return f"{row.source}: {row.word}{reason} {row.exit_code or 0}:{row.signal or 0}{' (oom)' if row.oom else ''}"


def _journal_line(case: Case) -> str:
    return f"journal: last measured {case.measured_gb:.1f} of {case.mem_gb:g} GB" if case.measured_gb else ""


def _own_words(case: Case) -> Ending | None:
    """What the run's process wrote counts, but for a claim of success that nothing proves."""
    end = case.end
    if end is None or end.cause is None or end.state is State.COMPLETED:
        return None
    diagnosis = Diagnosis(
        cause=end.cause,
        message=end.message,
        signature=end.signature,
        excerpt=end.excerpt,
        confidence=end.confidence or LIKELY,
        evidence=evidence_lines(*end.evidence, _row_line(case.row)),
    )
    return Ending(end.state, diagnosis)


def _stalled(case: Case) -> Diagnosis | None:
    if not case.stalled or not case.ours:
        return None
    return _diagnosis(Cause.STALLED, "it gave no sign of progress, and its task was ended", CERTAIN, case)


def _memory_of_row(case: Case) -> Diagnosis | None:
    row = case.row
    return _for_memory(case) if row is not None and (row.oom or row.word == "OUT_OF_MEMORY") else None


def _for_memory(case: Case, *lines: str) -> Diagnosis:
    """Say whose memory a task was killed for: of several runs, what each was last measured at decides."""
    used = f"it was last measured at {case.measured_gb:.1f} of its {case.mem_gb:g} GB" if case.measured_gb else "it was never measured"
    if not case.packed:
        said = classify_log(case.log)
        if said.cause is Cause.WORKER_OOM and said.confidence == CERTAIN:
            return msgspec.structs.replace(said, evidence=evidence_lines(*said.evidence, *lines, _row_line(case.row)))
        return _diagnosis(Cause.HOST_OOM, f"its task was killed for memory; {used}", CERTAIN, case, *lines)
    if case.is_over:
        return _diagnosis(Cause.HOST_OOM, f"its task was killed for memory; {used}", LIKELY, case, *lines)
    message = f"its task was killed for the memory of another run; {used}"
    return _diagnosis(Cause.SIBLING_OOM, message, LIKELY if case.measured_gb else GUESS, case, *lines)


def _word_of_row(case: Case) -> Diagnosis | None:
    row = case.row
    if row is None or row.word in SILENT_WORDS:
        return None
    if row.word not in WORDS:
        return _diagnosis(
            Cause.UNKNOWN, f"the worker left no end, and nobody here knows the word {row.word!r} of {row.source}", GUESS, case
        )
    return _diagnosis(WORDS[row.word], f"the worker left no end; {told_of(row)}", CERTAIN, case)


def _trailer(case: Case) -> Diagnosis | None:
    """What slurmstepd wrote since the attempt began."""
    found = trailers(since(readable(case.worker_log), case.began))
    reasons = [each for each in found if each.cause is not Cause.HOST_OOM]
    if reasons:
        line = _trailer_line(reasons[-1])
        return _diagnosis(reasons[-1].cause, f"the worker left no end; {line}", CERTAIN, case, f"log: {line}")
    return _for_memory(case, f"log: {_trailer_line(found[-1])}") if found else None


def _trailer_line(trailer: Trailer) -> str:
    return trailer.line.strip()[:200]


def _killed_at_its_limit(case: Case) -> Diagnosis | None:
    """A worker that SIGKILL ended while a run used all of its memory was ended for it, whatever nobody counted."""
    if case.row is None or not case.is_over or signal.SIGKILL not in signals_of(case.row):
        return None
    message = f"its task was killed while it used {case.measured_gb:.1f} of its {case.mem_gb:g} GB"
    return _diagnosis(Cause.HOST_OOM, message, LIKELY, case)


def signals_of(row: TaskRow) -> set[int]:
    """Return the signals that may have ended a task, in both ways of telling: as a signal, or as an exit code with or without 128."""
    code = row.exit_code or 0
    return {number for number in (row.signal or 0, code, code - 128) if number > 0}


def _its_log(case: Case) -> Diagnosis | None:
    said = classify_log(case.log)
    if said.cause is Cause.ERROR or said.confidence == GUESS:
        return None
    message = f"the worker left no end; its log says: {said.message}"[:300]
    return msgspec.structs.replace(said, message=message, confidence=LIKELY, evidence=evidence_lines(*said.evidence, _row_line(case.row)))


def _log_of_worker(case: Case) -> Diagnosis | None:
    said = classify_log("\n".join(since(readable(case.worker_log), case.began)))
    if said.cause not in _OF_THE_PLACE or said.confidence == GUESS:
        return None
    message = f"the worker left no end; its log says: {said.message}"[:300]
    return _diagnosis(said.cause, message, LIKELY, case, *said.evidence, excerpt=said.excerpt)


def _clock(case: Case) -> Diagnosis | None:
    """Of a task that no source names: a last sign of life at the time limit."""
    if case.row is not None or case.began is None or case.heartbeat_at is None or case.limit_s is None:
        return None
    lasted = case.heartbeat_at - case.began
    if lasted < case.limit_s - _LIMIT_SLACK_S:
        return None
    told = f"heartbeat: the last one came {lasted:.0f} s after the start, the limit is {case.limit_s:.0f} s"
    return _diagnosis(Cause.TIMEOUT, f"the worker left no end; {told.partition(': ')[2]}", GUESS, case, told)
