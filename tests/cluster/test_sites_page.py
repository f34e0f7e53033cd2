"""docs/sites.md names nothing that does not exist: its lines are read as a profile, its grid keys as a grid file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.cluster.options import grant
from orchestrator.cluster.profile import parse_profile
from orchestrator.cluster.resources import Resources
from orchestrator.grid.spec import read_spec

PAGE = (Path(__file__).parents[2] / "docs" / "sites.md").read_text()
CODE = re.findall(r"`([^`\n]+)`", PAGE)
PROFILE_LINES = [code for code in CODE if code.startswith(("#SBATCH -", "#MRSWEEP "))]
GRID_LINES = [code for code in CODE if re.match(r"(resources|pack|timeout): ?", code)]
SETUP = re.search(r"```\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_has_lines_to_try():
    assert len(PROFILE_LINES) > 15
    assert len(GRID_LINES) == 3


@pytest.mark.parametrize("line", PROFILE_LINES)
def test_a_line_for_the_profile_is_read_and_not_overruled(line):
    profile = parse_profile(f"{line}\n", name="p", path="p.sh")
    _, notes = grant(profile, Resources(gpus=1 if profile.gpu != "none" else 0))
    assert notes == ()
    assert profile != parse_profile("", name="p", path="p.sh") or line in ("#MRSWEEP gpu=gres",)


def test_the_set_up_lines_are_kept_as_they_stand():
    assert SETUP is not None
    lines = (*SETUP[1].splitlines(), "export TMPDIR=/scratch/$USER", "export HDF5_USE_FILE_LOCKING=FALSE")
    assert parse_profile("\n".join(lines) + "\n", name="p", path="p.sh").setup == lines
    assert all(line in PAGE for line in lines)


@pytest.mark.parametrize("line", GRID_LINES)
def test_a_line_for_the_grid_file_is_read(tmp_path, line):
    text = f"policy: {{{line}}}" if line.startswith("timeout") else line
    (tmp_path / "g.yaml").write_text(f"name: g\nentry: a:b\nconfig: {{x: 1}}\n{text}\n")
    read_spec(tmp_path / "g.yaml")
