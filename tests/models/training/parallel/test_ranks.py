"""Several processes train as one would: the same curves, one checkpoint, the same after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from models.training import train
from models.training.parallel.ranks import TorchRanks
from tests.data.volumes.written import write_knees
from tests.models.local_run import LocalRun
from tests.models.training.parallel.forked import together, train_together
from tests.models.training.test_train import assert_equal_bits, best_weights


@pytest.fixture(scope="module")
def knees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_knees(tmp_path_factory.mktemp("knees"), {"pd": 2, "fs": 1})


@pytest.fixture
def two_tasks(config, knees) -> dict[str, Any]:
    """Batches of 3 + 1 slices of one task and of 2 of the other: of two processes one has 2 + 1, 1 + 0 and 1 + 1 of them."""
    config["model"] = {"kind": "mtl_varnet", "blocks": "IV", "chans": 2, "pools": 2}
    config["data"] = {"layout": "knee", "root": str(knees), "datasets": ["pd", "fs"], "crop": [20, 20], "skip_slices": 1}
    config["weighting"] = {"kind": "uncertainty"}
    config["optim"] = {"kind": "adamw", "lr": 1e-3, "schedule": {"kind": "cosine", "epochs": 2}}
    config["loss"] = {"kind": "complex_l1"}
    config["train"].update(epochs=2, batch=3, micro_batch=1, ema_decay=0.9, clip_norm=1.0, images_every=0)
    return config


@pytest.fixture
def alone(two_tasks, tmp_path) -> tuple[LocalRun, dict[str, float]]:
    """What a single process makes of it."""
    run = LocalRun(tmp_path / "alone")
    return run, train(two_tasks, run)


def test_several_processes_train_and_measure_like_one(two_tasks, tmp_path, alone):
    run, result = alone
    two_tasks["train"]["checkpoint_min"] = 1e-9  # after every step, by the first process
    first, *others = train_together(two_tasks, tmp_path / "three", count=3)
    assert first.result == pytest.approx(result, rel=1e-5)
    assert list(first.run.reports) == [1, 2]
    for epoch, report in first.run.reports.items():
        assert report == pytest.approx(run.reports[epoch], rel=1e-5), epoch
    for name, weights in best_weights(first.run).items():
        torch.testing.assert_close(weights, best_weights(run)[name], rtol=1e-4, atol=1e-5)
    assert [(other.result, other.run.reports, other.run.dir.exists()) for other in others] == [({}, {}, False)] * 2


def test_one_process_goes_on_where_two_have_stopped(two_tasks, tmp_path, alone):
    stopped = train_together(two_tasks, tmp_path / "two", polls=1)[0]
    again = LocalRun(tmp_path / "again", resume_from=stopped.run.checkpoint_dir)
    assert train(two_tasks, again) == pytest.approx(alone[1], rel=1e-5)


def test_stopped_processes_leave_one_checkpoint_and_go_on_bit_by_bit(two_tasks, tmp_path):
    two_tasks["model"]["drop_prob"] = 0.2
    whole = train_together(two_tasks, tmp_path / "whole")[0]
    for polls, place in ((1, "epoch 1 after 2 batches"), (4, "epoch 1 after 3 batches")):  # in training, in validation
        stopped = train_together(two_tasks, tmp_path / f"first {polls}", polls=polls)[0]
        assert stopped.result is None
        assert len(list(stopped.run.checkpoint_dir.iterdir())) == 1
        second = train_together(two_tasks, tmp_path / f"second {polls}", resume_from=stopped.run.checkpoint_dir)[0]
        assert place in second.run.logged[0]
        assert second.result == whole.result
        assert {**stopped.run.reports, **second.run.reports} == whole.run.reports
        assert_equal_bits(best_weights(second.run), best_weights(whole.run))


def test_gradients_and_losses_are_summed_and_what_nobody_used_has_none(tmp_path):
    def work(ranks: TorchRanks) -> tuple[float, list[Any]]:
        rank = ranks.share.rank
        weights = [torch.nn.Parameter(torch.zeros(2, dtype=dtype)) for dtype in (torch.float32, torch.float64, torch.float32)]
        weights[0].grad = torch.tensor([1.0, 10.0]) * (rank + 1)
        if rank == 1:
            weights[1].grad = torch.tensor([5.0, 7.0], dtype=torch.float64)
        loss = ranks.add_up(weights, torch.tensor(0.5 + rank))
        return loss, [(each.grad.dtype, each.grad.tolist()) if each.grad is not None else None for each in weights]

    expected = (2.0, [(torch.float32, [3.0, 30.0]), (torch.float64, [5.0, 7.0]), None])
    assert together(work, tmp_path) == [expected, expected]


def test_other_processes_drop_by_numbers_of_their_own_that_a_batch_decides(tmp_path):
    def work(ranks: TorchRanks) -> list[list[float]]:
        torch.manual_seed(5)
        drawn = []
        for batch in (1, 2, 1):
            ranks.begin_batch(7, 1, batch)
            drawn.append(torch.rand(3).tolist())
        return drawn

    torch.manual_seed(5)
    alone = [torch.rand(3).tolist() for _ in range(3)]
    first, second, third = together(work, tmp_path, count=3)
    assert first == alone
    for drawn in (second, third):
        assert drawn[0] == drawn[2] != drawn[1]
    assert second[0] != third[0]
