"""The tables that four kinds of study end in, each from one command, and what is typed wrongly."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, stdev

import pytest
from scipy import stats

from orchestrator.cli.summary import _tell
from orchestrator.tables.table import Table
from tests.cli.conftest import Project
from tests.cli.test_terminal import COLUMNS, Terminal

SOURCES = Path(__file__).parent / "sources"
PAGE = (Path(__file__).parents[2] / "docs" / "results.md").read_text()
SEEDS = (1, 2, 3)
SPREAD = dict(zip(SEEDS, (-0.004, 0.0, 0.004), strict=True))


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Four grids of a project under version control, computed: tasks and ratios, masks, losses, sites."""
    project = Project(tmp_path_factory.mktemp("studies"))
    shutil.copy(SOURCES / "studies.py", project.folder)
    grids = sorted(SOURCES.glob("*.yaml"))
    for grid in grids:
        project.write(f"grids/{grid.name}", grid.read_text())
    project.write(".gitignore", "runs/\n")
    for command in (("init", "-q"), ("add", "."), ("-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "first")):
        git(project, *command)
    for grid in grids:
        project.launch(f"grids/{grid.name}")
        project.watch(grid.stem)
    return project


def git(project: Project, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=project.folder, check=True, capture_output=True, text=True).stdout


def written(project: Project, *arguments: str) -> list[dict[str, str]]:
    """Return the rows of the csv file that a summary writes."""
    project.ok("summary", *arguments, "-o", "table.csv")
    with open(project.folder / "table.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def close(text: str, number: float) -> bool:
    return math.isclose(float(text), number, abs_tol=1e-9)


def test_ratio_tables_of_each_task_come_out_of_one_command(studies: Project) -> None:
    rows = written(studies, "mtl", "--by", "model.blocks", "--across", "data.ratio", "--over", "seed", "--metric", "test/ssim/*")
    assert [(row["metric"], row["model.blocks"]) for row in rows] == [
        (f"test/ssim/{task}", blocks) for task in ("pd", "pd_fs") for blocks in ("IIV", "IIY")
    ]
    for row in rows:
        base, gain = {"test/ssim/pd": 0.9, "test/ssim/pd_fs": 0.8}[row["metric"]], {"IIV": 0.01, "IIY": 0.02}[row["model.blocks"]]
        for ratio in (1, 2, 3):
            seeds = SEEDS[:2] if (row["model.blocks"], ratio) == ("IIV", 3) else SEEDS
            assert row[f"data.ratio={ratio} n"] == str(len(seeds))
            assert close(row[f"data.ratio={ratio}"], fmean(base + gain * ratio + SPREAD[seed] for seed in seeds))  # at the best validation
    told = studies.ok("summary", "mtl", "--by", "model.blocks", "--across", "data.ratio", "--over", "seed").out
    assert "thin: blocks=IIV ratio=3: 2 of 3; seed=3 failed (host_oom)" in told


def test_the_best_run_of_each_number_of_blocks_comes_out_of_one_command(studies: Project) -> None:
    rows = written(studies, "mask", "--best", "val/ssim", "--per", "model.blocks", "--metric", "test/*")
    assert [(row["model.blocks"], row["model.kernel"], row["optim.lr"]) for row in rows] == [
        ("1", "13", "0.01"),
        ("5", "13", "0.01"),
        ("10", "13", "0.001"),
    ]
    assert [close(row["test/ssim"], 0.8913 + blocks / 1000) for row, blocks in zip(rows, (1, 5, 10), strict=True)] == [True] * 3
    assert [row["not_ranked"] for row in rows] == ["", "1 with test/psnr inf", "2 with val/ssim nan"]
    assert [row["ranked"] for row in rows] == ["6", "5", "4"]


def test_network_by_loss_by_regularisation_comes_out_of_one_command(studies: Project) -> None:
    command = ("--by", "model.network,loss.kind", "--across", "model.regularisation", "--over", "repeat", "--metric", "test/ssim")
    rows = {(row["model.network"], row["loss.kind"]): row for row in written(studies, "cine", *command)}
    assert len(rows) == 6
    best = rows["UNet3D", "SSIM"]
    repeats = [0.85 + 0.04 + 0.001 * repeat for repeat in (1, 2)]
    low, high = stats.t.interval(0.95, 1, loc=fmean(repeats), scale=stdev(repeats) / math.sqrt(2))
    assert close(best["model.regularisation=none"], fmean(repeats))
    assert close(best["model.regularisation=none ci95_low"], low) and close(best["model.regularisation=none ci95_high"], high)
    assert close(rows["UNet2D2D", "MSE"]["model.regularisation=dropout"], 0.83 - 0.02 - 0.2 + 0.0015)


def test_a_matrix_of_train_and_test_sites_comes_out_of_one_command(studies: Project) -> None:
    rows = written(studies, "sites", "--by", "data.train_sites", "--across", "data.test_site", "--over", "seed", "--metric", "test/ssim")
    assert [row["data.train_sites"] for row in rows] == ["BFH", "BFI", "BFHI"]
    for row in rows:
        for site, gain in {"B": 0.0, "F": 0.02, "H": 0.04, "I": 0.06}.items():
            seen = 0.05 if site in row["data.train_sites"] else 0.0
            assert close(row[f"data.test_site={site}"], 0.85 + gain + seen)
            assert row[f"data.test_site={site} n"] == "3"


def test_the_page_on_results_shows_what_its_commands_print(studies: Project) -> None:
    blocks = re.findall(r"^```\n\$ (mrsweep .*)\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)
    assert len(blocks) == 7
    for command, shown in blocks:
        printed = studies.ok(*shlex.split(command)[1:], COLUMNS=str(COLUMNS)).out
        assert "".join(f"{line.rstrip()}\n" for line in printed.splitlines() if line.strip()) == shown, command


def test_a_baseline_is_compared_pair_by_pair(studies: Project) -> None:
    command = ("--by", "blocks,ratio", "--over", "seed", "--metric", "test/ssim/pd", "--baseline", "model.blocks=IIV")
    rows = {(row["model.blocks"], row["data.ratio"]): row for row in written(studies, "mtl", *command)}
    assert [rows["IIY", ratio]["pairs"] for ratio in "123"] == ["3", "3", "2"]
    differences = {"1": 0.01, "2": 0.02, "3": 0.03 + fmean(0.5 * SPREAD[seed] for seed in (1, 2))}  # IIY scatters 1.5 times as much
    assert all(close(rows["IIY", ratio]["difference"], difference) for ratio, difference in differences.items())
    assert rows["IIV", "1"]["pairs"] == ""


def test_several_grids_stand_in_one_table(studies: Project) -> None:
    rows = written(studies, "mtl", "cine", "mtl")
    assert [row["grid"] for row in rows] == ["mtl"] * 18 + ["cine"] * 36
    assert {row["model.network"] for row in rows} == {"", "UNet3D", "UNet2D2D"}


def test_where_a_run_was_computed_is_in_its_row(studies: Project) -> None:
    row = written(studies, "mtl")[0]
    assert (row["attempt"], row["state"], row["cause"], row["node"]) == ("attempt-1", "completed", "", os.uname().nodename)
    assert row["commit"] == git(studies, "rev-parse", "HEAD")[:12]
    studies.write("trial.py", (SOURCES.parent / "trial.py").read_text() + "# changed since\n")
    studies.launch(studies.grid("quick", "config: {x: 1}", name="later"))
    assert written(studies, "later")[0]["commit"] == f"{row['commit']}-dirty"


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "json", "md", "tex", "html"])
def test_every_ending_gives_the_same_bytes_twice(studies: Project, ending: str) -> None:
    content = []
    for name in ("one", "two"):
        studies.ok("summary", "mtl", "--by", "model.blocks", "--over", "seed,ratio", "-o", f"{name}.{ending}")
        content.append((studies.folder / f"{name}.{ending}").read_bytes())
    assert content[0] == content[1]


COMMANDS = {
    "runs": ("mtl",),
    "ratios": ("mtl", "--by", "model.blocks", "--across", "data.ratio", "--over", "seed", "--metric", "test/ssim/*"),
    "baseline": ("mtl", "--by", "blocks,ratio", "--over", "seed", "--baseline", "model.blocks=IIV"),
    "best": ("mask", "--best", "val/ssim", "--per", "model.blocks"),
    "losses": ("cine", "--by", "network,loss.kind", "--across", "regularisation", "--over", "repeat", "--metric", "test/ssim"),
    "sites": ("sites", "--by", "train_sites", "--across", "test_site", "--over", "seed", "--metric", "test/ssim"),
    "grids": ("mtl", "mask"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_table_fits_a_terminal_of_80_columns(studies: Project, name: str) -> None:
    terminal = Terminal(studies, "summary", *COMMANDS[name])
    assert terminal.end() == 0
    lines = terminal.text().splitlines()
    assert max(map(len, lines)) <= COLUMNS
    assert len([line for line in lines if line.startswith(" ")]) >= 4


@pytest.mark.parametrize("name", ["ratios", "losses", "sites"])
def test_a_matrix_has_room_for_all_its_columns(studies: Project, name: str) -> None:
    terminal = Terminal(studies, "summary", *COMMANDS[name])
    assert terminal.end() == 0
    assert "more column" not in terminal.text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--over", "seed"), "--over needs --by"),
        (("--by", "bloks", "--over", "seed"), "--by bloks: no run has such a key. Did you mean model.blocks?"),
        (("--by", "blocks", "--over", "seed"), "they differ in data.ratio. Add that to --by or --over"),
        (("--metric", "test/sim/pd"), "--metric test/sim/pd: no run reported such a metric. Did you mean test/ssim/pd?"),
        (("--best", "test/sim/pd"), "--best test/sim/pd: no run reported such a metric. Did you mean test/ssim/pd?"),
        (("--where", "blocks=nope"), "--where 'blocks=nope' selects none of 18 runs; model.blocks is IIV, IIY."),
        (("cine", "--where", "seed=9 or repeat=9"), "selects none of 54 runs; repeat is 1, 2; seed is 1, 2, 3."),
        (("mask", "--where", "seed=9"), "--where 'seed=9' selects none of"),
        (("--state", "done"), "--state 'done' is not a state. Did you mean completed?"),
        (("--best", "test/ssim/pd"), "Write --best max:test/ssim/pd or --best min:test/ssim/pd."),
        (("--by", "blocks", "--best", "val/ssim"), "--by and --best are different tables"),
        (("-o", "table.pdf"), "the ending says the format; use one of .csv, .tsv, .parquet, .json, .md, .tex, .html."),
        (("--by", "blocks", "--state", "failed"), "none of 1 runs has completed (failed (host_oom))"),
        (("--by", "blocks", "--limit", "0"), "limit"),
    ],
)
def test_what_cannot_be_answered_says_the_way_out_in_one_line(studies: Project, arguments: tuple[str, ...], said: str) -> None:
    done = studies.run("summary", "mtl", *arguments)
    assert (done.code, done.err.count("\n"), done.out) == (2, 1, "")
    assert said in done.err


def test_a_note_that_asks_ends_with_its_question_mark(capsys: pytest.CaptureFixture[str]) -> None:
    _tell(Table(kind="run", columns=(), rows=(), notes=("was it renamed?", "one is missing"), counts={"runs": 1}), None)
    assert capsys.readouterr().out.splitlines()[:2] == ["was it renamed?", "one is missing."]


def test_a_grid_that_was_only_expanded_has_a_table_of_runs_and_no_groups(studies: Project) -> None:
    studies.ok("expand", studies.grid("quick", "grid: {x: [1, 2]}", name="fresh"))
    assert "2 of 2 runs without a result: 2 planned." in studies.ok("summary", "fresh").out
    assert "none of 2 runs has completed (planned)" in studies.run("summary", "fresh", "--by", "x").err


def test_of_several_grids_one_may_hold_no_run_that_is_wanted(studies: Project) -> None:
    rows = written(studies, "mtl", "mask", "--where", "blocks=IIV")
    assert {row["grid"] for row in rows} == {"mtl"}


def test_the_metric_is_printed_at_80_columns_though_many_keys_vary(studies: Project) -> None:
    studies.write("many.py", "def train(config, run):\n    return {'val/ssim': 0.5}\n")
    head = "name: many\nentry: many:train\npreload: []\nresources: {gpus: 0}\nmetrics: {objective: val/ssim}\n"
    keys = "".join(f"  section.quite_long_key_{place}: [a rather long value {place}]\n" for place in range(9))
    studies.launch(studies.write("grids/many.yaml", f"{head}grid:\n{keys}"))
    studies.watch("many")
    printed = studies.ok("summary", "many", COLUMNS=str(COLUMNS)).out
    assert "val/ssim" in printed.splitlines()[1] or "val/ssim" in printed.splitlines()[0]
    assert max(map(len, printed.splitlines())) <= COLUMNS


HOSTILE = """
def train(config, run):
    run.report(1, **{"val/ssim": config["x"], "<script>alert(1)</script>": 1.0, "=cmd()": 2.0})
    return {"note": "two\\nlines, and \\"quotes\\" " + config["name"]}
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A grid whose names and values try to be formulas, markup and lines of their own."""
    project = Project(tmp_path_factory.mktemp("hostile"))
    project.write("hostile.py", HOSTILE)
    names = json.dumps(["=cmd()", "<img src=x>", "a,b", "\\input{{x}} & 5%"])
    head = "name: h\nentry: hostile:train\npreload: []\nresources: {gpus: 0}\nmetrics: {objective: val/ssim}\n"
    project.write("grids/h.yaml", f"{head}config: {{x: 0.5}}\ngrid: {{name: {names}}}\n")
    project.launch("grids/h.yaml")
    project.watch("h")
    yield project


def test_hostile_names_and_values_are_inert_in_every_file(hostile: Project) -> None:
    rows = written(hostile, "h")
    assert len(rows) == 4
    assert [row["name"] for row in rows] == ["'=cmd()", "<img src=x>", "a,b", "\\input{x} & 5%"]
    assert {"'=cmd()", "<script>alert(1)</script>"} <= set(rows[0])
    assert rows[0]["note"] == 'two lines, and "quotes" =cmd()'
    for ending in ("html", "md", "tex"):
        hostile.ok("summary", "h", "-o", f"t.{ending}")
    page = (hostile.folder / "t.html").read_text()
    assert "<script" not in page and "<img" not in page
    assert "<" not in (hostile.folder / "t.md").read_text()
    assert "\\input" not in (hostile.folder / "t.tex").read_text()
