"""How runs are cut into arrays: every run once, never more than max_parallel, everything used."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cluster.resources import Pack, Resources
from orchestrator.launch.arrays import Job, Room, cut_arrays, share_slots
from orchestrator.worker.submission import Row


def jobs(count: int, mem_gb: float = 4.0) -> list[Job]:
    return [Job(row=Row(run=f"{mem_gb:.0f}{number:015x}", attempt=1), resources=Resources(mem_gb=mem_gb)) for number in range(count)]


CASES = [
    # runs, max_parallel, MaxArraySize → tasks of each array, throttle of each
    (72, 9, 1001, [72], [9]),
    (2500, 9, 1001, [834, 833, 833], [3, 3, 3]),  # 2500 = 834 + 833 + 833
    (2500, 10, 1001, [834, 833, 833], [4, 3, 3]),
    (10_000, 256, 1001, [1000] * 10, [26] * 6 + [25] * 4),  # 256 = 6 × 26 + 4 × 25
    (3, 9, 1001, [3], [3]),
    (1, 1, 1, [1], [1]),
]


@pytest.mark.parametrize(("count", "slots", "max_array", "tasks", "throttles"), CASES)
def test_one_class_is_cut_into_few_even_arrays(count: int, slots: int, max_array: int, tasks: list[int], throttles: list[int]) -> None:
    arrays, later = cut_arrays(jobs(count), Pack(), Room(slots=slots, max_array=max_array), listed=False)
    assert [array.tasks for array in arrays] == tasks
    assert [array.throttle for array in arrays] == throttles
    assert later == []


def test_runs_beyond_slots_times_array_size_wait() -> None:
    arrays, later = cut_arrays(jobs(2500), Pack(), Room(slots=2, max_array=1000), listed=False)
    assert [array.tasks for array in arrays] == [1000, 1000]
    assert len(later) == 500


def test_class_without_a_slot_waits_for_one() -> None:
    mixed = [job for mem in (4.0, 8.0, 16.0) for job in jobs(5, mem)]
    arrays, later = cut_arrays(mixed, Pack(), Room(slots=2, max_array=1001), listed=False)
    assert {array.resources.mem_gb for array in arrays} == {4.0, 8.0}
    assert {job.resources.mem_gb for job in later} == {16.0}


def test_packed_tasks_ask_for_fewer_tasks_and_count_their_runs() -> None:
    [array], _ = cut_arrays(jobs(100), Pack(per_task=10, per_gpu=2), Room(slots=8, max_array=1001), listed=False)
    assert (array.tasks, array.throttle, array.max_parallel) == (10, 4, 8)  # 4 tasks × 2 runs side by side


def test_local_workers_are_as_many_as_slots() -> None:
    [array], _ = cut_arrays(jobs(100), Pack(), Room(slots=3, max_array=10**6), listed=True)
    assert (array.tasks, len(array.rows)) == (3, 100)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6), st.integers(0, 40), st.integers(1, 120), st.integers(1, 4), st.booleans())
def test_every_run_is_in_one_place_and_no_limit_is_passed(
    counts: list[int], slots: int, max_array: int, per_task: int, capped: bool
) -> None:
    given_jobs = [job for place, count in enumerate(counts) for job in jobs(count, 2.0 ** (place + 1))]
    room = Room(slots=slots, max_array=max_array, tasks=50 if capped else math.inf)
    arrays, later = cut_arrays(given_jobs, Pack(per_task=per_task), room, listed=False)
    placed = [row.run for array in arrays for row in array.rows] + [job.row.run for job in later]
    assert sorted(placed) == sorted(job.row.run for job in given_jobs)
    assert sum(array.max_parallel for array in arrays) <= slots
    assert all(0 < array.tasks <= max_array and 1 <= array.throttle <= array.tasks for array in arrays)
    assert sum(array.tasks for array in arrays) <= room.tasks


def test_shares_use_all_slots_while_tasks_last() -> None:
    assert share_slots([300.0, 100.0], [300, 100], 8) == [6, 2]
    assert share_slots([900.0, 100.0], [2, 100], 8) == [2, 6]
    assert share_slots([1.0, 1.0, 1.0], [9, 9, 9], 2) == [1, 1, 0]
    assert share_slots([], [], 8) == []
