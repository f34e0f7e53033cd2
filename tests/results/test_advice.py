"""Advice: never below what was measured plus the margin, and nothing from a handful of runs."""

from __future__ import annotations

import pytest

from orchestrator.cluster.resources import Pack, Resources
from orchestrator.grid.manifest import Manifest
from orchestrator.results.advice import Advice, Pair, advise
from orchestrator.store.records import Attempt, Record, Records
from orchestrator.store.states import Cause, State

ASKED = Resources(gpus=1, cpus=2, mem_gb=32, time_min=240)
NOW = 1_000_000.0


def run(number: int, *attempts: Attempt, state: State = State.COMPLETED, asked: Resources = ASKED) -> Pair:
    run_id = f"{number:016x}"
    return Manifest(id=run_id, version=1, config={}, resources=asked), Record(id=run_id, state=state, attempts=attempts)


def used(mem_gb: float = 9.1, minutes: float = 71, gpu_gb: float = 0.0, *, cause: Cause | None = None, saved: bool = False) -> Attempt:
    state = State.COMPLETED if cause is None else State.FAILED
    return Attempt(
        number=1,
        state=state,
        cause=cause,
        started_at=0.0,
        ended_at=60 * minutes,
        runtime_s=60 * minutes,
        peak_mem_gb=mem_gb,
        peak_gpu_gb=gpu_gb,
        saved_at=1.0 if saved else None,
    )


def several(count: int = 5, **measured: float) -> list[Pair]:
    return [run(number, used(**measured)) for number in range(count)]


def only(pairs: list[Pair], *, pack: Pack | None = None, gpu_gb: float | None = None) -> Advice:
    (advice,) = advise(pairs, Records(), pack=pack or Pack(), now=NOW, gpu_gb=gpu_gb)
    return advice


def changes(advice: Advice) -> dict[str, str]:
    return {one.key: f"{one.asked} -> {one.better}" for one in advice.suggestions}


def test_less_is_advised_with_a_margin_above_the_largest_that_was_measured() -> None:
    advice = only([run(9, used(2.0, 10)), *several(4)])
    assert changes(advice) == {"mem_gb": "32 -> 12", "time_min": "240 -> 90"}  # 1.25 x 9.1 = 11.4; 1.25 x 71 = 88.75
    assert [one.reason for one in advice.suggestions] == ["peak of 5 runs: 9.1 GB, + 25 %", "longest of 5 runs: 71 min, + 25 %"]
    assert (advice.runs, advice.asked) == (5, "1 GPU, 2 cores, 32 GB for 4 h")


MEMORY = [(0.2, "0.5"), (0.41, "1"), (3.0, "4"), (9.1, "12"), (20.0, "25"), (20.5, None), (31.0, "40")]


@pytest.mark.parametrize(("peak", "better"), MEMORY)
def test_what_is_advised_is_round_and_never_below_the_peak_and_margin(peak: float, better: str | None) -> None:
    found = changes(only(several(mem_gb=peak, minutes=230))).get("mem_gb")
    assert found == (None if better is None else f"32 -> {better}")
    assert better is None or float(better) >= 1.25 * peak


TIMES = [(0.0, "1"), (0.5, "1"), (4.0, "5"), (71.0, "90"), (120.0, "150"), (153.0, None), (239.0, None)]  # 192 or more is not worth it


@pytest.mark.parametrize(("minutes", "better"), TIMES)
def test_a_shorter_limit_is_advised_only_where_it_is_worth_it(minutes: float, better: str | None) -> None:
    found = changes(only(several(mem_gb=25, minutes=minutes))).get("time_min")
    assert found == (None if better is None else f"240 -> {better}")


@pytest.mark.parametrize("count", [0, 1, 4])
def test_nothing_is_advised_from_fewer_than_five_runs(count: int) -> None:
    advice = only([*several(count), run(9, state=State.PLANNED)])
    assert advice.suggestions == ()
    assert "nothing is advised from fewer than 5" in advice.notes[0]


def test_runs_that_were_adopted_and_have_no_attempts_are_not_measured() -> None:
    assert only([*several(4), run(9)]).runs == 4


def test_memory_that_was_not_measured_is_told_and_not_advised() -> None:
    advice = only(several(mem_gb=0.0))
    assert "mem_gb" not in changes(advice)
    assert advice.notes[0] == "host memory was measured of 0 runs only"


def test_where_runs_died_for_memory_more_is_advised_never_less() -> None:
    dead = run(9, used(31.9, cause=Cause.HOST_OOM), state=State.FAILED)
    advice = only([*several(), dead])
    assert changes(advice)["mem_gb"] == "32 -> 40"  # 1.25 x 32, at which it died
    assert advice.suggestions[0].reason == "1 attempt died for memory, at up to 32 GB"


