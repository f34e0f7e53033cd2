"""mrsweep report: where the page goes, what it holds, and what it says where there is little to show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Project

ENTRY = """
def draw(config, run):
    import numpy as np
    if config["x"] == 3:
        raise ValueError("x must not be 3")
    for step in range(1, 4):
        run.report(step, {"loss": config["x"] / step, "val/psnr": 10.0 * step})
        run.image("truth", np.full((300, 20), 40 * config["x"], np.uint8), step)
    return {"loss": config["x"] / 3}
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A grid of three runs with curves and pictures, one of which failed."""
    project = Project(tmp_path_factory.mktemp("drawn") / "my 'own' project")
    project.write("trial.py", ENTRY)
    project.compute("draw", "grid: {x: [1, 2, 3]}")
    return project


def data_of(page: Path, name: str) -> Any:
    """Return one of the blocks of data of a page."""
    found = re.search(f'<script type="application/json" id="data-{name}">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found, name
    return json.loads(found[1])


def test_report_goes_into_the_folder_of_the_grid(drawn: Project) -> None:
    told = drawn.ok("report", "g").out
    page = drawn.folder / "runs" / "g" / "report.html"
    assert re.fullmatch(r"3 runs, \d+\.\d MB; written to .*/runs/g/report\.html\n", told)
    assert page.stat().st_size < 3e6
    text = page.read_text()
    assert "Question: what happens?" in text and "2 completed" in text and "1 failed" in text


def test_report_holds_table_curves_and_pictures_of_the_runs(drawn: Project) -> None:
    drawn.ok("report", "g", "-o", "page.html")
    page = drawn.folder / "page.html"
    runs = data_of(page, "runs")
    assert runs["columns"][:5] == ["run", "x", "state", "cause", "loss"]
    assert [[row[1], row[2], row[3], row[4]] for row in runs["rows"]] == [
        [1, "completed", "", pytest.approx(1 / 3)],
        [2, "completed", "", pytest.approx(2 / 3)],
        [3, "failed", "error", ""],
    ]
    assert [item["target_id"] for item in data_of(page, "figures")] == ["curve-0", "curve-1", "usage-figure", "timeline-figure"]
    images = data_of(page, "images")
    assert images["steps"] == [1, 2, 3]
    assert [(panel["rank"], panel["label"]) for panel in images["panels"]] == [("best", "x=1"), ("median", "x=2")]


def test_selection_and_json(drawn: Project) -> None:
    document = drawn.ok("report", "g", "--where", "x=2", "-o", "one.html", "--json").document
    assert (document["kind"], document["runs"], Path(document["file"]).name) == ("report", 1, "one.html")
    assert document["bytes"] == (drawn.folder / "one.html").stat().st_size
    assert [row[1] for row in data_of(drawn.folder / "one.html", "runs")["rows"]] == [2]


def test_commands_on_the_page_work_as_they_stand(drawn: Project) -> None:
    drawn.ok("report", "g", "-o", "page.html")
    page = (drawn.folder / "page.html").read_text()
    (command, *_) = re.findall(r"<code>mrsweep (run [^<]*)</code>", page)
    assert "loss = 0.33" in drawn.ok(*command.split()).out
    (look, *_) = re.findall(r"<code>mrsweep (logs [^<]*)</code>", page)
    assert "x must not be 3" in drawn.ok(*look.split()).out


@pytest.mark.parametrize(
    ("output", "named"),
    [("table.csv", ["-o table.csv", ".html"]), ("no/such/page.html", ["no folder no/such"]), ("/proc/page.html", ["cannot be written"])],
)
def test_place_that_cannot_be_written_is_refused(drawn: Project, output: str, named: list[str]) -> None:
    done = drawn.run("report", "g", "-o", output)
    assert (done.code, done.out) == (2, "") and [part for part in named if part not in done.err] == []


def test_grid_that_was_only_expanded_makes_a_page(project: Project) -> None:
    project.ok("expand", project.grid("quick", "config: {y: 1}\ngrid: {x: [1, 2]}"))
    project.ok("report", "g", "-o", "page.html")
    page = (project.folder / "page.html").read_text()
    assert "No run has completed yet. Without content: Best runs, " in page and '<section id="runs">' in page


def test_without_bokeh_the_way_to_install_it_is_told(drawn: Project) -> None:
    program = "import sys; sys.modules['bokeh'] = None; from orchestrator.cli.main import main; main(['report', 'g'])"
    done = subprocess.run([sys.executable, "-c", program], cwd=drawn.folder, env=drawn.environment, capture_output=True, text=True)
    assert done.returncode == 2 and "pip install 'mrsweep[report]'" in done.stderr and done.stderr.count("\n") == 1
