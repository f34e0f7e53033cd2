"""mrsweep plot, from runs that were really computed."""

from __future__ import annotations

import math
import shlex
import statistics
from pathlib import Path

import pytest

from tests.cli.conftest import COMMON, Project

ENTRY = """
def train(config, run):
    value = config["level"][config["kind"]] - 0.1 * config["x"] + 0.01 * config["seed"]
    for step in range(1, 4):
        run.report(step, {"val/score": value * step / 3, "note": "text"})
    if config["kind"] == "b" and config["x"] == 2 and config["seed"] == 1:
        raise ValueError("b does not go with 2")
    return {"test/score": value - 0.5}
"""
GRID = (
    "name: g\nentry: study:train\npreload: []\n"
    + COMMON.replace("objective: loss, mode: min", "objective: val/score, mode: max")
    + "config: {level: {a: 1.0, b: 2.0}, kind: a, x: 0}\ngrid: {kind: [a, b], x: [0, 1, 2], seed: [1, 2]}\n"
)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A grid of two kinds over three places, two seeds each, one run of which failed."""
    project = Project(tmp_path_factory.mktemp("plots"))
    project.write("study.py", ENTRY)
    project.write("grids/g.yaml", GRID)
    project.launch("grids/g.yaml")
    project.watch()
    return project


def test_figure_holds_the_means_of_the_runs(computed: Project) -> None:
    done = computed.ok("plot", "g", "--x", "x", "--y", "test/score", "--hue", "kind", "-o", "figure.svg", "--json")
    assert (computed.folder / "figure.svg").read_text().startswith("<?xml")
    lines = {line["label"]: line["points"] for line in done.document["lines"]}
    for kind, level in (("a", 1.0), ("b", 2.0)):
        for point in lines[kind]:
            seeds = [2] if (kind, point["x"]) == ("b", 2) else [1, 2]
            values = [level - 0.1 * point["x"] + 0.01 * seed - 0.5 for seed in seeds]
            assert (point["n"], point["mean"]) == (len(seeds), pytest.approx(statistics.fmean(values)))
            if len(seeds) == 2:  # Student's t for one degree of freedom at 97.5 %: 12.7062
                half = 12.706204736 * statistics.stdev(values) / math.sqrt(2)
                assert (point["low"], point["high"]) == (pytest.approx(values[0] + 0.005 - half), pytest.approx(values[0] + 0.005 + half))
    assert "1 run missing: failed (error)" in done.document["notes"]


def test_what_the_figure_means_is_told_on_the_terminal(computed: Project) -> None:
    told = computed.ok("plot", "g", "--x", "step", "--y", "val/score", "--hue", "kind,x", "-o", "curves.png").out
    assert "mean and 95 % confidence interval over seed, n = 1–2." in told
    assert "6 lines of val/score (higher is better) over step; written to curves.png." in told
    assert (computed.folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_second_call_writes_the_same_bytes(computed: Project) -> None:
    ask = ("plot", "g", "--x", "x", "--y", "test/score", "--hue", "kind", "--baseline", "kind=a", "--best", "-o")
    for suffix in ("svg", "png", "pdf"):
        for name in ("one", "two"):
            computed.ok(*ask, f"{name}.{suffix}")
        assert (computed.folder / f"one.{suffix}").read_bytes() == (computed.folder / f"two.{suffix}").read_bytes()


def test_best_stands_alone_or_takes_an_expression(computed: Project) -> None:
    ask = ("plot", "g", "--x", "x", "--y", "test/score", "--hue", "kind", "-o", "best.svg", "--json")
    assert computed.ok(*ask, "--best").document["lines"][-1]["label"] == "best by val/score"
    assert computed.ok(*ask, "--best", "kind=a").document["lines"][-1]["label"] == "best: kind=a"


def test_selection_holds_for_the_figure(computed: Project) -> None:
    ask = ("plot", "g", "--x", "x", "--y", "test/score", "-o", "some.svg", "--json")
    document = computed.ok(*ask, "--where", "kind=a and x<2").document
    assert [point["x"] for point in document["lines"][0]["points"]] == [0, 1]


WRONG = [
    (("--x", "x", "--y", "test/score", "-o", "f.svg"), ["mean over kind", "--hue kind", "--over seed,kind"]),
    (("--x", "y", "--y", "test/score", "--hue", "kind", "-o", "f.svg"), ["--x y", "Known: "]),
    (("--x", "x", "--y", "test/scor", "--hue", "kind", "-o", "f.svg"), ["--y test/scor", "Did you mean test/score?"]),
    (("--x", "x", "--y", "note", "--hue", "kind", "-o", "f.svg"), ["--y note", "finite value"]),
    (("--x", "x", "--y", "test/score", "-o", "f.jpg"), ["f.jpg", ".svg, .png, .pdf"]),
    (("--x", "x", "--y", "test/score", "-o", "no/f.svg"), ["there is no folder no"]),
    (("--x", "x", "--y", "test/score"), ["-o"]),
    (("--x", "", "--y", "test/score", "-o", "f.svg"), ["--x is empty", "mrsweep plot --help"]),
    (("--x", "x", "--y", "test/score", "-o", "f.svg", "--width-mm", "4"), ["--width-mm", "4"]),
]


@pytest.mark.parametrize(("arguments", "named"), WRONG, ids=str)
def test_wrong_question_is_one_line_and_writes_nothing(computed: Project, arguments: tuple[str, ...], named: list[str]) -> None:
    done = computed.run("plot", "g", *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
    assert [part for part in named if part not in done.err] == [], done.err
    assert not list(computed.folder.glob("f.*"))


def test_grid_without_a_finished_run_says_so(project: Project) -> None:
    project.ok("expand", project.grid("quick", "config: {x: 1}\ngrid: {x: [1, 2]}"))
    done = project.run("plot", "g", "--x", "x", "--y", "loss", "-o", "f.svg")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "--y loss: no run reported such a metric" in done.err


@pytest.mark.parametrize("verb", ["plot", "tensorboard"])
def test_options_on_the_page_are_those_there_are(computed: Project, verb: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "figures.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith(f"mrsweep {verb} ")]
    told = computed.ok(verb, "--help").out
    named = {word for line in lines for word in shlex.split(line) if word.startswith("--")}
    assert len(lines) == 3 and named
    assert [option for option in sorted(named) if option not in told] == []
