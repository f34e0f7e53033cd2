"""The largest of the published grids, whole, on a cluster where things go wrong."""

from __future__ import annotations

import pytest

from tests.grids.shipped import SMOKE_RUNS
from tests.slurm.big_grid import STUDY, compute

WITHIN_S = 600.0
"""Bar for the grid without any fault; it holds with them too."""


@pytest.mark.slow
def test_990_runs_complete_in_spite_of_kills_and_lack_of_memory(slurm_alone, tmp_path):
    found = compute(slurm_alone, tmp_path / "my clone", seed=1, within_s=WITHIN_S)
    assert found["states"] == {"completed": SMOKE_RUNS[STUDY]}
    assert (found["rows"], found["two results"]) == (SMOKE_RUNS[STUDY], [])
    assert found["faults"]["worker_is_killed"] > 3
    assert found["bad ends"]["host_oom"] > 10
    assert found["host memory of a run [GB]"]["median"] < 1
