"""Where the hours went: useful, wasted by cause, running; each attempt counts once."""

from __future__ import annotations

import pytest

from orchestrator.cluster.resources import Resources
from orchestrator.grid.manifest import Manifest
from orchestrator.results.cost import Cost, limit_of
from orchestrator.results.spending import Spending, add_up
from orchestrator.store.events import Intent
from orchestrator.store.records import Attempt, Record, Records, SubmissionRecord
from orchestrator.store.states import Cause, State

RUN = f"{1:016x}"
HOUR = 3600.0
NOW = 100 * HOUR


def ended(hours: float, state: State, cause: Cause | None = None, *, saved: bool = False, number: int = 1) -> Attempt:
    at = {"started_at": 0.0, "ended_at": hours * HOUR, "runtime_s": hours * HOUR, "saved_at": 1.0 if saved else None}
    return Attempt(number=number, state=state, cause=cause, **at)  # type: ignore[arg-type]


def running(hours: float, number: int = 1) -> Attempt:
    return Attempt(number=number, started_at=NOW - hours * HOUR)


def spend(state: State, *attempts: Attempt, gpus: int = 1, submissions: dict[str, SubmissionRecord] | None = None) -> Spending:
    manifest = Manifest(id=RUN, version=1, config={}, resources=Resources(gpus=gpus, cpus=4))
    record = Record(id=RUN, state=state, attempts=attempts)
    return add_up([(manifest, record)], Records(runs={RUN: record}, submissions=submissions or {}), NOW)


LOST = ended(2, State.INTERRUPTED, Cause.NODE_FAILURE)
SAVED = ended(3, State.INTERRUPTED, Cause.TIMEOUT, saved=True)
DONE = ended(5, State.COMPLETED, number=2)

CASES = [
    # (state, attempts, useful, wasted by cause, running) in GPU hours
    (State.PLANNED, (), 0, {}, 0),
    (State.COMPLETED, (DONE,), 5, {}, 0),
    (State.COMPLETED, (LOST, DONE), 5, {"node_failure": 2}, 0),
    (State.COMPLETED, (SAVED, DONE), 8, {}, 0),  # 3 + 5: the second went on from the first
    (State.COMPLETED, (SAVED, LOST, DONE), 8, {"node_failure": 2}, 0),  # the third went on from the first
    (State.FAILED, (ended(1, State.FAILED, Cause.ERROR),), 0, {"error": 1}, 0),
    (State.FAILED, (ended(1, State.FAILED, Cause.ERROR, saved=True),), 0, {"error": 1}, 0),  # nothing goes on from it
    (State.FAILED, (SAVED, ended(1, State.FAILED, Cause.ERROR)), 0, {"timeout": 3, "error": 1}, 0),  # it came to nothing
    (State.INTERRUPTED, (SAVED,), 3, {}, 0),  # it may still be gone on from
    (State.INTERRUPTED, (LOST,), 0, {"node_failure": 2}, 0),
    (State.CANCELLED, (ended(1, State.CANCELLED, Cause.CANCELLED),), 0, {"cancelled": 1}, 0),
    (State.RUNNING, (SAVED, running(4)), 3, {}, 4),
    (State.STALLED, (running(4),), 0, {}, 4),
    (State.CANCELLED, (running(4),), 0, {}, 0),  # it never told its end: nothing is made up
    (State.RUNNING, (running(9), running(4, 2)), 0, {}, 4),  # the first never told its end
    (State.PRUNED, (DONE,), 5, {}, 0),
]


@pytest.mark.parametrize(("state", "attempts", "useful", "wasted", "computing"), CASES)
def test_every_attempt_counts_once(
    state: State, attempts: tuple[Attempt, ...], useful: float, wasted: dict[str, float], computing: float
) -> None:
    spent = spend(state, *attempts)
    found = {cause: one.gpu_hours for cause, one in spent.wasted.items()}
    assert (spent.useful.gpu_hours, found, spent.running.gpu_hours) == (useful, wasted, computing)
    assert spent.total.gpu_hours == useful + sum(wasted.values()) + computing
    assert spent.total.core_hours == 4 * spent.total.gpu_hours


def test_without_a_gpu_core_hours_are_told() -> None:
    assert spend(State.COMPLETED, DONE, gpus=0).total.told == "20 core hours"


def test_what_an_attempt_held_is_what_its_submission_asked_for_and_shared_gpus_count_once() -> None:
    intent = Intent(at=0.0, token="t", runs=(), tasks=1, max_parallel=2, at_a_time=2, resources={"gpus": 2, "cpus": 1})
    submission = SubmissionRecord(**{name: getattr(intent, name) for name in intent.__struct_fields__})
    attempt = Attempt(number=1, token="t", state=State.COMPLETED, ended_at=1.0, runtime_s=3 * HOUR)
    spent = spend(State.COMPLETED, attempt, submissions={"t": submission})
    assert spent.useful == Cost(gpu_hours=3.0, core_hours=3.0)  # 2 GPUs x 3 h / 2 runs; 1 core x 3 h


def test_resources_are_those_of_each_node() -> None:
    intent = Intent(at=0.0, token="t", runs=(), tasks=1, max_parallel=2, at_a_time=2, resources={"gpus": 4, "cpus": 3, "nodes": 2})
    submission = SubmissionRecord(**{name: getattr(intent, name) for name in intent.__struct_fields__})
    attempt = Attempt(number=1, token="t", state=State.COMPLETED, ended_at=1.0, runtime_s=5 * HOUR)
    spent = spend(State.COMPLETED, attempt, submissions={"t": submission})
    assert spent.useful == Cost(gpu_hours=20.0, core_hours=30.0)  # 2 nodes x 4 GPUs x 5 h / 2 runs; 2 nodes x 3 cores x 5 h


def test_limit_counts_every_node_and_the_whole_time() -> None:
    asked = [Resources(gpus=4, cpus=3, nodes=2, time_min=90), Resources(cpus=2, time_min=60)]
    assert limit_of(asked) == Cost(gpu_hours=12.0, core_hours=11.0)  # 2 x 4 x 1.5 h; 2 x 3 x 1.5 h + 2 x 1 h


def test_the_largest_waste_comes_first() -> None:
    pairs = []
    for number, (cause, hours) in enumerate([(Cause.ERROR, 1), (Cause.HOST_OOM, 9)]):
        record = Record(id=f"{number:016x}", state=State.FAILED, attempts=(ended(hours, State.FAILED, cause),))
        pairs.append((Manifest(id=record.id, version=1, config={}, resources=Resources(gpus=1)), record))
    assert list(add_up(pairs, Records(), NOW).wasted) == ["host_oom", "error"]


TOLD = [(0.05, 10.0, "0.1"), (4.23, 41.0, "4.2"), (31.4, 41.0, "31"), (1234.5, 5000.0, "1,234"), (0.01, 0.05, "0.6")]  # minutes below 0.1 h


@pytest.mark.parametrize(("hours", "whole", "told"), TOLD)
def test_a_part_is_told_in_the_unit_of_the_whole(hours: float, whole: float, told: str) -> None:
    assert Cost(gpu_hours=hours, core_hours=0).told_beside(Cost(gpu_hours=whole, core_hours=0)) == told
