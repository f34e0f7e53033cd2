"""torchrun in a process of its own: it starts the processes of a training and knows how they have ended."""

from __future__ import annotations

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from models.training import train
from models.training.parallel import launcher
from tests.models.local_run import LocalRun


def test_training_starts_its_processes_with_torchrun(config, tmp_path):
    config["model"]["drop_prob"] = 0.0
    config["train"].update(epochs=1, images_every=0)
    result = train(config, LocalRun(tmp_path / "alone"))
    run = LocalRun(tmp_path / "it's two")
    assert train({**config, "train": {**config["train"], "processes": 2}}, run) == pytest.approx(result, rel=1e-4)
    assert "as one of 2 processes" in run.logged[0]


@pytest.mark.parametrize(("code", "told"), [(-9, 137), (1, 1)])
def test_first_process_that_failed_decides_the_exit_code(monkeypatch, code, told):
    def fail(argv):
        assert argv[:3] == ["--standalone", "--nproc-per-node", "2"]
        raise ChildFailedError("x", {1: ProcessFailure(local_rank=1, pid=5, exitcode=code, error_file="none")})

    monkeypatch.setattr(launcher, "torchrun", fail)
    assert launcher.main(["a door", "2"]) == told
    monkeypatch.setattr(launcher, "torchrun", lambda argv: None)
    assert launcher.main(["a door", "2"]) == 0