def test_a_run_that_completed_after_it_died_for_memory_counts_with_its_peak() -> None:
    again = run(9, used(31.9, cause=Cause.HOST_OOM), used(41.0))
    assert changes(only([*several(), again]))["mem_gb"] == "32 -> 52"  # 1.25 x 41 = 51.25, in steps of 4


def test_no_shorter_limit_is_advised_while_runs_reach_the_one_they_have() -> None:
    late = run(9, used(minutes=240, cause=Cause.TIMEOUT), state=State.INTERRUPTED)
    advice = only([*several(), late])
    assert "time_min" not in changes(advice)
    assert any("1 run reached the time limit" in note for note in advice.notes)


def test_attempts_that_were_gone_on_from_count_towards_the_time_of_a_run() -> None:
    resumed = run(9, used(minutes=80, cause=Cause.PREEMPTED, saved=True), used(minutes=50))
    assert changes(only([*several(), resumed]))["time_min"] == "240 -> 165"  # 1.25 x (80 + 50) = 162.5


def test_a_run_that_computes_longer_than_all_others_counts() -> None:
    begun = Attempt(number=1, started_at=NOW - 60 * 130)
    assert changes(only([*several(), run(9, begun, state=State.RUNNING)]))["time_min"] == "240 -> 165"


def test_a_run_that_waits_again_computes_no_longer() -> None:
    ended = Attempt(number=1, state=State.INTERRUPTED, cause=Cause.PREEMPTED, started_at=NOW - 60 * 200, ended_at=NOW - 60 * 190)
    assert changes(only([*several(), run(9, ended, state=State.QUEUED)]))["time_min"] == "240 -> 90"  # 1.25 x 71


@pytest.mark.parametrize("gpu_gb", [80.0, 10_000.0, float("inf")])
def test_no_more_than_four_runs_are_advised_to_share_a_gpu(gpu_gb: float) -> None:
    assert changes(only(several(gpu_gb=2.0, mem_gb=1.0), gpu_gb=gpu_gb))["pack"].endswith("{per_gpu: 4, per_task: 4}")


def test_runs_share_a_gpu_where_its_memory_and_the_hosts_hold_them() -> None:
    advice = only(several(gpu_gb=12.6), gpu_gb=40)
    assert changes(advice)["pack"] == "{per_gpu: 1, per_task: 1} -> {per_gpu: 2, per_task: 2}"  # 40 / 15.75 = 2.5; 32 / 12 = 2.7
    assert changes(only(several(gpu_gb=12.6), gpu_gb=40, pack=Pack(per_task=8)))["pack"].endswith("{per_gpu: 2, per_task: 8}")


SEPARATE = [
    # (measured, memory of a GPU, note)
    ({"gpu_gb": 12.6}, None, "--gpu-gb SIZE"),
    ({"gpu_gb": 12.6, "mem_gb": 14.0}, 80.0, "but not into 32 GB of host memory: each needs 18 GB"),
    ({"gpu_gb": 0.0}, 80.0, "GPU memory was measured of 0 runs only"),
    ({"gpu_gb": 12.6}, 31.4, ""),  # 31.4 / 15.75 = 1.99
]


@pytest.mark.parametrize(("measured", "gpu_gb", "note"), SEPARATE)
def test_runs_keep_a_gpu_each_where_something_speaks_against_sharing(measured: dict[str, float], gpu_gb: float | None, note: str) -> None:
    advice = only(several(**measured), gpu_gb=gpu_gb)
    assert "pack" not in changes(advice)
    assert note in " ".join(advice.notes)


def test_runs_that_share_already_or_use_no_gpu_or_several_are_not_advised_to() -> None:
    assert "pack" not in changes(only(several(gpu_gb=2.0), gpu_gb=80, pack=Pack(per_gpu=2, per_task=2)))
    for gpus in (0, 2):
        asked = Resources(gpus=gpus, mem_gb=32)
        assert "pack" not in changes(only([run(number, used(gpu_gb=2.0), asked=asked) for number in range(5)], gpu_gb=80))


def test_each_kind_of_run_is_told_apart_with_its_place_in_the_grid_file() -> None:
    small = Resources(mem_gb=8)
    pairs = [*several(), *(run(number, used(1.0), asked=small) for number in range(10, 15))]
    found = advise(pairs, Records(), pack=Pack(), now=NOW, place=lambda resources, key: f"g.yaml:{resources.mem_gb:g}:{key}")
    assert [[one.place for one in advice.suggestions] for advice in found] == [
        ["g.yaml:32:mem_gb", "g.yaml:32:time_min"],
        ["g.yaml:8:mem_gb"],
    ]
