"""Rows of the live view: columns for each width, names of keys, values and curves, text that could fool a terminal."""

from __future__ import annotations

import pytest

from orchestrator.cluster.resources import Resources
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.objective import Objective
from orchestrator.live.details import describe
from orchestrator.live.glimpse import Glimpse
from orchestrator.live.naming import name_keys
from orchestrator.live.order import Order, arrange
from orchestrator.live.rows import GAP, Look, failure_cells, fitting, gigabytes, grid_cells, left_min, run_cells, run_columns
from orchestrator.results.failures import Failure
from orchestrator.results.overview import Line
from orchestrator.watchdog.recorded import Recorded
from tests.live.conftest import WORDS


def line(seed: int = 1, **changes: object) -> Line:
    varying = {"model.kind": "varnet", "seed": seed}
    settings = {
        "id": f"{seed:016x}",
        "label": f"kind=varnet seed={seed}",
        "varying": varying,
        "state": "running",
        "minutes": 10.0,
        **changes,
    }
    return Line(**settings)  # type: ignore[arg-type]


def look(width: int, *lines: Line, **changes: object) -> Look:
    names = name_keys(lines, WORDS)
    settings: dict[str, object] = {"metric": "loss", "objective": "loss", **changes}
    return Look(run_columns(width, metric="loss", need=names.need, full=names.full), WORDS, names, **settings)  # type: ignore[arg-type]


GLIMPSE = Glimpse({1.0: {"loss": 4.0, "psnr": 30.0}, 2.0: {"loss": 2.0, "psnr": 31.0}}, mem_gb=3.14, gpu_gb=10.0)


@pytest.mark.parametrize("width", [20, 40, 79, 80, 119, 200])
@pytest.mark.parametrize("need", [0, 20, 90])
def test_columns_fit_and_leave_room_for_the_keys(width: int, need: int) -> None:
    columns = run_columns(width, metric="loss", need=need)
    room = width - sum(column.width + GAP for column in columns[:-1])
    assert room >= min(max(need, 16), 34) or len(columns) == 4
    assert columns[-1].name == "run"
    assert [column.name for column in columns if column.name == "objective"] == []


def test_wide_terminals_show_all_columns_and_empty_ones_are_left_out() -> None:
    names = [column.name for column in run_columns(160, metric="loss", need=20)]
    assert names == [" ", "id", "state", "try", "step", "loss", "trend", "time", "left", "mem", "gpu", "run"]
    assert "gpu" not in [column.name for column in run_columns(160, metric="loss", need=20, without={"gpu"})]


def test_keys_with_one_value_are_said_once() -> None:
    names = name_keys([line(1), line(2)], WORDS)
    assert (dict(names.names), names.shared) == ({"seed": "seed"}, "kind=varnet")
    alone = name_keys([line(1)], WORDS)
    assert (list(alone.names.values()), alone.shared) == (["kind", "seed"], "")
    assert name_keys([], WORDS).names == {}


def test_a_computing_run_shows_its_newest_value_its_curve_and_what_it_uses() -> None:
    shown = look(160, line(1), line(2), typical_min=25.0, marked={line(2).id})
    row = dict(zip([column.name for column in shown.columns], run_cells(line(2), GLIMPSE, shown).cells, strict=True))
    assert row == {
        " ": "●", "id": "00000000", "state": "running", "try": "", "step": "2", "loss": "2", "trend": "█▁", "time": "10 min",
        "left": "15 min", "mem": "3.1", "gpu": "10.0", "run": "seed=2",
    }  # fmt: skip


def test_a_completed_run_shows_the_objective_of_its_record_and_other_metrics_as_reported_last() -> None:
    done = line(1, state="completed", objective=1.5)
    place = [column.name for column in run_columns(160, metric="loss", need=20)].index("loss")
    assert run_cells(done, GLIMPSE, look(160, done)).cells[place] == "1.5"
    assert run_cells(done, GLIMPSE, look(160, done, metric="psnr")).cells[place] == "31"
    assert run_cells(done, Glimpse(), look(160, done, metric="psnr")).cells[place] == ""


def test_step_and_every_metric_of_a_run_that_ended_are_of_its_selected_step() -> None:
    done = line(1, state="completed", objective=2.0)
    reports = {11.0: {"loss": 2.0, "psnr": 31.0}, 12.0: {"loss": "nan", "psnr": 30.0}}
    for metric, value in (("loss", "2×"), ("psnr", "31×")):
        shown = look(160, done, metric=metric)
        row = dict(
            zip([column.name for column in shown.columns], run_cells(done, Glimpse(reports, selected=11.0), shown).cells, strict=True)
        )
        assert (row["step"], row["loss"]) == ("11", value)
    told = " ".join(map(str.strip, describe(done, manifest(), Glimpse(reports, selected=11.0), look(160, done), 160)))
    assert "step 11 of 12, the best by loss" in told and "loss was NaN or infinite at the last report" in told
    assert "loss 2 " in told and "psnr 31 " in told


