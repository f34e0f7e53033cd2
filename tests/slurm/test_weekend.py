"""From Friday to Monday: 200 runs, ten kinds of them, nine faults of the cluster, and nobody who looks after them but the janitor."""

from __future__ import annotations

import pytest

from orchestrator.store.states import State
from tests.slurm.cluster_process import wait_until
from tests.slurm.nemesis import Nemesis, struck
from tests.slurm.weekend import EXPECTED, Campaign, Mix

KINDS = {
    "none": 140, "long": 2, "host_oom": 12, "gpu_oom": 12, "diverged": 6, "bug": 8, "bad_input": 6, "silent": 6, "killed": 4, "crash": 4,
}  # fmt: skip
WITHIN_S = 600.0


@pytest.mark.slow
def test_weekend_ends_with_every_run_completed_or_truly_explained(slurm_alone, tmp_path):
    project = Campaign(tmp_path / "a weekend", slurm_alone, Mix(kinds=KINDS))
    assert project.launch("--janitor")["submitted"] == 200
    nemesis = Nemesis(slurm_alone, project, may_cancel=project.is_well)
    faults = list(nemesis.faults)
    with struck(nemesis, every_s=6.0, choose=lambda number: faults[number] if number < len(faults) else None):
        project.await_rest(within_s=WITHIN_S)
    assert len(nemesis.done) == len(faults)
    assert project.wrong_ends(nemesis.cancelled) == []
    assert project.doubled() == []
    told = project.run("summary", project.name, "-o", "table.csv")
    missing = sum(count for kind, count in KINDS.items() if EXPECTED[kind][0] is not State.COMPLETED) + len(nemesis.cancelled)
    assert f"{missing} of 200 runs without a result" in " ".join(told.split())
    wait_until(lambda: not project.queue(), within_s=60, what="end of tasks whose run another start had completed")
