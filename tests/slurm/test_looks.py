"""The looks at the real cluster's queue are bounded, and what is shown in between is what was seen last."""

from __future__ import annotations

import time

from orchestrator.cluster.choose import open_scheduler, spent_calls
from orchestrator.cluster.profile import load_profile


def test_thirty_questions_of_who_only_shows_are_ten_looks(slurm, tmp_path, monkeypatch):
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    profile = load_profile("slurm-cpu")  # one look a minute
    seen = []
    for _ in range(30):
        scheduler = open_scheduler(profile, submissions=tmp_path / "submissions", reading=True)  # each of them a command of its own
        seen.append(scheduler.snapshot(["nobody"], since=time.time() - 60, now=time.time(), open_tasks={}))
    assert spent_calls(profile).day == {"squeue": 10}
    assert all(one.queue_ok for one in seen)
    assert "limited to one in 60 s" in seen[-1].notes[-1]