def test_causes_are_shown_where_there_is_room() -> None:
    lost = line(1, state="failed", cause="host_oom")
    assert run_cells(lost, Glimpse(), look(160, lost)).cells[2] == "failed (host_oom)"
    assert "failed" in run_cells(lost, Glimpse(), look(60, lost)).cells
    assert run_cells(lost, Glimpse(), look(160, lost)).style == "bad"


def test_values_are_written_short_where_one_is_too_long() -> None:
    names = ("mtl_variational_network_of_twelve", "stl_variational_network_of_twelve")
    long, other = (line(seed, varying={"kind": name, "seed": seed}) for seed, name in enumerate(names, start=1))
    shown = fitting(look(60, long, other), [long, other], 60)
    assert shown.brief_values and run_cells(long, Glimpse(), shown).cells[-1] == "kind=mtl seed=1"
    assert not fitting(look(200, long, other), [long, other], 200).brief_values


def test_names_of_keys_are_whole_where_they_fit_and_shortened_before_values() -> None:
    rows = [line(seed, varying={"mask.acceleration": 4 * seed, "loss.weighting": f"kind_{seed}"}) for seed in (1, 2)]
    assert look(160, *rows).names.legend == "acc is mask.acceleration, wei is loss.weighting"
    for width, told in ((120, "acceleration=4 weighting=kind_1"), (50, "acc=4 wei=kind_1")):
        assert run_cells(rows[0], Glimpse(), fitting(look(width, *rows), rows, width)).cells[-1] == told


def test_names_that_could_fool_a_terminal_are_text() -> None:
    evil = line(1, varying={"kind": "\x1b[31m[bold]x[/bold]\x1b]0;title\x07\n\u202e", "seed": 1}, note="\x1b[2J[red]")
    shown = look(160, evil)
    for text in (*run_cells(evil, GLIMPSE, shown).cells, *describe(evil, manifest(), GLIMPSE, shown, 80)):
        assert text.isprintable(), repr(text)
    assert "[bold]x[/bold]" in run_cells(evil, GLIMPSE, shown).cells[-1]


def manifest() -> Manifest:
    return Manifest(id="1" * 16, version=1, config={}, resources=Resources(mem_gb=32, gpus=1))


def test_details_tell_all_of_one_run() -> None:
    one = line(1, attempt=2, node="node1", note="waits for a slot")
    told = describe(one, manifest(), GLIMPSE, look(80, one, typical_min=25.0), 80)
    assert "running · attempt 2 on node1 · 10 min · about 15 min left · memory 3.1 of 32 GB · GPU" in " ".join(map(str.strip, told))
    assert "model.kind=varnet seed=1" in told and "waits for a slot" in told
    assert any("loss 2 █▁" in text and "psnr" in text for text in told)
    assert max(map(len, told)) <= 80


@pytest.mark.parametrize(
    ("state", "minutes", "typical", "left"),
    [("running", 10.0, 25.0, 15.0), ("running", 30.0, 25.0, 0.0), ("running", 10.0, None, None), ("completed", 10.0, 25.0, None)],
)
def test_time_left_is_that_of_others(state: str, minutes: float, typical: float | None, left: float | None) -> None:
    assert left_min(line(1, state=state, minutes=minutes), typical) == left


@pytest.mark.parametrize(("value", "told"), [(None, ""), (0.25, "0.25"), (3.14, "3.1"), (99.96, "100.0"), (120.4, "120")])
def test_memory_is_told_briefly(value: float | None, told: str) -> None:
    assert gigabytes(value) == told


def test_orders() -> None:
    done = {"state": "completed"}
    lines = [
        line(1, **done, objective=0.5),
        line(2, state="failed"),
        line(3),
        line(4, **done, objective="nan"),
        line(5, **done, objective=0.9),
    ]
    place = {one.id: number for number, one in enumerate(lines, start=1)}

    def order(kind: Order, mode: str = "max") -> list[int]:
        return [place[one.id] for one in arrange(lines, kind, Objective(name="loss", mode=mode))]

    assert order(Order.STATE) == [3, 2, 1, 4, 5]
    assert order(Order.OBJECTIVE) == [5, 1, 2, 3, 4]
    assert order(Order.OBJECTIVE, "min") == [1, 5, 2, 3, 4]
    assert order(Order.FILE) == [1, 2, 3, 4, 5]
    assert [Order.STATE.following, Order.OBJECTIVE.following, Order.FILE.following] == [Order.OBJECTIVE, Order.FILE, Order.STATE]


def test_rows_of_grids_and_failures() -> None:
    failure = Failure(id="3f9a1c", cause="error", message="Value\x1b[31mError", runs=("a",) * 1200, confidence="guess")
    assert failure_cells(failure, WORDS).cells == ("3f9a1c", "1,200", "error (guess)", "ValueError")
    grid = Recorded("g", {"failed": 1, "completed": 1200}, 100.0)
    assert grid_cells(grid, WORDS, 160.0).cells == ("g", "1,201", "1 min ago", "1 failed, 1,200 completed")
    assert grid_cells(Recorded("g", problem="is damaged"), WORDS, 0.0).cells == ("g", "", "", "is damaged")
