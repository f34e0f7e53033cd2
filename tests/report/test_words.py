"""What the page says in words: the head, the failures, the table of runs."""

from __future__ import annotations

import re

import msgspec

from orchestrator.metrics.history import RunHistory
from orchestrator.report.axes import axes_of
from orchestrator.report.best import best_section
from orchestrator.report.failures import MOST_GROUPS, failures_section
from orchestrator.report.head import facts, head_section
from orchestrator.report.runs_table import shown_metrics, table_section
from orchestrator.report.scores import scores_of
from orchestrator.results.cost import Cost
from orchestrator.results.failures import Failure
from orchestrator.results.spending import Spending
from orchestrator.results.waiting import Wait
from orchestrator.store.states import State
from orchestrator.tables.study import Study
from tests.report.made import attempt, content, curve, manifests, overview, record, study

SPENT = Spending(
    useful=Cost(gpu_hours=30, core_hours=60),
    wasted={"host_oom": Cost(gpu_hours=12, core_hours=24)},
    running=Cost(gpu_hours=0, core_hours=0),
)


def test_head_tells_size_best_and_cost() -> None:
    one = study({"x": [1, 2, 3]}, [0.5, 0.75, None])
    seen = overview({"completed": 2, "failed": 1}, spent=SPENT, eta_min=90.0)
    told = dict(facts(content(one, overview=seen), axes_of(manifests({"x": [1, 2, 3]})), scores_of(one)))
    assert told == {
        "runs": "3",
        "axes": "1",
        "best val/ssim": "0.7500",
        "spent": "42 GPU hours",
        "useful": "30",
        "wasted, most by host_oom": "12",
        "left": "about 1.5 h",
    }


def test_each_state_has_its_share_of_the_bar_the_good_ones_first() -> None:
    one = study({"x": [1]}, [0.5])
    body = head_section(content(one, overview=overview({"planned": 10, "completed": 30})), [], scores_of(one)).body
    shares = re.findall(r'x="([\d.]+)%" width="([\d.]+)%".*?<title>([^<]*)</title>', body)
    assert shares == [("0.00", "75.00", "30 completed"), ("75.00", "25.00", "10 planned")]


def test_head_warns_of_pauses_waits_and_unreported_objectives() -> None:
    one = study({"x": [1]}, [0.5])
    waits = (Wait(source="mrsweep", reason="slots", sentence="waits for a free slot", runs=7),)
    waiting = overview({"planned": 7}, waits=waits, notes=("3 completed runs without a value",), orphans=1)
    body = head_section(content(one, overview=waiting), [], scores_of(one)).body
    assert (
        "7 × waits for a free slot" in body and "3 completed runs without a value" in body and "1 run no longer in the grid file." in body
    )
    paused = msgspec.structs.replace(waiting, paused="5 runs ended alike")
    body = head_section(content(one, overview=paused), [], scores_of(one)).body
    assert "PAUSED: 5 runs ended alike" in body and "free slot" not in body


def test_failures_have_their_share_their_words_and_their_commands() -> None:
    groups = [
        Failure(id="aaa111", cause="gpu_oom", message="CUDA out of memory", confidence="likely", runs=("0123456789abcdef",) * 4),
        Failure(
            id="bbb222", cause="error", message="KeyError: 'a'", confidence="certain", runs=("fedcba9876543210",), excerpt="line 1\nline 2"
        ),
    ]
    body = failures_section(groups, "g", " --runs here").body
    assert "5 runs in 2 groups" in body and "4 × gpu_oom (likely)" in body and "1 × error</h3>" in body
    assert 'width="100.0%"' in body and 'width="25.0%"' in body
    assert "mrsweep logs 01234567 --runs here" in body and "mrsweep requeue g --signature bbb222 --runs here" in body
    assert "<pre>line 1\nline 2</pre>" in body
    many = failures_section([groups[0]] * (MOST_GROUPS + 1), "g", "").body
    assert many.count('class="failure"') == MOST_GROUPS and "status g --json has them all" in many


