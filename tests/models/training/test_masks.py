"""Training of SPIRiT with learned masks: what is reported, shown and kept of them, and what is refused."""

from __future__ import annotations

import copy
import gc
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.errors import BadInput
from models.training import train
from tests.data.volumes.written import write_arrays
from tests.models.local_run import LocalRun
from tests.models.training.test_train import assert_equal_bits, best_weights, last_weights

SIZE = (12, 15)


@pytest.fixture(scope="session")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_arrays(tmp_path_factory.mktemp("it's arrays"), coils=2, size=SIZE)


@pytest.fixture
def learning(arrays: Path) -> dict[str, Any]:
    """A config of its own for each test: 9 slices in batches of 4 + 4 + 1, 3 epochs, noise that falls."""
    return copy.deepcopy(
        {
            "model": {"kind": "spirit", "coils": 2, "blocks": 2, "kernel": 3},
            "data": {"layout": "arrays", "root": str(arrays)},
            "mask": {"kind": "learned", "tile": [4, 4], "acceleration": 4, "noise_std": 0.2, "noise_end": 0.1},
            "loss": {"kind": "kspace_nmse"},
            "optim": {"kind": "adam", "lr": 1e-2, "lr_of": {"sampling": 0.5}, "schedule": {"kind": "constant"}},
            "train": {"epochs": 3, "batch": 4, "num_workers": 0, "threads": 1, "device": "cpu", "images_every": 3},
            "seed": 7,
        }
    )


def test_every_epoch_reports_what_the_mask_samples_and_how_it_changes(learning, tmp_path):
    run = LocalRun(tmp_path / "run")
    result = train(learning, run)
    held = np.load(run.dir / "masks.npz")
    assert held["epoch"].tolist() == [0, 1, 2, 3]
    assert held["mask"].sum(axis=(1, 2)).tolist() == [45] * 4  # a quarter of 12 x 15
    for epoch in (1, 2, 3):
        assert run.reports[epoch]["val/sampled_fraction"] == 0.25
        assert run.reports[epoch]["mask/changed"] == (held["mask"][epoch] != held["mask"][epoch - 1]).sum()
        assert np.array_equal(run.images["learned_mask", epoch] > 0, held["mask"][epoch])
    assert any(run.reports[epoch]["mask/changed"] > 0 for epoch in (1, 2, 3))
    assert run.reports[1]["mask/logit_change"] > 0.1
    assert result["test/sampled_fraction"] == 0.25
    assert result["test/degenerate"] == 0
    assert 0 < result["test/loss"] < 1
    last = last_weights(run)["sampling.logits"]
    assert np.array_equal(held["logits"], last.numpy())


def test_pictures_of_slices_show_the_mask_that_was_learned_and_what_it_left(learning, tmp_path):
    run = LocalRun(tmp_path / "run")
    train(learning, run)
    assert np.array_equal(run.images["mask", 3], run.images["learned_mask", 3])


def test_without_pictures_the_array_is_still_kept(learning, tmp_path):
    learning["train"]["images_every"] = 0
    run = LocalRun(tmp_path / "run")
    train(learning, run)
    assert run.images == {}
    assert (run.dir / "masks.npz").is_file()


def test_fixed_masks_leave_no_history(learning, tmp_path):
    learning["mask"] = {"kind": "caipirinha", "acceleration": 4}
    learning["optim"]["lr_of"] = {}
    run = LocalRun(tmp_path / "run")
    result = train(learning, run)
    assert not (run.dir / "masks.npz").exists()
    assert "mask/changed" not in run.reports[1]
    assert result["test/sampled_fraction"] == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("polls", [2, 9, 15])  # in the first epoch, the second, and the test
