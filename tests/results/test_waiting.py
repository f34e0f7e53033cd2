"""Why runs wait: for Slurm, for a slot, for their time, for a person, or for somebody to watch."""

from __future__ import annotations

import pytest

from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.grid.manifest import Manifest
from orchestrator.results.waiting import Delay, Explainer, Surroundings, Wait, count_waits
from orchestrator.store.events import Intent, Paused
from orchestrator.store.records import Attempt, Record, Records, SubmissionRecord
from orchestrator.store.states import Cause, State

RUN = f"{1:016x}"
NOW = 10_000.0
MANIFEST = Manifest(id=RUN, version=1, config={})


def row(state: TaskState, reason: str = "", index: int = 0) -> TaskRow:
    return TaskRow(token="t", job_id="1", index=index, state=state, word="", reason=reason, source="squeue")


def submission(**fields: object) -> SubmissionRecord:
    intent = Intent(at=0.0, token="t", runs=((RUN, 1),), tasks=1, max_parallel=1, resources={"mem_gb": 4.0})
    return SubmissionRecord(**{name: getattr(intent, name) for name in intent.__struct_fields__} | {"job_id": "1"} | fields)


def explain(
    state: State, *rows: TaskRow, around: Surroundings | None = None, known: dict[str, object] | None = None, **fields: object
) -> Wait | None:
    record = Record(id=RUN, state=state, **({"token": "t", "attempt": 1} if state is State.QUEUED else {}), **fields)  # type: ignore[arg-type]
    records = Records(runs={RUN: record}, **{"submissions": {"t": submission()}, **(known or {})})  # type: ignore[arg-type]
    snapshot = Snapshot(taken_at=NOW, queue_ok=True, accounting_ok=True, tasks={"t": {one.index: one for one in rows}} if rows else {})
    return Explainer("g", records, snapshot, around or Surroundings()).explain(MANIFEST, record)


def told(wait: Wait | None) -> tuple[str, str, str]:
    assert wait is not None
    return wait.source, wait.reason, wait.sentence


def test_a_queued_run_waits_for_what_slurm_says_and_asks_for_what_its_submission_does() -> None:
    assert told(explain(State.QUEUED, row(TaskState.WAITING, "Resources"))) == (
        "slurm",
        "Resources",
        "it is next, as soon as 1 core, 4 GB for 60 min are free",
    )


def test_advice_names_the_grid() -> None:
    wait = explain(State.QUEUED, row(TaskState.WAITING, "Priority"))
    assert wait is not None and wait.commands == ("status g --advise",)


@pytest.mark.parametrize("state", [State.RUNNING, State.COMPLETED, State.FAILED, State.CANCELLED, State.STALLED, State.BLOCKED])
def test_runs_that_compute_or_ended_wait_for_nothing(state: State) -> None:
    assert explain(state) is None


def test_a_queued_run_that_no_source_names_is_not_guessed_about() -> None:
    assert explain(State.QUEUED) is None


def test_a_run_of_a_list_waits_for_its_turn_while_a_worker_computes() -> None:
    known = {"submissions": {"t": submission(listed=True, tasks=2)}}
    rows = [row(TaskState.WAITING, "Priority", 0), row(TaskState.RUNNING, "", 1)]
    assert told(explain(State.QUEUED, *rows, known=known))[1] == "turn"
    assert told(explain(State.QUEUED, rows[0], known=known))[1] == "Priority"


def test_a_submission_without_an_answer_is_told() -> None:
    assert told(explain(State.QUEUED, known={"submissions": {"t": submission(job_id="")}}))[1] == "unanswered"


OURS = [
    # (state, what is known beside, reason, words of the sentence)
    (State.PLANNED, Surroundings(slots=9, free=0), "slots", "all 9 slots (max_parallel) are taken"),
    (State.PLANNED, Surroundings(slots=2, free=0, bound="workers of profile local"), "slots", "all 2 slots (workers of profile local)"),
    (State.PLANNED, Surroundings(patience_s=100), "unwatched", "nobody watches"),
    (State.PLANNED, Surroundings(patience_s=NOW + 1), "next", "it is submitted in the next round of the watch"),
    (State.PLANNED, Surroundings(launched=frozenset()), "unlaunched", "never launched"),
    (State.PLANNED, Surroundings(delays={RUN: Delay(reason="refused", due=NOW + 90)}), "delay", "refused; it is submitted within 2 min"),
    (State.INTERRUPTED, Surroundings(), "next", "it is taken up again in the next round"),
    (State.INTERRUPTED, Surroundings(delays={RUN: Delay(reason="host_oom", due=NOW)}), "delay", "host_oom; it is taken up again within 0"),
    (State.FAILED, Surroundings(again=frozenset({RUN})), "next", "it is taken up again"),
    (State.HELD, Surroundings(), "held", "it is kept back"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "around", "reason", "words"), OURS)
def test_what_waits_for_mrsweep_says_so(state: State, around: Surroundings, reason: str, words: str) -> None:
    source, found, sentence = told(explain(state, around=around))
    assert (source, found) == ("mrsweep", reason)
    assert words in sentence


def test_a_run_that_is_given_up_or_left_out_of_the_grid_waits_for_nothing() -> None:
    assert explain(State.INTERRUPTED, around=Surroundings(delays={RUN: Delay(reason="3 attempts")})) is None
    assert explain(State.PLANNED, known={"orphans": {RUN}}) is None


@pytest.mark.parametrize("state", [State.PLANNED, State.INTERRUPTED, State.HELD])
def test_in_a_paused_grid_everything_waits_for_a_person(state: State) -> None:
    wait = explain(state, known={"paused": Paused(at=1.0, reason="5 runs ended alike")})
    assert told(wait)[1:] == ("paused", "the grid is paused: 5 runs ended alike")
    assert wait is not None and wait.commands == ("launch g --resume",)


def test_an_interrupted_run_whose_task_lives_is_left_to_slurm() -> None:
    attempts = (Attempt(number=1, token="t", index=0),)
    wait = explain(State.INTERRUPTED, row(TaskState.WAITING, "BeginTime"), attempts=attempts, cause=Cause.PREEMPTED)
    assert told(wait)[1] == "requeued"


def test_a_run_that_was_released_just_now_is_not_called_unwatched() -> None:
    assert told(explain(State.PLANNED, around=Surroundings(patience_s=100), since=NOW - 50))[1] == "next"


def test_reasons_are_counted_the_most_frequent_first() -> None:
    waits = [Wait(source="slurm", reason=word, sentence=word) for word in ("a", "b", "b")]
    assert [(wait.reason, wait.runs) for wait in count_waits(waits)] == [("b", 2), ("a", 1)]
    assert count_waits([]) == ()
