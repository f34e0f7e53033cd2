"""Entries are found, not imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.grid.entry import Entry, find_entry, parse_entry
from orchestrator.store.errors import EntryError

MODULE = """
raise SystemExit("imported")
if True:
    def inside(): ...
try:
    from other import borrowed
except ImportError:
    borrowed = None
pair, (third, _) = 1, (2, 3)
def train(config, run): ...
"""

EXPORTS = """
import json
import os.path
from os import path as borrowed_path
LIMIT = 3
class a_class: ...
def main(config, run): ...
def _hidden(): ...
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "a project's folder"
    (folder / "models" / "training").mkdir(parents=True)
    (folder / "models" / "__init__.py").write_text("raise SystemExit('imported')")
    (folder / "models" / "training" / "__init__.py").write_text(MODULE)
    (folder / "star.py").write_text("from models import *\n")
    (folder / "exports.py").write_text(EXPORTS)
    (folder / "torn.py").write_text("def f(:\n")
    (folder / "spaces").mkdir()
    (folder / "spaces" / "deep.py").write_text("def f(): ...\n")
    return folder


@pytest.mark.parametrize("name", ["train", "inside", "borrowed", "pair", "third"])
def test_an_entry_is_found_without_running_code(project: Path, name: str) -> None:
    assert find_entry(f"models.training:{name}", [str(project)]) == project / "models" / "training" / "__init__.py"


def test_namespace_packages_and_star_imports_are_followed(project: Path) -> None:
    assert find_entry("spaces.deep:f", [str(project)]) == project / "spaces" / "deep.py"
    assert find_entry("star:anything", [str(project)]) == project / "star.py"


def test_the_project_comes_before_what_is_installed(project: Path) -> None:
    (project / "json.py").write_text("def dump(): ...\n")
    assert find_entry("json:dump", [str(project), *sys.path]) == project / "json.py"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("models.training:tran", "Did you mean train?"),
        ("models.trainin:train", "there is no module models.trainin"),
        ("exports:inner", "Known: a_class, borrowed_path, main."),
        ("exports:json", "entry exports:json: json is a module in "),
        ("exports:os", "exports.py, not a function. Known: a_class, "),
        ("model:train", "there is no module model in "),
        ("spaces:f", "is a folder without __init__.py"),
        ("torn:f", "torn.py:1: the module of torn:f cannot be read"),
        ("train.py", "has not the shape module:function"),
        ("../x:f", "has not the shape module:function"),
        ("$(x):f", "has not the shape module:function"),
    ],
)
def test_an_entry_that_is_not_there_is_told(project: Path, text: str, problem: str) -> None:
    with pytest.raises(EntryError) as caught:
        find_entry(text, [str(project)])
    assert problem in str(caught.value)


def test_an_entry_has_a_module_and_a_name() -> None:
    assert parse_entry("a.b:c") == Entry("a.b", "c")
    assert str(Entry("a.b", "c")) == "a.b:c"
