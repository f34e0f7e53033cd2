"""What follows on a bad end: budgets by cause, what the next attempt gets, when it is given up."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.grid.manifest import Manifest
from orchestrator.store.records import Attempt, Record, Records
from orchestrator.store.states import BAD_ENDS, Cause, State
from orchestrator.watchdog.answers import Action, read_answers
from orchestrator.watchdog.policy import BadEnd, Bounds, Decision, GivenUp, bad_nodes, decide, peaks, scale

RUN = "0123456789abcdef"
QUIET = Snapshot(taken_at=1000.0, queue_ok=True, accounting_ok=True, tasks={})
ASKED = Resources(mem_gb=32, time_min=60)
BOUNDS = Bounds(mem_gb=512, time_min=2880, backoff_s=60)


def manifest(run: str = RUN, **config: Any) -> Manifest:
    return Manifest(id=run, version=1, entry="study:train", config=config, resources=ASKED)


def failed(cause: Cause, times: int = 1, *, state: State = State.FAILED, **attempt: Any) -> Record:
    """A run whose newest `times` attempts ended by one cause, each started at 100, 200, 300 …"""
    fields = {"state": state, "cause": cause, "token": "t", **attempt}
    attempts = tuple(Attempt(number=number, started_at=100.0 * number, **fields) for number in range(1, times + 1))
    return Record(id=RUN, state=state, cause=cause, attempt=times, token="t", attempts=attempts, tally={cause: times}, since=900.0)


def answer(
    record: Record, policy: dict[str, Any] | None = None, *, snapshot: Snapshot = QUIET, bounds: Bounds = BOUNDS, **case: Any
) -> Decision | GivenUp | None:
    values = {"record": record, "manifest": manifest(), "asked": ASKED, **case}
    return decide(BadEnd(**values), read_answers(policy or {}), snapshot, bounds)


def again(*arguments: Any, **case: Any) -> Decision:
    decision = answer(*arguments, **case)
    assert isinstance(decision, Decision), decision
    return decision


def why_given_up(*arguments: Any, **case: Any) -> str:
    found = answer(*arguments, **case)
    assert isinstance(found, GivenUp), found
    return found.reason


# --- which causes are answered

TAKEN_UP = {
    Cause.HOST_OOM, Cause.WORKER_OOM, Cause.SIBLING_OOM, Cause.TIMEOUT, Cause.PREEMPTED, Cause.NODE_FAILURE, Cause.GPU_FAULT, Cause.LOST,
    Cause.NEVER_STARTED,
}  # fmt: skip


@pytest.mark.parametrize("cause", Cause)
def test_only_what_may_end_otherwise_is_taken_up_without_being_asked(cause: Cause) -> None:
    assert isinstance(answer(failed(cause)), Decision) == (cause in TAKEN_UP)


@pytest.mark.parametrize("state", [state for state in State if state not in BAD_ENDS])
def test_states_that_are_no_bad_end_are_left_alone(state: State) -> None:
    assert answer(msgspec.structs.replace(failed(Cause.HOST_OOM), state=state), {"host_oom": "resume"}) is None


def test_what_is_unknown_is_never_taken_up() -> None:
    assert answer(failed(Cause.UNKNOWN)) is None


def test_bug_is_taken_up_only_where_the_grid_says_so_and_three_times_at_most() -> None:
    assert answer(failed(Cause.ERROR)) is None
    assert again(failed(Cause.ERROR, 2), {"error": "resume"}).action is Action.RESUME
    assert "3 of its attempts ended as error" in why_given_up(failed(Cause.ERROR, 3), {"error": "resume"})


def test_interrupted_run_that_the_policy_keeps_is_given_up() -> None:
    assert "leaves it to a person" in why_given_up(failed(Cause.TIMEOUT, state=State.INTERRUPTED), {"timeout": "keep"})


@pytest.mark.parametrize("policy", [{"timeout": "keep"}, {"attempts": 1}])
def test_nothing_is_given_up_while_the_queue_does_not_say_whether_its_task_lives(policy: dict[str, Any]) -> None:
    record = failed(Cause.TIMEOUT, state=State.INTERRUPTED)
    assert answer(record, policy, snapshot=msgspec.structs.replace(QUIET, queue_ok=False)) is None
    assert isinstance(answer(record, policy), GivenUp)


def test_failed_run_goes_to_the_trash_where_the_policy_says_so() -> None:
    assert again(failed(Cause.DIVERGED), {"diverged": "prune"}).action is Action.PRUNE


# --- while its task lives


def living(word: str = "RUNNING") -> Snapshot:
    row = TaskRow(token="t", job_id="7", index=0, state=TaskState.RUNNING, word=word)
    return msgspec.structs.replace(QUIET, tasks={"t": {0: row}})


def test_interrupted_run_waits_for_the_end_of_its_task_and_a_failed_one_does_not() -> None:
    """A task that Slurm starts again goes on with what was interrupted; what failed it leaves alone."""
    assert answer(failed(Cause.SIBLING_OOM, state=State.INTERRUPTED), snapshot=living()) is None
    assert isinstance(answer(failed(Cause.HOST_OOM), snapshot=living()), Decision)


# --- memory

MEMORY = [
    ({}, 32, 0, 64),  # twice what it died at
    ({"host_oom": {"mem": "x1.5"}}, 32, 0, 48),
    ({"host_oom": {"cap_gb": 48}}, 32, 0, 48),  # not above the cap
    ({}, 400, 0, 512),  # nor above what a node has
    ({}, 32, 80, 100),  # a sibling used 80 GB: 1.25 x 80
    ({}, 32, 10, 64),  # a frugal one never lowers it
    ({}, 32, 1000, 512),
]


@pytest.mark.parametrize(("policy", "asked_gb", "peak_gb", "next_gb"), MEMORY)
def test_run_that_died_for_memory_gets_more(policy: dict[str, Any], asked_gb: float, peak_gb: float, next_gb: float) -> None:
    asked = msgspec.structs.replace(ASKED, mem_gb=asked_gb)
    decision = again(failed(Cause.HOST_OOM), policy, asked=asked, peak_gb=peak_gb)
    assert decision.resources.mem_gb == next_gb
    assert f"{asked_gb:g} → {next_gb:g} GB" in decision.reason


def test_run_that_died_with_all_the_memory_there_is_is_given_up() -> None:
    assert "512 GB already" in why_given_up(failed(Cause.HOST_OOM), asked=msgspec.structs.replace(ASKED, mem_gb=512))
    assert "48 GB already" in why_given_up(
        failed(Cause.HOST_OOM), {"host_oom": {"cap_gb": 48}}, asked=msgspec.structs.replace(ASKED, mem_gb=48)
    )


def test_run_that_died_of_its_neighbour_gets_no_more_memory() -> None:
    assert again(failed(Cause.SIBLING_OOM, state=State.INTERRUPTED)).resources == ASKED


# --- GPU memory

HALVED = {"gpu_oom": {"set": {"train.micro_batch": "/2", "train.accumulate": "x2"}}}
CONFIG = {"train": {"micro_batch": 8, "accumulate": 1}}


def test_gpu_oom_is_not_tried_again_as_it_was() -> None:
    assert answer(failed(Cause.GPU_OOM)) is None


def test_gpu_oom_changes_the_runtime_keys_that_the_policy_names() -> None:
    first = again(failed(Cause.GPU_OOM), HALVED, manifest=manifest(**CONFIG))
    assert first.overrides == {"train.micro_batch": 4, "train.accumulate": 2}
    second = again(msgspec.structs.replace(failed(Cause.GPU_OOM), overrides=dict(first.overrides)), HALVED, manifest=manifest(**CONFIG))
    assert second.overrides == {"train.micro_batch": 2, "train.accumulate": 4}


def test_gpu_oom_is_given_up_when_nothing_can_be_changed_any_further() -> None:
    policy = {"gpu_oom": {"set": {"train.checkpointing": True}}}
    record = msgspec.structs.replace(failed(Cause.GPU_OOM), overrides={"train.checkpointing": True})
    assert "cannot be changed any further" in why_given_up(record, policy)


def test_gpu_oom_goes_once_to_a_larger_gpu() -> None:
    policy = {"gpu_oom": {"gpu": "larger", "sbatch": {"constraint": "a100_80"}}}
    decision = again(failed(Cause.GPU_OOM), policy)
    assert (decision.resources.larger_gpu, decision.resources.sbatch) == (True, (("constraint", "a100_80"),))
    assert "larger GPU already" in why_given_up(failed(Cause.GPU_OOM), policy, asked=decision.resources)


def test_gpu_oom_is_given_up_where_the_profile_names_no_larger_gpu() -> None:
    none = Bounds(larger_gpu=False)
    assert "the profile names none" in why_given_up(failed(Cause.GPU_OOM), {"gpu_oom": {"gpu": "larger"}}, bounds=none)
    halved = again(failed(Cause.GPU_OOM), {"gpu_oom": {"gpu": "larger", "sbatch": {"constraint": "a100_80"}}}, bounds=none)
    assert not halved.resources.larger_gpu


SCALED = [
    (8, "/2", 4), (1, "/2", 1), (3, "/2", 1), (0.5, "/2", 0.25), (2, "x2", 4), (True, "/2", True), ("a", "/2", "a"), (8, 2, 2),
    (8, "xyz", "xyz"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "change", "result"), SCALED)
def test_factor_scales_a_number(value: Any, change: Any, result: Any) -> None:
    assert scale(value, change) == result


# --- time

SAVED = {"state": State.INTERRUPTED, "saved_at": 800.0}


def test_run_that_saves_before_each_time_limit_goes_on_for_ever() -> None:
    assert again(failed(Cause.TIMEOUT, 20, **SAVED)).due == 0.0


def test_two_time_limits_in_a_row_without_anything_new_end_it() -> None:
    assert isinstance(answer(failed(Cause.TIMEOUT, 1, state=State.INTERRUPTED)), Decision)
    assert "saved nothing new" in why_given_up(failed(Cause.TIMEOUT, 2, state=State.INTERRUPTED))


def test_checkpoint_saved_at_the_step_where_the_attempt_began_is_nothing_new() -> None:
    assert "saved nothing new" in why_given_up(failed(Cause.TIMEOUT, 3, **SAVED, last_step=0))


def test_time_limits_before_a_person_asked_again_do_not_count_as_reached_in_vain() -> None:
    record = msgspec.structs.replace(failed(Cause.TIMEOUT, 3, state=State.INTERRUPTED), tally={Cause.TIMEOUT: 1})
    assert isinstance(answer(record), Decision)


STEPS = [((None, 10, 20), True), ((None, 10, 10), True), ((10, 10, 10), False), ((10, 10, None), False), ((20, 10, 10), False)]
"""Last steps of three attempts; before the first there was none."""


@pytest.mark.parametrize(("steps", "goes_on"), STEPS)
def test_later_step_is_progress_and_the_same_one_is_not(steps: tuple[int | None, ...], goes_on: bool) -> None:
    record = failed(Cause.TIMEOUT, 3, state=State.INTERRUPTED)
    attempts = tuple(msgspec.structs.replace(one, last_step=step) for one, step in zip(record.attempts, steps, strict=True))
    assert isinstance(answer(msgspec.structs.replace(record, attempts=attempts)), Decision) == goes_on


def test_more_time_is_asked_for_up_to_the_partition_s_limit() -> None:
    policy = {"timeout": {"time": "x1.5", "cap_min": 100}}
    record = failed(Cause.TIMEOUT, 3, state=State.INTERRUPTED)
    assert again(record, policy).resources.time_min == 90
    assert again(record, policy, asked=msgspec.structs.replace(ASKED, time_min=90)).resources.time_min == 100
    assert "saved nothing new" in why_given_up(record, policy, asked=msgspec.structs.replace(ASKED, time_min=100))


# --- budgets and spacing

BUDGETS = [(Cause.HOST_OOM, 3), (Cause.SIBLING_OOM, 10), (Cause.NODE_FAILURE, 10), (Cause.GPU_FAULT, 3), (Cause.LOST, 5)]


@pytest.mark.parametrize(("cause", "attempts"), BUDGETS)
def test_each_cause_has_its_own_budget(cause: Cause, attempts: int) -> None:
    assert isinstance(answer(failed(cause, attempts - 1)), Decision)
    assert f"{attempts} of its attempts ended as {cause.value}" in why_given_up(failed(cause, attempts))


def test_one_cause_does_not_use_up_the_budget_of_another() -> None:
    record = msgspec.structs.replace(failed(Cause.HOST_OOM), tally={Cause.HOST_OOM: 1, Cause.NODE_FAILURE: 9, Cause.PREEMPTED: 30})
    assert isinstance(answer(record), Decision)


def test_preemption_is_not_charged_and_all_bad_ends_together_are_bounded() -> None:
    assert isinstance(answer(failed(Cause.PREEMPTED, 49)), Decision)
    assert "50 of its attempts ended badly" in why_given_up(failed(Cause.PREEMPTED, 50))
    assert "7 of its attempts ended badly" in why_given_up(failed(Cause.PREEMPTED, 7), {"attempts": 7})


def test_tries_lie_further_and_further_apart_up_to_an_hour() -> None:
    dues = [again(failed(Cause.PREEMPTED, times)).due - 100.0 * times for times in (2, 3, 4, 20)]
    assert dues == [60, 120, 240, 3600]
    assert again(failed(Cause.PREEMPTED, 1)).due == 0.0


# --- nodes and siblings


def lost_on(run: str, node: str, ended_at: float, cause: Cause = Cause.NODE_FAILURE) -> Record:
    return Record(id=run, attempts=(Attempt(number=1, node=node, ended_at=ended_at, cause=cause),))


def test_nodes_on_which_runs_were_lost_of_late_are_avoided() -> None:
    records = [lost_on("a", "n1", 10), lost_on("b", "n2", 90), lost_on("c", "n3", 95, Cause.GPU_FAULT), lost_on("d", "n4", 96, Cause.ERROR)]
    policy = read_answers({})
    assert bad_nodes(records, policy, since=50, most=4) == ("n2", "n3")
    assert bad_nodes(records, policy, since=0, most=2) == ("n2", "n3")  # the newest
    assert bad_nodes(records, policy, since=0, most=0) == ()


def test_peak_of_the_like_counts_and_no_other() -> None:
    other = msgspec.structs.replace(manifest("b"), resources=Resources(mem_gb=4))
    records = Records(
        runs={
            run: Record(id=run, state=state, attempts=(Attempt(number=1, state=state, peak_mem_gb=peak),))
            for run, state, peak in (("a", State.COMPLETED, 9.0), ("b", State.COMPLETED, 50.0), ("c", State.FAILED, 99.0))
        }
    )
    assert peaks({"a": manifest("a"), "b": other, "c": manifest("c")}, records) == {ASKED: 9.0, other.resources: 50.0}


def test_site_without_known_bounds_bounds_nothing() -> None:
    decision = decide(BadEnd(record=failed(Cause.HOST_OOM), manifest=manifest(), asked=ASKED), read_answers({}), QUIET, Bounds())
    assert isinstance(decision, Decision)
    assert (decision.resources.mem_gb, Bounds().mem_gb) == (64, math.inf)
