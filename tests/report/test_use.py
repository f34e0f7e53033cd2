"""Timeline rows, and what attempts used of their request."""

from __future__ import annotations

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.report.timeline import bars_of, in_lanes, timeline_section, unit_of
from orchestrator.report.usage import kinds, usage_section, uses_of
from orchestrator.store.records import Record
from orchestrator.store.states import Cause, State
from tests.report.made import attempt, manifests, record

RUNS = manifests({"x": [1, 2, 3]})


def spans(*times: tuple[float, float], node: str = "n1") -> list[tuple[object, Record]]:
    return [
        (RUNS[place], record(place, attempts=(attempt(started_at=start, ended_at=end, node=node),)))
        for place, (start, end) in enumerate(times)
    ]


def test_attempts_of_a_node_that_overlap_get_lanes_of_their_own() -> None:
    bars = bars_of(spans((0, 10), (5, 15), (10, 20)), now=100)
    assert [(bar.row, bar.start, bar.end) for bar in bars] == [("n1", 0, 10), ("n1 · 2", 5, 15), ("n1", 10, 20)]


def test_nodes_do_not_share_lanes() -> None:
    one, other = bars_of(spans((0, 10)), now=100), bars_of(spans((0, 10), node="n2"), now=100)
    assert [bar.lane for bar in in_lanes([*one, *other])] == [0, 0]


def test_run_that_computes_ends_now_and_one_of_unknown_end_is_left_out() -> None:
    running = record(0, state=State.RUNNING, attempts=(attempt(state=State.RUNNING, ended_at=None, started_at=50.0),))
    lost = record(1, state=State.INTERRUPTED, attempts=(attempt(state=State.RUNNING, ended_at=None, started_at=20.0),))
    never = record(2, state=State.QUEUED, attempts=())
    bars = bars_of([*zip(RUNS, (running, lost, never), strict=True)], now=80.0)
    assert [(bar.start, bar.end, bar.state) for bar in bars] == [(50.0, 80.0, "running")]


def test_restarted_run_has_a_bar_an_attempt_with_its_cause() -> None:
    killed = attempt(started_at=0, ended_at=5, state=State.INTERRUPTED, cause=Cause.PREEMPTED, job_id="7")
    bars = bars_of([(RUNS[0], record(0, attempts=(killed, attempt(2, started_at=6, ended_at=9))))], now=100)
    assert [(bar.state, bar.cause, bar.job_id, bar.row) for bar in bars] == [
        ("interrupted", "preempted", "7", "node1"),
        ("completed", "", "", "node1"),
    ]


def test_timeline_says_which_attempts_are_not_drawn() -> None:
    bars = bars_of(spans((0, 10)), now=1)
    many = [msgspec.structs.replace(bars[0], start=float(number), end=float(number)) for number in range(5100)]
    assert "Drawn are 5,000 of 5,100 attempts, the last, on 1 of 1 row." in timeline_section(many).body
    assert "No run has started yet." in timeline_section([]).body


def test_units_fit_the_span() -> None:
    assert [unit_of(seconds)[0] for seconds in (10, 3600, 86400)] == ["seconds", "minutes", "hours"]


def test_use_is_told_in_percent_of_what_the_submission_asked_for() -> None:
    asked = {"big": Resources(mem_gb=8, time_min=120)}
    pairs = [
        (RUNS[0], record(0, attempts=(attempt(runtime_s=300, peak_mem_gb=1.0),))),  # of 10 min and 4 GB, as the manifest says
        (RUNS[1], record(1, attempts=(attempt(token="big", runtime_s=3600, peak_mem_gb=6.0),))),
        (RUNS[2], record(2, state=State.RUNNING, attempts=(attempt(ended_at=None, runtime_s=0.0),))),
    ]
    uses = list(uses_of(pairs, asked))
    assert [(use.time_share, use.mem_share) for use in uses] == [(50.0, 25.0), (50.0, 75.0)]
    assert [len(kind) for kind in kinds([*uses, uses[1]])] == [2, 1]
    body = usage_section(uses).body
    assert "<td>8 GB, 2.0 h, 1 core</td>" in body and "<td>75 %</td>" in body
    assert "No attempt has ended yet." in usage_section([]).body
