"""Free slots: what open submissions may take, by their tasks where the scheduler names them, else by their runs."""

from __future__ import annotations

import pytest

from orchestrator.cluster.scheduler import Limits
from orchestrator.launch.plan import free_slots
from orchestrator.store.events import Changed, Intent, Refused, Submitted
from orchestrator.store.records import Records
from orchestrator.store.states import State
from tests.watchdog.study import Study

RUNS = tuple((f"{number:016x}", 1) for number in range(6))


def submission(*, max_parallel: int = 3, at_a_time: int = 1, done: int = 0) -> Records:
    """Six runs in one submission, the first of them completed."""
    intent = Intent(at=1.0, token="t", runs=RUNS, tasks=6, max_parallel=max_parallel, at_a_time=at_a_time)
    ended = [Changed(at=3.0, run=run_id, state=State.COMPLETED) for run_id, _ in RUNS[:done]]
    return Records().apply([intent, Submitted(at=2.0, token="t", job_id="7"), *ended])


CASES = [
    ("as many as its throttle lets start", submission(), {"t": 6}, 10 - 3),
    ("fewer tasks than its throttle", submission(), {"t": 2}, 10 - 2),
    ("a task that found its run done holds resources until it ends", submission(done=6), {"t": 1}, 10 - 1),
    ("all tasks ended", submission(), {"t": 0}, 10),
    ("not named: its unfinished runs", submission(done=4), {}, 10 - 2),
    ("not named, many runs: its throttle", submission(), {}, 10 - 3),
    ("a task computes two runs", submission(max_parallel=8, at_a_time=2), {"t": 3}, 10 - 6),
    ("none is left", submission(max_parallel=11), {"t": 11}, 0),
    ("nothing was submitted", Records(), {}, 10),
]


@pytest.mark.parametrize(("case", "records", "live", "expected"), CASES, ids=[case[0] for case in CASES])
def test_free_slots_are_what_open_submissions_cannot_take(case: str, records: Records, live: dict[str, int], expected: int) -> None:
    assert free_slots(records, live, max_parallel=10) == expected


def test_refused_submission_takes_no_slot() -> None:
    refused = submission().apply([Refused(at=4.0, token="t", message="no")])
    assert free_slots(refused, {"t": 6}, max_parallel=10) == 10


def test_run_that_another_submission_holds_by_now_is_counted_once() -> None:
    moved = submission().apply(
        [
            *(Changed(at=3.0, run=run_id, state=State.INTERRUPTED) for run_id, _ in RUNS),
            Intent(at=5.0, token="u", runs=tuple((run_id, 2) for run_id, _ in RUNS), tasks=6, max_parallel=4),
        ]
    )
    assert free_slots(moved, {}, max_parallel=10) == 10 - 4


@pytest.mark.parametrize(("most", "queued", "submitted"), [(100, 0, 92), (100, 90, 2), (100, 95, 0), (8, 0, 6), (4, 0, 3), (1, 0, 1)])
def test_room_is_kept_in_the_queue_for_janitors(
    study: Study, monkeypatch: pytest.MonkeyPatch, most: int, queued: int, submitted: int
) -> None:
    study.more = ["resources: {max_parallel: 1000}"]
    monkeypatch.setattr(study.scheduler, "limits", lambda: Limits(max_array_size=1001, max_submit=most))
    monkeypatch.setattr(study.scheduler, "count_queued", lambda: queued)
    study.launch(*range(120))
    assert sum(job.request.tasks for job in study.scheduler.jobs) == submitted
