"""Whole runs of sequential sampling: from files to the learning curve, stopped and resumed, with wrong reconstructors."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from data.errors import BadInput
from models.sequential import train
from models.sequential.__main__ import EXAMPLE
from models.sequential.config import POLICY_KINDS
from models.training.checkpoint import BEST
from tests.models.local_run import LocalRun
from tests.models.sequential.toy import write_network, write_run, write_spirit


@pytest.mark.parametrize("kind", [kind for kind in POLICY_KINDS if kind != "dqn"])
def test_a_sampler_that_learns_nothing_is_measured_once(tmp_path, kind):
    run = LocalRun(tmp_path / "run")
    results = train(write_run(tmp_path, policy={"kind": kind}), run)
    assert list(run.reports) == [1]
    assert run.reports[1]["val/auc_nmse"] == results["val/auc_nmse"]
    assert results["test/slice_n"] == 3
    assert all(math.isfinite(results[f"test/{name}/{columns}"]) for name in ("nmse", "psnr", "ssim") for columns in (3, 4, 5))


def test_a_q_network_learns_and_its_best_weights_are_kept(tmp_path):
    run = LocalRun(tmp_path / "run")
    results = train(write_run(tmp_path), run)
    assert list(run.reports) == [1, 2, 3]
    # in each epoch 3 batches of 4, 4 and 1 episodes with 2 steps each: one update after each, as an update takes 4 transitions
    assert run.reports[3]["target_updates"] == 18 // 3
    assert results["val/auc_nmse"] == min(report["val/auc_nmse"] for report in run.reports.values())
    content = torch.load(run.checkpoint_dir / BEST, weights_only=True)
    assert content["epoch"] == results["best_epoch"]
    assert content["config"]["policy"]["kind"] == "dqn"
    with open(run.dir / "curve.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["columns"]) for row in rows] == [3, 4, 5]
    assert [float(row["nmse"]) for row in rows] == [results[f"test/nmse/{columns}"] for columns in (3, 4, 5)]


@pytest.mark.parametrize("polls", [1, 4, 6])
def test_a_run_resumes_anywhere_as_if_it_had_not_stopped(tmp_path, polls):
    config = write_run(tmp_path)
    whole = LocalRun(tmp_path / "whole")
    expected = train(config, whole)
    first = LocalRun(tmp_path / "first", polls=polls)  # an epoch asks 5 times: after 3 batches and 2 volumes of validation
    with pytest.raises(LocalRun.Interrupted):
        train(config, first)
    second = LocalRun(tmp_path / "second", resume_from=first.checkpoint_dir)
    assert train(config, second) == expected
    assert {**first.reports, **second.reports} == whole.reports
    assert f"resumed in epoch {1 + polls // 5} after" in "".join(second.logged)


def test_an_attempt_that_left_no_checkpoint_is_told_and_learning_begins_anew(tmp_path):
    config = write_run(tmp_path)
    config["train"]["epochs"] = 1
    (tmp_path / "empty").mkdir()
    run = LocalRun(tmp_path / "run", resume_from=tmp_path / "empty")
    train(config, run)
    assert f"{tmp_path / 'empty'} holds no usable checkpoint; learning begins anew" in run.logged
    assert list(run.reports) == [1]


def test_a_checkpoint_of_other_science_is_refused(tmp_path):
    config = write_run(tmp_path)
    first = LocalRun(tmp_path / "first", polls=2)
    with pytest.raises(LocalRun.Interrupted):
        train(config, first)
    config["policy"] = {**config["policy"], "gamma": 0.5}
    with pytest.raises(BadInput, match=r"has policy = .*'gamma': 1.0.*, this run has .*'gamma': 0.5"):
        train(config, LocalRun(tmp_path / "second", resume_from=first.checkpoint_dir))


def test_the_reconstructor_may_be_a_need_and_may_have_learned_a_mask(tmp_path):
    config = write_run(tmp_path, policy={"kind": "nested", "mask": "spirit"}, reconstructor="spirit")
    run = LocalRun(tmp_path / "run")
    run.needs["spirit"] = write_spirit(tmp_path / "learned" / "best.pt", mask={"kind": "learned", "tile": [1, 27]}).parent
    results = train(config, run)
    assert all(math.isfinite(value) for value in results.values())
    assert "weights of epoch 4" in "".join(run.logged)


def test_a_q_network_learns_on_a_reconstructor_that_makes_one_image_of_several_coils(tmp_path):
    config = write_run(tmp_path)
    config["reconstructor"] = str(write_network(tmp_path / "unet" / "best.pt", model={"kind": "unet", "chans": 2, "pools": 1}))
    results = train(config, LocalRun(tmp_path / "run"))
    assert math.isfinite(results["val/auc_nmse"])


@pytest.mark.parametrize("kind", ["low_to_high", "dqn"])
def test_slices_without_any_signal_are_no_hindrance(tmp_path, kind):
    config = write_run(tmp_path)
    config["policy"] = config["policy"] if kind == "dqn" else {"kind": kind}
    unet = {"kind": "unet", "chans": 2, "pools": 1}  # it makes something even of nothing
    config["reconstructor"] = str(write_network(tmp_path / "unet" / "best.pt", model=unet))
    for split in ("train", "val", "test"):
        for path in (tmp_path / "data" / f"{split}.npy", tmp_path / "data" / f"{split}_target.npy"):
            values = np.load(path)
            values[0] = 0
            np.save(path, values)
    run = LocalRun(tmp_path / "run")
    results = train(config, run)
    assert results["test/slice_n"] == 2
    assert all(math.isfinite(value) for value in results.values())
    assert all(abs(report.get("train/reward", 0)) < 100 for report in run.reports.values())


def test_a_split_without_any_signal_is_told_with_its_file(tmp_path):
    config = write_run(tmp_path, policy={"kind": "low_to_high"})
    path = tmp_path / "data" / "test_target.npy"
    np.save(path, np.zeros_like(np.load(path)))
    with pytest.raises(BadInput, match=r"test_target.npy: all slices are zeros, so nothing can be measured. Make the file again"):
        train(config, LocalRun(tmp_path / "run"))


def test_the_reconstructor_stays_as_it_is(tmp_path):
    config = write_run(tmp_path)
    before = Path(config["reconstructor"]).read_bytes()
    train(config, LocalRun(tmp_path / "run"))
    assert Path(config["reconstructor"]).read_bytes() == before


def test_a_missing_or_misfitting_reconstructor_is_told(tmp_path):
    config = write_run(tmp_path, reconstructor="nowhere")
    with pytest.raises(BadInput, match=r"nowhere: there is no such checkpoint. Check reconstructor"):
        train(config, LocalRun(tmp_path / "run"))
    config["reconstructor"] = str(write_spirit(tmp_path / "other" / "best.pt", coils=3))
    with pytest.raises(BadInput, match=r"train.npy: has 2 coils, model.coils is 3"):
        train(config, LocalRun(tmp_path / "run"))


def test_shown_config_has_the_keys_of_a_run():
    assert all(f'"{key}"' in EXAMPLE for key in ("data", "reconstructor", "policy"))
