"""What an attempt left behind, from real files."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from orchestrator.store.events import Intent, Measured, Submitted
from orchestrator.store.layout import GridPaths
from orchestrator.store.records import Attempt, Records, SubmissionRecord
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.clues import clues_in
from orchestrator.watchdog.diagnose import Case, diagnose
from orchestrator.worker.logs import TAIL_BYTES
from orchestrator.worker.outcome import End
from orchestrator.worker.telemetry import Heartbeat

RUN = "0123456789abcdef"
ATTEMPT = Attempt(number=2, restart=1, token="t1", index=3, started_at=100.0)


@pytest.fixture
def paths(tmp_path: Path) -> GridPaths:
    paths = GridPaths(tmp_path / "knee 'quoted'")
    paths.run(RUN).attempt(2, 1).dir.mkdir(parents=True)
    paths.submission("t1").logs.mkdir(parents=True)
    return paths


def submission(**more: object) -> SubmissionRecord:
    intent = Intent(at=1.0, token="t1", runs=((RUN, 2),), tasks=4, max_parallel=4, resources={"mem_gb": 32, "time_min": 90.0}, **more)  # type: ignore[arg-type]
    return Records().apply([intent, Submitted(at=2.0, token="t1", job_id="7")]).submissions["t1"]


def measured(run: str, pss_gb: float, attempt: int = 2) -> bytes:
    return msgspec.json.encode(Measured(at=5.0, run=run, attempt=attempt, pss_gb=pss_gb)) + b"\n"


def test_an_attempt_that_left_nothing_leaves_an_empty_case(paths: GridPaths) -> None:
    assert clues_in(paths)(RUN, ATTEMPT, submission()) == Case(mem_gb=32.0, began=100.0, limit_s=5400.0)


def test_all_that_an_attempt_left_is_read(paths: GridPaths) -> None:
    files, worker = paths.run(RUN).attempt(2, 1), paths.submission("t1")
    end = End(at=9.0, run=RUN, attempt=2, restart=1, state=State.FAILED, cause=Cause.DIVERGED)
    files.end.write_bytes(msgspec.json.encode(end))
    files.log.write_bytes(b"x" * TAIL_BYTES + b"last words")
    files.heartbeat.write_bytes(msgspec.json.encode(Heartbeat(counter=1, at=160.0, pss_gb=1.0, cpu_s=2.0)))
    worker.log(3).write_text("slurmstepd")
    files.metrics.write_text('{"step": 6}\n{"step": 7, "loss": 0.5}\n{"step": 8, "lo')
    files.checkpoint.mkdir()
    for name, at in {"epoch-1.pt": 150, "epoch 2.pt": 155, ".epoch-3.pt.tmp": 159}.items():
        (files.checkpoint / name).touch()
        os.utime(files.checkpoint / name, (at, at))
    worker.journal(3, 1).write_bytes(measured(RUN, 3.5) + measured("f" * 16, 30.0) + measured(RUN, 9.0, attempt=1) + measured(RUN, 7.25))
    case = clues_in(paths)(RUN, ATTEMPT, submission(at_a_time=2, listed=True))
    assert (case.end, case.packed, case.measured_gb, case.heartbeat_at) == (end, True, 7.25, 160.0)
    assert (len(case.log), case.log.endswith("last words"), case.worker_log) == (TAIL_BYTES, True, "slurmstepd")
    assert (case.last_step, case.saved_at) == (7, 155.0)
    assert case.limit_s is None  # a task that computes one run after the other has a limit of its own


def test_a_torn_journal_and_a_torn_end_are_no_obstacle(paths: GridPaths) -> None:
    paths.run(RUN).attempt(2, 1).end.write_bytes(b'{"t": "en')
    paths.submission("t1").journal(3, 1).write_bytes(measured(RUN, 3.5) + b'{"t": "meas')
    case = clues_in(paths)(RUN, ATTEMPT, submission())
    assert (case.end, case.measured_gb, diagnose(case).diagnosis.cause) == (None, 3.5, Cause.LOST)
