"""The example notebook, executed on the grid that lies beside it, and computed for it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.cli.conftest import QUICK, Project

FOLDER = Path(__file__).parents[2] / "docs" / "notebook"


def outputs(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the kind of each output, cell by cell: a picture, a table, an error."""
    found = (output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type != "stream")
    return [output.output_type if output.output_type == "error" else _kind(output.data) for output in found]


def _kind(data: dict[str, str]) -> str:
    return "picture" if "image/png" in data else "table" if "text/html" in data else "text"


def test_notebook_runs_on_the_grid_beside_it_and_shows_what_is_committed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("invented.py", "invented.yaml", "figures.ipynb"):
        shutil.copy(FOLDER / name, project.folder / name)
    project.write("slurm_templates/quick.sh", QUICK)
    assert project.launch("invented.yaml")["submitted"] == 36
    project.watch("invented")
    assert project.counts("invented") == {"completed": 36}
    notebook = nbformat.read(project.folder / "figures.ipynb", 4)
    committed = outputs(notebook)
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[2]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(project.folder)}}).execute()
    assert outputs(notebook) == committed == ["table", "picture", "picture", "picture"]


def test_committed_notebook_is_small_and_names_no_place_or_time() -> None:
    text = (FOLDER / "figures.ipynb").read_text()
    assert len(text) < 150_000
    assert "/home/" not in text and "/tmp/" not in text and "iopub" not in text
