"""Read what an attempt left behind that ended without a word of its worker: end.json, the logs, what was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestrator.store.events import Measured, Number, decode_journal_line
from orchestrator.store.files import read_json, read_lines
from orchestrator.store.layout import AttemptPaths, GridPaths
from orchestrator.store.records import Attempt, SubmissionRecord
from orchestrator.watchdog.diagnose import Case
from orchestrator.worker.logs import TAIL_BYTES
from orchestrator.worker.outcome import last_report, log_tail, newest_checkpoint, read_end
from orchestrator.worker.telemetry import Heartbeat

Clues = Callable[[str, Attempt, SubmissionRecord], Case]
"""(run, attempt, its submission) → what its files tell; the scheduler's row is still to be added."""


def clues_in(paths: GridPaths) -> Clues:
    """Return what reads a grid's files for one attempt; nothing is read before it is asked for."""

    def gather(run_id: str, attempt: Attempt, submission: SubmissionRecord) -> Case:
        files, worker = paths.run(run_id).attempt(attempt.number, attempt.restart), paths.submission(submission.token)
        heartbeat = read_json(files.heartbeat, Heartbeat)
        time_min = None if submission.listed else submission.resources.get("time_min")
        return Case(
            packed=submission.at_a_time > 1,
            end=read_end(files),
            log=log_tail(files.log, TAIL_BYTES),
            worker_log=log_tail(worker.log(attempt.index), TAIL_BYTES),
            measured_gb=_measured_gb(worker.journal(attempt.index, attempt.restart), run_id, attempt.number),
            mem_gb=float(submission.resources.get("mem_gb", 0.0)),
            began=attempt.started_at,
            heartbeat_at=heartbeat.at if heartbeat else None,
            limit_s=60.0 * time_min if time_min else None,
            last_step=_last_step(files),
            saved_at=newest_checkpoint(files),
        )

    return gather


def _last_step(files: AttemptPaths) -> Number:
    step = last_report(files.metrics).get("step")
    return step if isinstance(step, int | float | str) else None


def _measured_gb(journal: Path, run_id: str, attempt: int) -> float:
    """Return the memory of a run that its worker journalled last [GB]; 0 when it never did."""
    lines = (line for line in read_lines(journal, decode_journal_line) if isinstance(line, Measured))
    return max((line.pss_gb for line in lines if (line.run, line.attempt) == (run_id, attempt)), default=0.0)
