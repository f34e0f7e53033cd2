"""docs/studies.md says of every study what its grid file says, and its commands are understood."""

from __future__ import annotations

import re
import shlex

import pytest

from data.convert.command import build_parser as build_convert_parser
from data.simulate.command import build_parser as build_simulate_parser
from tests.grids.shipped import ROOT, STUDIES, claimed_runs, spec_of

PAGE = (ROOT / "docs" / "studies.md").read_text()
PARSERS = {"convert": build_convert_parser, "simulate": build_simulate_parser}
COMMANDS = re.findall(r"^python -m data\.(convert|simulate) (.*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", [*STUDIES, "sequential_digits"])
def test_row_of_a_study_has_the_runs_and_hours_of_its_file(name: str) -> None:
    path = ROOT / "grids" / f"{name}.yaml"
    spec = spec_of(path)
    (cells,) = (line.split("|") for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    hours = re.search(r"about (\d+) GPU hours", spec.question)
    assert hours is not None
    assert [cells[3].strip(), cells[4].strip()] == [str(claimed_runs(spec, path.read_text())), hours[1]]


@pytest.mark.parametrize(("kind", "command"), COMMANDS, ids=lambda text: text.split()[0])
def test_commands_that_make_the_data_are_understood_and_fill_the_folders_of_the_grids(kind: str, command: str) -> None:
    folder = re.search(r"datasets/\w+", command)
    assert folder is not None
    PARSERS[kind]().parse_args(shlex.split(command))
    assert folder[0] in (ROOT / "grids" / "base" / f"{folder[0].removeprefix('datasets/')}.yaml").read_text()


def test_the_page_has_a_table_for_every_study_and_a_figure_for_both_projects() -> None:
    verbs = {verb: re.findall(rf"^mrsweep {verb} .*$", PAGE, re.MULTILINE) for verb in ("launch", "summary", "plot")}
    assert all(any(f"/{name}.yaml" in command for command in verbs["launch"]) for name in (*STUDIES, "sequential_digits"))
    assert all(any(f" {name} " in command for command in verbs["summary"]) for name in (*STUDIES, "sequential_digits"))
    assert all(any(f" {name} " in command for command in verbs["plot"]) for name in ("mtl_evaluate", "cine_unets"))


def test_links_of_the_page_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