@pytest.mark.parametrize("rounding", ["straight_through", "bernoulli"])
def test_masks_resume_bit_by_bit_with_their_whole_history(learning, tmp_path, polls, rounding):
    learning["mask"]["rounding"] = rounding
    whole = LocalRun(tmp_path / "whole")
    result = train(learning, whole)
    first = LocalRun(tmp_path / "first", polls=polls)
    with pytest.raises(LocalRun.Interrupted):
        train(learning, first)
    second = LocalRun(tmp_path / "second", resume_from=first.checkpoint_dir)
    assert train(learning, second) == result
    assert_equal_bits(best_weights(second), best_weights(whole))
    before, after = (np.load(run.dir / "masks.npz") for run in (whole, second))
    assert all(np.array_equal(before[key], after[key]) for key in ("epoch", "mask", "logits"))


def test_learned_mask_is_evaluated_from_its_checkpoint_with_the_same_result(learning, tmp_path):
    trained = LocalRun(tmp_path / "trained")
    result = train(learning, trained)
    asked = {key: learning[key] for key in ("data", "mask", "loss")} | {"task": "predict", "train": copy.deepcopy(learning["train"])}
    asked["train"] |= {"init_from": str(trained.checkpoint_dir)}
    found = train(asked, LocalRun(tmp_path / "measured"))
    assert found["test/loss"] == pytest.approx(result["test/loss"], rel=1e-6)
    assert found["test/sampled_fraction"] == 0.25
    asked["mask"] = {"kind": "uniform", "acceleration": 4}
    with pytest.raises(BadInput, match="A learned mask is measured as it was learned"):
        train(asked, LocalRun(tmp_path / "other"))


def test_exported_program_learns_nothing_more_and_gives_the_same_image(learning, tmp_path):
    learning["train"]["export"] = True
    run = LocalRun(tmp_path / "run")
    train(learning, run)
    assert any("best.pt2 takes" in line for line in run.logged), run.logged


WRONG = [
    ({"tile": [12, 14]}, r"mask.tile is \(12, 14\), k-space is \(12, 15\)"),
    ({"acceleration": 8, "calibration": "column", "center_fraction": 0.125}, r"centre of 24 points .* more than 180 points / acc"),
]


@pytest.mark.parametrize(("keys", "message"), WRONG)
def test_mask_that_does_not_fit_kspace_is_refused_before_training(learning, tmp_path, keys, message):
    learning["mask"] = {**learning["mask"], **keys}
    run = LocalRun(tmp_path / "run")
    with pytest.raises(BadInput, match=message):
        train(learning, run)
    assert run.logged == []


def test_other_number_of_coils_is_refused_with_the_file(learning, tmp_path):
    learning["model"]["coils"] = 8
    with pytest.raises(BadInput, match=r"train.npy: has 2 coils, model.coils is 8"):
        train(learning, LocalRun(tmp_path / "run"))
    learning["data"]["root"] = str(write_arrays(tmp_path / "of one coil", coils=1))
    with pytest.raises(BadInput, match=r"train.npy: has 1 coil, model.coils is 8"):
        train(learning, LocalRun(tmp_path / "another run"))


def test_masks_are_learned_with_spirit_only_and_have_one_budget(learning, tmp_path):
    with pytest.raises(BadInput, match=r"mask.kind is 'learned'; it must be another one for this model.kind"):
        train({**learning, "model": {"kind": "unet"}}, LocalRun(tmp_path / "run"))
    with pytest.raises(BadInput, match="train_mask is 'set'; it must be left out for a learned mask"):
        train({**learning, "train_mask": {}}, LocalRun(tmp_path / "run"))


def test_memory_does_not_grow_with_the_steps(learning, tmp_path):
    """Tensors that are alive at the end of each epoch of 9 steps: its mask is all that an epoch adds."""
    learning["train"] |= {"epochs": 6, "batch": 1, "images_every": 0}
    counts: list[int] = []

    class Counting(LocalRun):
        def report(self, step, metrics):
            super().report(step, metrics)
            gc.collect()
            counts.append(sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects()))

    train(learning, Counting(tmp_path / "run"))
    assert max(later - earlier for earlier, later in pairwise(counts[1:])) <= 1
