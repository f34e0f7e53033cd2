"""The commands of the README, in its order, in a project whose runs take no time."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Project

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ENTRY = """
def train(config, run):
    run.report(1, **{"val/ssim": 1 / config["mask"]["acceleration"]})
    return {"val/ssim": 1 / config["mask"]["acceleration"]}
"""
ASKS = {"launch", "requeue", "cancel", "prune", "restore"}
WITHOUT_END = {"tensorboard": "--no-start"}


def blocks(language: str) -> list[str]:
    """Return the README's fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> Iterator[str]:
    """Yield every `mrsweep …` of the README that is given as something to type; last those whose output is shown."""
    yield from re.findall(r"`(mrsweep [^`]+)`", README)
    yield from re.findall(r"^\$ (mrsweep .*)$", README, re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The README's own grid file, with an entry that needs no data."""
    project = Project(tmp_path / "a clone")
    shutil.copytree(ROOT / "grids" / "base", project.folder / "grids" / "base")
    project.write("quick.py", ENTRY)
    (grid,) = blocks("yaml")
    assert "entry: models.training:train\n" in grid
    project.write("grids/quickstart.yaml", grid.replace("models.training:train", "quick:train") + "preload: []\n")
    return project


@pytest.mark.journey
def test_every_command_of_the_readme_works(project: Project) -> None:
    assert len(list(commands())) >= 14
    for command in commands():
        verb, *arguments = shlex.split(command.replace("…", "grids/quickstart.yaml"))[1:]
        arguments = [run_id(project) if argument == "3fa9" else argument.replace("slurm-gpu", "quick") for argument in arguments]
        if verb == "launch" and "--profile" not in arguments:
            arguments += ["--profile", "quick"]
        arguments += [WITHOUT_END[verb]] if verb in WITHOUT_END else []
        project.ok(verb, *arguments, *(["--yes"] if verb in ASKS else []), *(["--profile", "quick"] if verb == "doctor" else []))
    assert project.counts("quickstart") == {"completed": 8}
    assert (project.folder / "summary.csv").read_text().count("\n") == 9


def run_id(project: Project) -> str:
    return next(iter(project.lines("quickstart").values()))["id"][:6]


def test_the_targets_of_the_readme_exist() -> None:
    targets = re.findall(r"^make ([a-z-]+)", README, re.MULTILINE)
    assert {"demo", "test"} <= set(targets)
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_the_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)", README)
    assert links
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []


def test_the_readme_is_short() -> None:
    assert len(README.split()) < 1000
