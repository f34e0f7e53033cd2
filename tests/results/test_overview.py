"""What status shows of a grid: one line a run, the most telling first, and how far runs came that ended badly."""

from __future__ import annotations

import pytest

from orchestrator.cluster.scheduler import Snapshot, TaskRow, TaskState
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.objective import Objective
from orchestrator.metrics.latest import Latest
from orchestrator.results.overview import Overview, Pair, estimate_left_min, make_overview, most_telling
from orchestrator.results.waiting import Surroundings
from orchestrator.store.events import Paused
from orchestrator.store.records import Attempt, Record, Records
from orchestrator.store.states import Cause, State

SSIM = Objective(name="val/ssim", mode="max")


def pair(number: int, state: State, **fields: object) -> Pair:
    run_id = f"{number:016x}"
    manifest = Manifest(id=run_id, version=1, config={"seed": number}, varying={"seed": number})
    return manifest, Record(id=run_id, state=state, **fields)  # type: ignore[arg-type]


def overview(*pairs: Pair, shown: list[Pair] | None = None, reports: dict[str, Latest] | None = None, **known: object) -> Overview:
    records = Records(runs={record.id: record for _, record in pairs}, **known)  # type: ignore[arg-type]
    row = TaskRow(token="t", job_id="1", index=0, state=TaskState.WAITING, word="PENDING", reason="Priority", source="squeue")
    snapshot = Snapshot(taken_at=1000.0, queue_ok=True, accounting_ok=True, tasks={"t": {0: row}})
    return make_overview("g", pairs, records, snapshot, latest=reports or {}, objective=SSIM, around=Surroundings(), shown=shown)


def test_a_waiting_run_says_why_in_words_and_keeps_slurms_own() -> None:
    (line,) = overview(pair(1, State.QUEUED, token="t", attempt=1)).lines
    assert (line.note, line.waits) == ("waits: jobs of others come first in the queue", "Priority")


def test_an_interrupted_run_says_how_it_ended_and_what_it_waits_for() -> None:
    (line,) = overview(pair(1, State.INTERRUPTED, cause=Cause.NODE_FAILURE, reason="NODE_FAIL (sacct)", since=2000.0)).lines
    assert line.note == "NODE_FAIL (sacct); waits: it is taken up again in the next round of the watch"


def test_only_the_runs_that_are_shown_get_a_line_and_all_are_counted() -> None:
    pairs = [pair(number, State.COMPLETED) for number in range(5)] + [pair(9, State.FAILED), pair(8, State.RUNNING)]
    shown = most_telling(pairs, 3)
    assert [record.state for _, record in shown] == [State.RUNNING, State.FAILED, State.COMPLETED]
    picture = overview(*pairs, shown=shown)
    assert [line.id[-1] for line in picture.lines] == ["8", "9", "0"]
    assert picture.counts == {"running": 1, "completed": 5, "failed": 1}
    assert len(overview(*pairs).lines) == 7


def test_a_run_that_failed_shows_how_far_it_came() -> None:
    ended = Attempt(number=1, state=State.FAILED, started_at=100.0, ended_at=160.0, runtime_s=60.0, last_step=17, node="n3", host="h")
    failed = pair(1, State.FAILED, cause=Cause.ERROR, attempt=1, attempts=(ended,), reason="ValueError: no\nmore")
    (line,) = overview(failed).lines
    assert (line.step, line.minutes, line.node, line.note, line.objective) == (17, 1.0, "n3", "ValueError: no", None)
    (line,) = overview(failed, reports={failed[1].id: Latest(step=16, metrics={"val/ssim": 0.5})}).lines
    assert (line.step, line.objective) == (16, 0.5)


def test_a_completed_run_shows_its_best_and_no_step() -> None:
    ended = Attempt(number=1, state=State.COMPLETED, started_at=100.0, ended_at=160.0, runtime_s=60.0, last_step=17)
    (line,) = overview(pair(1, State.COMPLETED, attempts=(ended,), best=0.9)).lines
    assert (line.step, line.objective) == (None, 0.9)


def test_stalled_runs_and_a_pause_are_told_apart() -> None:
    picture = overview(pair(1, State.STALLED), pair(2, State.HELD), paused=Paused(at=1.0, reason="5 runs ended alike\nmore"))
    assert (picture.stalled, picture.paused) == ((f"{1:016x}",), "5 runs ended alike")


def test_orphans_are_counted_among_the_selected_runs() -> None:
    picture = overview(pair(1, State.COMPLETED), pair(2, State.PLANNED), orphans={f"{2:016x}", f"{3:016x}"})
    assert picture.orphans == 1
    assert picture.waits == ()


HOUR_LONG = pair(1, State.COMPLETED, attempts=(Attempt(number=1, state=State.COMPLETED, runtime_s=3600.0),))


def computing(number: int, state: State, begun_min: float, since_min: float) -> Pair:
    """Return a run whose attempt began at a minute, and that has been in its state since another."""
    attempt = Attempt(number=1, started_at=60 * begun_min)
    return pair(number, state, attempt=1, attempts=(attempt,), since=60 * since_min)


LEFT = [
    # (runs, slots, minutes left at minute 100, where a run takes 60)
    ([], 1, None),
    ([computing(2, State.RUNNING, 100, 100)], 1, 60),
    ([computing(2, State.RUNNING, 45, 45)], 1, 5),  # 60 - 55
    ([computing(2, State.RUNNING, 45, 95)], 1, 5),  # it was silent for a while: its state is new, its attempt is not
    ([computing(2, State.STALLED, 45, 95)], 1, 5),
    ([computing(2, State.RUNNING, 10, 10)], 1, 0),  # it takes longer than the others
    ([computing(2, State.RUNNING, 45, 45), pair(3, State.QUEUED)], 1, 65),
    ([computing(2, State.RUNNING, 45, 45), pair(3, State.QUEUED)], 2, 32.5),  # (5 + 60) / 2
    ([pair(3, State.INTERRUPTED, since=0.0), pair(4, State.PLANNED)], 9, 60),  # 120 / 2: no more slots than runs
    ([pair(3, State.FAILED), pair(4, State.HELD)], 1, None),
]


@pytest.mark.parametrize(("others", "slots", "left"), LEFT)
def test_time_left_counts_from_where_an_attempt_began(others: list[Pair], slots: int, left: float | None) -> None:
    assert estimate_left_min([HOUR_LONG, *others], slots, now=6000.0) == left


def test_nothing_is_estimated_before_a_run_has_completed() -> None:
    assert estimate_left_min([computing(2, State.RUNNING, 45, 45)], 1, now=6000.0) is None
