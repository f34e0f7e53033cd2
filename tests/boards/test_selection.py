"""A selection that names no run is refused before anything is written."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Project
from tests.cli.conftest import project as project


@pytest.mark.parametrize("options", [("--where", "x=9"), ("--state", "failed")])
def test_selection_of_no_run_is_refused_with_how_many_there_are(project: Project, options: tuple[str, ...]) -> None:
    project.ok("expand", project.grid("quick", "config: {x: 1}\ngrid: {x: [1, 2]}"))
    done = project.run("tensorboard", "g", *options)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "none of 2 runs" in done.err
    assert not (project.folder / "runs" / "g" / "tensorboard").exists()