def test_table_holds_numbers_as_numbers_and_says_what_is_none() -> None:
    one = study({"x": [1, 2], "mode": ["a", None]}, [0.5, 0.6, None, 0.7])
    broken = RunHistory(
        curves={"val/ssim": curve([0.5, 0.4]), "lr": curve([3, 4])}, final={"note": "text", "test/psnr": 30.5, "nmse": "nan"}
    )
    first = one.pairs[0][0].id
    table = table_section(msgspec.structs.replace(one, history={**one.history, first: broken}), ["x", "mode"], scores_of(one)).data["runs"]
    assert table["columns"][:6] == ["run", "x", "mode", "state", "cause", "val/ssim"]
    assert table["columns"][6:] == ["lr", "nmse", "note", "test/psnr", "minutes", "memory [GB]", "attempts", "node"]
    assert table["rows"][0][1:] == [1, "a", "completed", "", 0.5, 3.0, "nan", "text", 30.5, 1.0, 1.0, 1, "node1"]  # lr at the best step
    assert table["rows"][1][1:8] == [1, "", "completed", "", 0.6, "", ""]
    assert table["rows"][2][1:6] == [2, "a", "failed", "error", ""]


def reporting(*reports: RunHistory) -> Study:
    """Return completed runs that reported just this."""
    one = study({"x": range(len(reports))}, [0.5] * len(reports))
    return msgspec.structs.replace(one, history={manifest.id: each for (manifest, _), each in zip(one.pairs, reports, strict=True)})


def test_metrics_that_most_runs_have_are_columns_and_the_score_is_not_repeated() -> None:
    many = RunHistory(final={f"m{number}": 1.0 for number in range(20)} | {"shared": 1.0})
    few = RunHistory(final={"shared": 2.0, "score": 1.0}, curves={"score": curve([1])})
    assert shown_metrics(reporting(many, few), "score") == ["m0", "m1", "m10", "m11", "m12", "m13", "m14", "shared"]


def test_run_that_was_tried_twice_tells_all_its_minutes() -> None:
    one = study({"x": [1]}, [0.5])
    twice = record(0, attempts=(attempt(state=State.INTERRUPTED, runtime_s=90.0, peak_mem_gb=3.0), attempt(2, runtime_s=30.0)))
    rows = table_section(msgspec.structs.replace(one, pairs=[(one.pairs[0][0], twice)]), [], scores_of(one)).data["runs"]["rows"]
    assert rows[0][-4:] == [2.0, 3.0, 2, "node1"]


def test_filter_is_explained_in_words_of_this_grid() -> None:
    one = study({"mask.kind": ["radial", "spiral"], "x": [1, 2]}, [0.5, 0.6, 0.7, None])
    body = table_section(one, ["mask.kind", "x"], scores_of(one)).body
    assert 'placeholder="Words that a row must hold, or a comparison: failed · kind=radial · ssim&gt;0.6"' in body
    none = study({"x": [1]}, [None])
    assert "comparison: failed&quot;" in table_section(none, [], scores_of(none)).body.replace('"', "&quot;")


def test_head_names_the_runs_that_count_with_a_step_before_their_metric_broke() -> None:
    one = study({"x": [1, 2, 3]}, [0.5, 0.75, None])
    broken = RunHistory(curves={"val/ssim": curve([0.5, 0.75, float("nan")])})
    one = msgspec.structs.replace(one, history={**one.history, one.pairs[1][0].id: broken})
    told = "1 run whose val/ssim ended NaN or infinite counts with the best step before: 00000001."
    assert told in head_section(content(one), [], scores_of(one)).body
    assert told in best_section(content(one), scores_of(one)).body
    whole = study({"x": [1]}, [0.5])
    assert scores_of(whole).told_diverged == ""


def test_table_shows_an_objective_that_is_not_finite_as_the_summary_does() -> None:
    one = study({"x": [1, 2, 3, 4]}, [0.5, 0.6, 0.7, None])
    nan, infinite = (RunHistory(curves={"val/ssim": curve([value, value])}) for value in (float("nan"), float("inf")))
    ids = [manifest.id for manifest, _ in one.pairs]
    one = msgspec.structs.replace(one, history={ids[0]: nan, ids[1]: infinite, ids[2]: one.history[ids[2]]})
    table = table_section(one, ["x"], scores_of(one)).data["runs"]
    assert table["columns"][4] == "val/ssim"
    assert [row[4] for row in table["rows"]] == ["nan", "inf", 0.7, ""]


def test_metrics_that_end_like_the_score_stand_before_the_others_as_in_the_summary() -> None:
    returned = RunHistory(final={f"m{number}": 1.0 for number in range(20)} | {"test/ssim": 0.8})
    assert shown_metrics(reporting(returned, returned), "val/ssim") == ["test/ssim", "m0", "m1", "m10", "m11", "m12", "m13", "m14"]
