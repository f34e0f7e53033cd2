"""The Python interface: open, launch, status, results."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import orchestrator
from orchestrator.api import Grid, Grids
from orchestrator.results.arguments import named_as_arguments
from orchestrator.store.errors import InputError, SelectionError, SpecError
from tests.cli.conftest import MRSWEEP, QUICK

SUMMARY = (MRSWEEP, "summary", "g", "--json")
ENTRY = """
def train(config, run):
    run.report(1, loss=float("nan") if config["x"] == 3 else config["x"])
    return {"loss": float("inf") if config["x"] == 3 else config["x"], "kind": "line"}
"""
GRID = """
name: g
entry: entries:train
preload: []
config: {kind: a}
grid: {x: [1, 2, 3]}
resources: {gpus: 0, time_min: 5}
metrics: {objective: loss, mode: min}
variants: {smoke: {grid: {x: [1]}}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in the current folder, with a grid file."""
    folder = tmp_path / "my 'own' project"
    for name, text in (("entries.py", ENTRY), ("grids/g.yaml", GRID), ("slurm_templates/quick.sh", QUICK)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.chdir(folder)
    return folder


def await_end(grid: Grid, runs: int) -> None:
    deadline = time.monotonic() + 30
    while (counts := grid.status().counts) != {"completed": runs}:
        assert time.monotonic() < deadline, counts
        time.sleep(0.1)


def test_a_grid_is_launched_looked_at_and_taken_away(project: Path) -> None:
    launched = orchestrator.open("grids/g.yaml", profile="quick").launch()
    assert (launched.plan.submitted, len(launched.tokens)) == (3, 1)
    grid = orchestrator.open("runs/g")
    await_end(grid, 3)
    table = grid.results()
    assert list(table["x"]) == [1, 2, 3]
    assert list(table["loss"][:2]) == [1.0, 2.0]
    assert math.isinf(table["loss"][2])
    assert set(table["state"]) == {"completed"}
    assert list(grid.results(where="x>1")["x"]) == [2, 3]
    assert table.groupby("kind")["x"].sum().to_dict() == {"line": 6}
    assert list(grid.history()["step"]) == [1, 1, 1]
    assert list(grid.history(metric="loss", where="x<3")["loss"]) == [1.0, 2.0]


def test_groups_and_the_best_are_taken_away(project: Path) -> None:
    orchestrator.open("grids/g.yaml", profile="quick").launch()
    grid = orchestrator.open("runs/g")
    await_end(grid, 3)
    (group,) = grid.grouped(by="kind", over=["x"], metric="loss").to_dict("records")
    assert (group["n"], group["of"], group["mean"], group["missing"]) == (2, 3, 1.5, "x=3 is inf")
    (best,) = grid.best("loss").to_dict("records")
    assert (best["x"], best["loss"], best["ranked"], best["not_ranked"]) == (1, 1.0, 2, "1 with loss inf")
    assert list(grid.grouped(by="kind", across="x", metric="loss")["x=2"]) == [2.0]
    with pytest.raises(InputError, match="Did you mean loss"):
        grid.grouped(by="kind", over="x", metric="los")


def test_what_the_command_says_below_a_table_goes_with_the_frame(project: Path) -> None:
    orchestrator.open("grids/g.yaml", profile="quick").launch()
    grid = orchestrator.open("runs/g")
    await_end(grid, 3)
    assert any("'loss' is NaN or infinite in 1 of 3 completed runs" in note for note in grid.results().attrs["notes"])
    assert "thin: kind=a, loss: 2 of 3; x=3 is inf" in grid.grouped(by="kind", over="x", metric="loss").attrs["notes"]
    assert grid.history(where="x=1").attrs["notes"] == []
    document = json.loads(subprocess.run(SUMMARY, check=True, capture_output=True, text=True).stdout)
    assert grid.results().attrs["notes"] == document["notes"] != []


def test_several_grids_stand_in_one_table(project: Path) -> None:
    (project / "grids" / "h.yaml").write_text(GRID.replace("name: g", "name: h").replace("[1, 2, 3]", "[2, 5]"))
    for name in ("g", "h"):
        orchestrator.open(f"grids/{name}.yaml", profile="quick").launch()
    await_end(orchestrator.open("g"), 3)
    await_end(orchestrator.open("h"), 2)
    both = orchestrator.open("g", "runs/h")
    assert isinstance(both, Grids)
    assert list(both.results()[["grid", "x"]].itertuples(index=False, name=None)) == [("g", 1), ("g", 2), ("g", 3), ("h", 2), ("h", 5)]
    assert list(both.results(where="x=5")["grid"]) == ["h"]
    assert list(both.best("loss", per="grid")["x"]) == [1, 2]
    with pytest.raises(SelectionError, match="selects none of 4 runs"):
        both.results(where="x=9")
    with pytest.raises(InputError, match="no grid of this name was launched"):
        orchestrator.open("g", "nothing")


def test_errors_speak_of_arguments(project: Path) -> None:
    orchestrator.open("grids/g.yaml", profile="quick").launch()
    grid = orchestrator.open("g")
    await_end(grid, 3)
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: grid.results(where="nothing=1"), "where 'nothing=1': the key 'nothing' is unknown."),
        (lambda: grid.status(where="x=9"), "where 'x=9' selects none of 3 runs; x is 1, 2, 3."),
        (lambda: grid.results(select="kind"), "select kind: "),
        (lambda: grid.results(select="los"), "select los: no run reported such a metric. Did you mean loss?"),
        (lambda: grid.grouped(by="kind", over="x", metric="los"), "metric los: no run reported such a metric."),
        (
            lambda: grid.grouped(by="kind", baseline="kind=a"),
            'baseline needs by and over: pairs are runs with equal values of over. Write over="seed".',
        ),
        (lambda: grid.grouped(by="x", over="x"), "x is named twice: a key belongs to one of by, across and over."),
        (lambda: grid.grouped(by=""), "by is empty."),
        (lambda: grid.best("los"), "metric los: no run reported such a metric."),
        (lambda: grid.best("loss", show="psnr"), "show psnr: no run reported such a metric."),
        (lambda: grid.best(""), "metric is empty."),
    ]
    for ask, told in wrong:
        with pytest.raises(InputError) as caught:
            ask()
        assert str(caught.value).startswith(told) and "--" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "--over needs --by: which keys. Write --by KEY,KEY, or --across KEY.",
            'over needs by: which keys. Write by="KEY,KEY", or across="KEY".',
        ),
        ("Add that to --by or --over, or choose with --where.", "Add that to by or over, or choose with where."),
        ("--best a: is not known. Write --best max:a or --best min:a.", 'metric a: is not known. Write metric="max:a" or metric="min:a".'),
        ("--all-keys is for one row a run.", "all_keys is for one row a run."),
        ("List the runs with: mrsweep status g --where x --all", "List the runs with: mrsweep status g --where x --all"),
        ("-o x: use --frobnicate", "-o x: use --frobnicate"),
    ],
)
def test_options_are_named_as_arguments_and_commands_stay(said: str, told: str) -> None:
    with pytest.raises(InputError) as caught, named_as_arguments({"best": "metric"}):
        raise InputError(said)
    assert str(caught.value) == told


def test_launching_again_launches_what_is_missing(project: Path) -> None:
    first = orchestrator.open("grids/g.yaml", profile="quick")
    first.launch()
    await_end(first, 3)
    (project / "grids" / "g.yaml").write_text(GRID.replace("[1, 2, 3]", "[2, 3, 4, 5]"))
    proposal = first.propose()
    assert (len(proposal.plan.runs.new), len(proposal.plan.runs.kept)) == (2, 2)
    assert orchestrator.open("g").propose().plan.submitted == 0  # the newest applied file is meant
    first.launch()
    await_end(first, 5)


def test_proposing_writes_nothing(project: Path) -> None:
    assert orchestrator.open("grids/g.yaml", profile="quick").propose().plan.submitted == 3
    assert not (project / "runs").exists()


def test_a_variant_has_a_folder_of_its_own(project: Path) -> None:
    orchestrator.open("grids/g.yaml", variant="smoke", profile="quick").launch()
    for grid in (orchestrator.open("runs/g@smoke"), orchestrator.open("g", variant="smoke"), orchestrator.open("g@smoke")):
        assert sum(grid.status().counts.values()) == 1
    await_end(orchestrator.open("runs/g@smoke"), 1)
    assert orchestrator.open(project / "runs" / "g@smoke").launch().tokens == ()


@pytest.mark.parametrize("target", ["runs/nothing", "nothing", "elsewhere/deep/nothing", Path("runs")])
def test_a_folder_that_is_no_grid_is_refused_at_once(project: Path, target: str | Path) -> None:
    with pytest.raises(InputError, match="no grid of this name was launched"):
        orchestrator.open(target)


def test_mistakes_are_errors_of_the_family(project: Path) -> None:
    with pytest.raises(SpecError, match=r"no such\.yaml"):
        orchestrator.open("no such.yaml").launch()
    orchestrator.open("grids/g.yaml", profile="quick").launch()
    with pytest.raises(SelectionError, match="Known"):
        orchestrator.open("g").results(where="nothing=1")
    with pytest.raises(AttributeError, match="Grid, Grids, open"):
        orchestrator.opne  # type: ignore[attr-defined]


def test_neither_the_package_nor_its_interface_imports_pandas_or_torch() -> None:
    program = "import orchestrator, sys; orchestrator.open; print(*({'pandas', 'torch', 'submitit'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
