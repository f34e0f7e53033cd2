"""Slots of drained arrays go to those that lag behind, and never more than there are."""

from __future__ import annotations

import pytest

from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.store.events import Intent, Submitted, Throttled
from orchestrator.store.records import Records
from orchestrator.watchdog.throttle import plan_move, raise_throttles

RUNNING, WAITING, ENDED = TaskState.RUNNING, TaskState.WAITING, TaskState.ENDED


def records(**throttles: int) -> Records:
    events = []
    for token, throttle in throttles.items():
        events.append(Intent(at=1.0, token=token, runs=(), tasks=99, max_parallel=throttle))
        events.append(Submitted(at=2.0, token=token, job_id=f"1{token}"))
    return Records().apply(events)


def queue(reason: str = "JobArrayTaskLimit", **tasks: tuple[int, int]) -> Snapshot:
    """token → (running, waiting) tasks."""
    rows: dict[str, dict[int, TaskRow]] = {}
    for token, (running, waiting) in tasks.items():
        states = [RUNNING] * running + [WAITING] * waiting + [ENDED]
        rows[token] = {
            index: TaskRow(token=token, job_id=f"1{token}", index=index, state=state, word="", reason=reason if state is WAITING else "")
            for index, state in enumerate(states)
        }
    return Snapshot(taken_at=9.0, queue_ok=True, accounting_ok=True, tasks=rows)


CASES = [
    ("nothing is free", 0, {"a": (2, 5)}, {}),
    ("one lags behind", 2, {"a": (2, 5), "b": (0, 0)}, {"a": 4}),
    ("as many as it has tasks", 9, {"a": (2, 1)}, {"a": 3}),
    ("the longer one first", 1, {"a": (2, 10), "b": (2, 20)}, {"b": 3}),
    ("both, in proportion", 6, {"a": (2, 8), "b": (2, 28)}, {"a": 3, "b": 7}),  # 10 and 30 tasks on 10 slots
    ("it runs as many as it may, and none waits", 4, {"a": (2, 0)}, {}),
    ("the queue does not name it", 4, {}, {}),
]


@pytest.mark.parametrize(("case", "slots", "tasks", "expected"), CASES, ids=[case[0] for case in CASES])
def test_free_slots_go_to_arrays_that_lag_behind(case, slots, tasks, expected):
    raised = raise_throttles(records(a=2, b=2).submissions.values(), queue(**tasks), slots)
    assert {one.token: one.tasks for one in raised} == expected
    assert all(one.job_id == f"1{one.token}" and one.max_parallel == one.tasks for one in raised)


def test_tasks_that_wait_for_something_else_get_no_slots():
    assert raise_throttles(records(a=2).submissions.values(), queue(reason="Dependency", a=(0, 9)), 5) == []


def test_packed_tasks_take_as_many_slots_as_they_compute_runs():
    intent = Intent(at=1.0, token="a", runs=(), tasks=99, max_parallel=8, at_a_time=4)
    packed = Records().apply([intent, Submitted(at=2.0, token="a", job_id="1a")])
    [raised] = raise_throttles(packed.submissions.values(), queue(a=(2, 9)), 7)
    assert (raised.tasks, raised.max_parallel) == (3, 12)


def test_the_record_of_a_submission_knows_its_throttle():
    changed = records(a=2).apply([Throttled(at=3.0, token="a", max_parallel=5), Throttled(at=3.0, token="gone", max_parallel=5)])
    assert changed.submissions["a"].max_parallel == 5


def fixed(**throttles: int) -> Records:
    """Arrays whose throttle the scheduler refused to change."""
    known = records(**throttles)
    return known.apply([Throttled(at=3.0, token=token, max_parallel=throttle, refused=True) for token, throttle in throttles.items()])


MOVES = [
    ("nothing is free", 0, {"a": (2, 9)}, None),
    ("half of what waits to as many slots", 2, {"a": (2, 8)}, ("a", (6, 7, 8, 9))),  # 8 × 2 / (2 + 2) = 4 of rows 2 to 9
    ("the one most behind", 2, {"a": (2, 4), "b": (2, 40)}, ("b", tuple(range(22, 42)))),
    ("a last task is not worth it", 2, {"a": (2, 1)}, None),
    ("the queue does not name it", 2, {}, None),
]


@pytest.mark.parametrize(("case", "slots", "tasks", "expected"), MOVES, ids=[case[0] for case in MOVES])
def test_runs_move_out_of_arrays_whose_throttle_is_fixed(case, slots, tasks, expected):
    known = fixed(a=2, b=2)
    move = plan_move(known.submissions.values(), queue(**tasks), slots)
    assert (move and (move.token, move.rows)) == expected
    assert raise_throttles(known.submissions.values(), queue(**tasks), slots) == []


def test_nothing_moves_out_of_an_array_whose_throttle_can_be_raised():
    assert plan_move(records(a=2).submissions.values(), queue(a=(2, 9)), 4) is None
