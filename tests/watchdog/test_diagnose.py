"""Ends that no worker told: what each source is trusted with, and in which order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.cluster.scheduler import TaskRow, TaskState
from orchestrator.store.states import Cause, State
from orchestrator.watchdog.diagnose import WORDS, Case, diagnose
from orchestrator.worker.outcome import End

OOM = 'Traceback (most recent call last):\n  File "train.py", line 3, in f\n    f()\nRuntimeError: CUDA out of memory. Tried to allocate'
WORKER_DIED = OOM.replace("CUDA out of memory. Tried to allocate", "DataLoader worker (pid 7) is killed by signal: Killed.")
TRAILER = "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-31T12:00:00 DUE TO {} ***\n"
OOM_TRAILER = "slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch. Some of the step tasks have been OOM Killed.\n"
LATER = 4e9


def row(word: str, **more: Any) -> TaskRow:
    return TaskRow(token="t", job_id="7", index=0, state=TaskState.ENDED, word=word, **{"source": "sacct", **more})


def end(cause: Cause | None, state: State = State.FAILED) -> End:
    return End(at=1.0, run="r", attempt=1, state=state, cause=cause, message="its own words", confidence="certain", evidence=("log: x",))


CASES: list[tuple[str, Case, State, Cause]] = [
    ("nothing is known", Case(), State.INTERRUPTED, Cause.LOST),
    ("its worker failed", Case(row=row("FAILED", exit_code=1)), State.INTERRUPTED, Cause.LOST),
    ("its worker ended well", Case(row=row("COMPLETED")), State.INTERRUPTED, Cause.LOST),
    ("its local worker is gone", Case(row=row("GONE", source="proc")), State.INTERRUPTED, Cause.LOST),
    ("Slurm forgot it", Case(row=row("CANCELLED")), State.INTERRUPTED, Cause.LOST),
    ("a word that nobody knows", Case(row=row("MELTED")), State.FAILED, Cause.UNKNOWN),
    ("a person cancelled it", Case(row=row("CANCELLED", reason="by 1000")), State.CANCELLED, Cause.CANCELLED),
    ("a person, by the queue's word", Case(row=row("CANCELLED", source="squeue")), State.CANCELLED, Cause.CANCELLED),
    ("we cancelled it", Case(row=row("CANCELLED", reason="by 1000"), ours=True), State.INTERRUPTED, Cause.LOST),
    ("cancelled by a person after a step died", Case(row=row("CANCELLED", reason="by 7", oom=True)), State.CANCELLED, Cause.CANCELLED),
    (
        "we ended it, as it stood still",
        Case(row=row("CANCELLED", reason="by 1"), ours=True, stalled=True),
        State.INTERRUPTED,
        Cause.STALLED,
    ),
    ("it stood still and died", Case(row=row("NODE_FAIL"), stalled=True), State.INTERRUPTED, Cause.NODE_FAILURE),
    ("a failed dependency", Case(row=row("CANCELLED", source="squeue", reason="DependencyNeverSatisfied")), State.INTERRUPTED, Cause.LOST),
    ("memory", Case(row=row("OUT_OF_MEMORY")), State.FAILED, Cause.HOST_OOM),
    ("memory of a step", Case(row=row("COMPLETED", oom=True)), State.FAILED, Cause.HOST_OOM),
    ("memory of its loader", Case(row=row("OUT_OF_MEMORY"), log=WORKER_DIED), State.FAILED, Cause.WORKER_OOM),
    ("memory, packed, full", Case(row=row("OUT_OF_MEMORY"), packed=True, measured_gb=31, mem_gb=32), State.FAILED, Cause.HOST_OOM),
    (
        "memory, packed, not full",
        Case(row=row("OUT_OF_MEMORY"), packed=True, measured_gb=9, mem_gb=32),
        State.INTERRUPTED,
        Cause.SIBLING_OOM,
    ),
    ("memory, packed, never measured", Case(row=row("OUT_OF_MEMORY"), packed=True, mem_gb=32), State.INTERRUPTED, Cause.SIBLING_OOM),
    ("memory, by the log alone", Case(worker_log=OOM_TRAILER), State.FAILED, Cause.HOST_OOM),
    (
        "memory, by the log, packed",
        Case(worker_log=OOM_TRAILER, packed=True, measured_gb=1, mem_gb=32),
        State.INTERRUPTED,
        Cause.SIBLING_OOM,
    ),
    ("time limit over memory in the log", Case(row=row("TIMEOUT"), worker_log=OOM_TRAILER), State.INTERRUPTED, Cause.TIMEOUT),
    ("preempted, by the log alone", Case(worker_log=TRAILER.format("PREEMPTION")), State.INTERRUPTED, Cause.PREEMPTED),
    ("node lost, by the log", Case(row=row("FAILED"), worker_log=TRAILER.format("NODE FAILURE")), State.INTERRUPTED, Cause.NODE_FAILURE),
    ("an earlier start's log", Case(worker_log=TRAILER.format("PREEMPTION"), began=LATER), State.INTERRUPTED, Cause.LOST),
    ("somebody ended it, says the log", Case(worker_log=TRAILER.format("X").replace(" DUE TO X", "")), State.INTERRUPTED, Cause.LOST),
    ("its own words", Case(end=end(Cause.DIVERGED), row=row("TIMEOUT")), State.FAILED, Cause.DIVERGED),
    ("its own words, as asked", Case(end=end(Cause.PREEMPTED, State.INTERRUPTED)), State.INTERRUPTED, Cause.PREEMPTED),
    ("its own words, cancelled", Case(end=end(Cause.CANCELLED, State.CANCELLED)), State.CANCELLED, Cause.CANCELLED),
    (
        "it failed before a person cancelled the rest",
        Case(end=end(Cause.ERROR), row=row("CANCELLED", reason="by 7")),
        State.FAILED,
        Cause.ERROR,
    ),
    (
        "it was told to end by a person's scancel",
        Case(end=end(Cause.PREEMPTED, State.INTERRUPTED), row=row("CANCELLED", reason="by 7")),
        State.CANCELLED,
        Cause.CANCELLED,
    ),
    ("a success that nothing proves", Case(end=end(None, State.COMPLETED)), State.INTERRUPTED, Cause.LOST),
    ("its log", Case(row=row("FAILED"), log=OOM), State.FAILED, Cause.GPU_OOM),
    ("a bug in its log may be old", Case(row=row("FAILED"), log="ValueError: odd"), State.INTERRUPTED, Cause.LOST),
    ("a traceback in its log may be old", Case(row=row("FAILED"), log=OOM.replace("CUDA", "Odd")), State.INTERRUPTED, Cause.LOST),
    ("the node's word over its log", Case(row=row("NODE_FAIL"), log=OOM), State.INTERRUPTED, Cause.NODE_FAILURE),
    ("the worker's disk", Case(row=row("FAILED"), worker_log="OSError: [Errno 28] No space left on device"), State.FAILED, Cause.DISK_FULL),
    ("the worker's bug", Case(row=row("FAILED"), worker_log=OOM), State.INTERRUPTED, Cause.LOST),
    ("last seen at its limit", Case(began=0, heartbeat_at=3590, limit_s=3600), State.INTERRUPTED, Cause.TIMEOUT),
    ("last seen before its limit", Case(began=0, heartbeat_at=3000, limit_s=3600), State.INTERRUPTED, Cause.LOST),
]


@pytest.mark.parametrize(("case", "state", "cause"), [each[1:] for each in CASES], ids=[each[0] for each in CASES])
def test_an_end_that_no_worker_told_has_its_cause(case: Case, state: State, cause: Cause) -> None:
    ending = diagnose(case)
    assert (ending.state, ending.diagnosis.cause) == (state, cause)


@pytest.mark.parametrize("told", [{"signal": 9}, {"exit_code": 9}, {"exit_code": 137}])
@pytest.mark.parametrize(("measured_gb", "cause"), [(31.5, Cause.HOST_OOM), (12.0, Cause.LOST)])
def test_a_killed_worker_is_judged_by_its_memory_however_slurm_tells_the_kill(
    told: dict[str, int], measured_gb: float, cause: Cause
) -> None:
    assert diagnose(Case(row=row("FAILED", **told), measured_gb=measured_gb, mem_gb=32.0)).diagnosis.cause is cause


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("packed", [False, True])
def test_each_word_of_slurm_is_told_with_its_source(word: str, packed: bool) -> None:
    diagnosis = diagnose(Case(row=row(word), packed=packed, measured_gb=32.0, mem_gb=32.0)).diagnosis
    assert diagnosis.cause is WORDS[word]
    assert f"sacct: {word} 0:0" in diagnosis.evidence
    assert "journal: last measured 32.0 of 32 GB" in diagnosis.evidence


def test_a_log_folder_that_slurm_could_not_write_is_named() -> None:
    assert "log folder" in diagnose(Case(row=row("FAILED", signal=53))).diagnosis.message


words = st.sampled_from([*WORDS, "COMPLETED", "FAILED", "CANCELLED", "GONE", "MELTED", ""])
texts = st.sampled_from(["", OOM, WORKER_DIED, OOM_TRAILER, TRAILER.format("TIME LIMIT"), "All done, success!", "\x1b[0m\x00"]) | st.text()
rows = st.builds(
    row,
    words,
    exit_code=st.none() | st.integers(0, 255),
    signal=st.none() | st.integers(0, 125),
    oom=st.booleans(),
    reason=st.sampled_from(["", "by 0", "None", "Dependency"]),
    source=st.sampled_from(["sacct", "squeue", "proc"]),
)
ends = st.builds(end, st.none() | st.sampled_from(Cause), st.sampled_from([State.FAILED, State.INTERRUPTED, State.COMPLETED]))


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        Case,
        row=st.none() | rows,
        ours=st.booleans(),
        stalled=st.booleans(),
        packed=st.booleans(),
        end=st.none() | ends,
        log=texts,
        worker_log=texts,
        measured_gb=st.sampled_from([0.0, 1.0, 32.0]),
        mem_gb=st.sampled_from([0.0, 32.0]),
        began=st.sampled_from([None, 0.0, LATER]),
        heartbeat_at=st.sampled_from([None, 1.0, LATER]),
        limit_s=st.sampled_from([None, 60.0]),
    )
)
def test_nothing_makes_a_success_and_only_a_person_cancels(case: Case) -> None:
    state, diagnosis = diagnose(case)
    by_a_person = case.row is not None and case.row.word == "CANCELLED" and not case.ours
    assert state in (State.FAILED, State.INTERRUPTED) or (state is State.CANCELLED and by_a_person)
    assert diagnosis.message
    assert len(diagnosis.evidence) <= 4
    assert all(": " in line and len(line) <= 200 for line in diagnosis.evidence)
    assert diagnosis.confidence in ("certain", "likely", "guess")
