"""The doctor's probe on the real cluster: a job that meets the host, and one that cannot start."""

from __future__ import annotations

import sys
import time

from orchestrator.cluster.profile import load_profile
from orchestrator.doctor import check


def facts(folder):
    told = []
    found = check.probe(folder, load_profile("slurm-test"), patience_s=120, tell=told.append)
    assert "was submitted" in told[0]
    return {fact.name: fact for fact in found}


def test_a_job_meets_the_host_in_the_runs_folder(slurm, tmp_path):
    found = facts(tmp_path / "my 'own' runs")
    assert {name: fact.verdict.value for name, fact in found.items() if fact.verdict.value == "bad"} == {}
    assert found["memory on the node"].value == "cgroup/v1, 512 MB (512 MB asked)"
    assert list((tmp_path / "my 'own' runs").iterdir()) == []


def test_a_job_that_cannot_start_is_told_with_its_last_words(slurm, tmp_path, monkeypatch):
    failing = (sys.executable, "-c", "raise SystemExit('No module named mrsweep')")
    monkeypatch.setattr(check, "worker_command", lambda *_: failing)
    began = time.monotonic()
    fact = facts(tmp_path / "runs")["probe job"]
    assert (fact.verdict.value, fact.value.startswith("ended as FAILED on n")) == ("bad", True)
    assert fact.advice.endswith("No module named mrsweep")
    assert time.monotonic() - began < 60
