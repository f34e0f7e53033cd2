"""What training can do beyond the plain loop: running means, precision, freezing, early ends, transfer, several tasks, cine series."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from data.errors import BadInput
from models.training import loop, train
from models.training.errors import Degenerate
from models.training.progress import Progress
from models.training_config import WEIGHTINGS
from tests.data.volumes.written import write_cine, write_knees
from tests.models.local_run import LocalRun
from tests.models.training.test_train import assert_equal_bits, best_weights, last_weights

KNEE = {"kind": "mtl_varnet", "blocks": "IV", "chans": 2, "pools": 2}


@pytest.fixture(scope="session")
def knees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_knees(tmp_path_factory.mktemp("knees"), {"pd": 2, "fs": 1})


@pytest.fixture(scope="session")
def hearts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cine(tmp_path_factory.mktemp("hearts"))


@pytest.fixture
def two_tasks(config, knees) -> dict[str, Any]:
    """A config of every new kind of state: weights of tasks that are learned, a running mean, a schedule with warm-up."""
    config["model"] = {**KNEE, "drop_prob": 0.2}
    config["data"] = {"layout": "knee", "root": str(knees), "datasets": ["pd", "fs"], "crop": [20, 20], "skip_slices": 1}
    config["weighting"] = {"kind": "uncertainty"}
    config["optim"] = {"kind": "adamw", "lr": 3e-3, "schedule": {"kind": "cosine", "epochs": 3}, "warmup_epochs": 1}
    config["loss"] = {"kind": "complex_l1"}
    config["train"].update(epochs=3, batch=2, micro_batch=1, ema_decay=0.9, clip_norm=1.0, patience=3, images_every=0)
    return config


def stop_and_go(config: dict[str, Any], folder: Path, polls: int) -> tuple[LocalRun, LocalRun, dict[str, float]]:
    first = LocalRun(folder / "first", polls=polls)
    with pytest.raises(LocalRun.Interrupted):
        train(config, first)
    second = LocalRun(folder / "second", resume_from=first.checkpoint_dir)
    return first, second, train(config, second)


@pytest.mark.parametrize("polls", [0, 4, 9, 16])
@pytest.mark.parametrize("weighting", ["uncertainty", "dwa"])
def test_all_new_state_resumes_bit_by_bit(two_tasks, tmp_path, polls, weighting):
    two_tasks["weighting"]["kind"] = weighting
    whole = LocalRun(tmp_path / "whole")
    result = train(two_tasks, whole)
    first, second, resumed = stop_and_go(two_tasks, tmp_path, polls)
    assert resumed == result
    assert {**first.reports, **second.reports} == whole.reports
    assert_equal_bits(best_weights(second), best_weights(whole))
    states = [torch.load(max(run.checkpoint_dir.glob("state-*.pt")), weights_only=True) for run in (whole, second)]
    for part in ("weighting", "mean"):
        assert str(states[0][part]) == str(states[1][part])


def test_tasks_are_reported_each_and_together(two_tasks, tmp_path):
    two_tasks["train"]["images_every"] = 3
    run = LocalRun(tmp_path)
    result = train(two_tasks, run)
    report = run.reports[3]
    assert report["val/ssim"] == pytest.approx((report["val/ssim/pd"] + report["val/ssim/fs"]) / 2)
    # 4 slices of pd, 2 of fs
    assert report["train/loss"] == pytest.approx((4 * report["train/loss/pd"] + 2 * report["train/loss/fs"]) / 6)
    assert report["weight/pd"] != report["weight/fs"]
    assert (result["test/n"], result["test/n/pd"], result["test/slice_n/fs"]) == (2, 1, 2)
    assert (result["train/slices"], result["train/slices/pd"], result["train/slices/fs"]) == (6, 4, 2)
    assert {name for name, _ in run.images} == {
        f"{name}/{task}" for name in ("reconstruction", "truth", "error", "mask") for task in ("pd", "fs")
    }


def test_logged_losses_do_not_know_the_weights(two_tasks, tmp_path):
    two_tasks["optim"]["lr"] = 1e-12
    two_tasks["model"]["drop_prob"] = 0.0
    two_tasks["train"]["epochs"] = 1
    reports = {}
    for kind in WEIGHTINGS:
        run = LocalRun(tmp_path / kind)
        train({**two_tasks, "weighting": {"kind": kind}}, run)
        reports[kind] = {name: value for name, value in run.reports[1].items() if "loss" in name}
        assert ("weight/pd" in run.reports[1]) == (kind != "none")
    assert all(report == pytest.approx(reports["none"], rel=1e-4) for report in reports.values())


@pytest.mark.parametrize("kind", ["unet3d", "unet2d1d"])
@pytest.mark.parametrize("loss", ["ssim", "bce"])
def test_series_are_trained_and_measured_with_the_same_loop(config, hearts, tmp_path, kind, loss):
    config["model"] = {"kind": kind, "chans": 2, "pools": 2, "regularisation": {"kind": "l2", "l2": 1e-4}}
    config["data"] = {"layout": "cine", "root": str(hearts)}
    del config["mask"]
    config["loss"] = {"kind": loss}
    config["train"].update(epochs=2, batch=2)
    run = LocalRun(tmp_path)
    result = train(config, run)
    assert (result["test/n"], result["test/slice_n"]) == (2, 8)
    assert "test/sampled_fraction" not in result
    assert {name for name, _ in run.images} == {"reconstruction", "truth", "error"}


def test_running_mean_is_what_is_validated_and_kept(config, tmp_path):
    config["train"].update(epochs=2, ema_decay=0.5)
    run = LocalRun(tmp_path)
    train(config, run)
    state = torch.load(max(run.checkpoint_dir.glob("state-*.pt")), weights_only=True)
    # 2 epochs of 3 steps: decays 2/11, 3/12, 4/13, 5/14, 6/15, 7/16, all below 0.5
    assert state["mean"]["steps"] == 6
    name = "unet.decoder.out.weight"
    assert not torch.equal(state["mean"]["model"][name], state["model"][name])
    if state["progress"]["best_epoch"] == 2:
        assert torch.equal(best_weights(run)[name], state["mean"]["model"][name])


def test_half_precision_trains_to_nearly_the_same_and_leaves_weights_whole(config, tmp_path):
    config["model"]["drop_prob"] = 0.0
    results = []
    for precision in ("float32", "bf16"):
        config["train"]["precision"] = precision
        run = LocalRun(tmp_path / precision)
        results.append(train(config, run))
        assert {values.dtype for values in best_weights(run).values()} == {torch.float32}
    assert results[1]["test/ssim"] == pytest.approx(results[0]["test/ssim"], abs=0.02)
    assert results[1]["test/loss"] != results[0]["test/loss"]
    config["train"]["precision"] = "fp16"
    with pytest.raises(BadInput, match=r"train.precision is 'fp16', but training runs on cpu.*Choose bf16"):
        train(config, LocalRun(tmp_path / "fp16"))


def test_unrolled_networks_train_in_half_precision_too(two_tasks, tmp_path):
    two_tasks["train"].update(precision="bf16", epochs=1)
    assert 0 < train(two_tasks, LocalRun(tmp_path))["test/ssim"] < 1


def test_channels_innermost_give_the_same_up_to_rounding(config, tmp_path):
    config["model"]["drop_prob"] = 0.0
    plain = train(config, LocalRun(tmp_path / "plain"))
    config["train"]["channels_last"] = True
    assert train(config, LocalRun(tmp_path / "last")) == pytest.approx(plain, rel=1e-2)


def test_gradients_are_shortened_to_the_wanted_length(config, tmp_path):
    config["optim"] = {"kind": "adam", "lr": 1e-3}
    config["train"].update(epochs=1, batch=9, clip_norm=1e-3)
    run = LocalRun(tmp_path)
    train(config, run)
    moments = torch.load(max(run.checkpoint_dir.glob("state-*.pt")), weights_only=True)["optimiser"]["state"]
    gradient = torch.cat([moment["exp_avg"].flatten() * 10 for moment in moments.values()])  # Adam: (1 - 0.9) times the gradient
    assert gradient.norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_frozen_weights_stay_and_the_others_learn(config, tmp_path):
    config["train"].update(epochs=1)
    runs = [LocalRun(tmp_path / "frozen"), LocalRun(tmp_path / "first")]
    train({**config, "train": {**config["train"], "freeze": ["unet.encoder"]}}, runs[0])
    train({**config, "optim": {**config["optim"], "lr": 1e-30}}, runs[1])
    for name, weights in last_weights(runs[0]).items():
        assert torch.equal(weights, last_weights(runs[1])[name]) == name.startswith("unet.encoder"), name


def test_training_ends_early_with_the_best_weights(config, tmp_path, monkeypatch):
    judge = Progress.judge
    monkeypatch.setattr(Progress, "judge", lambda progress, ssim, **told: judge(progress, -abs(progress.epoch - 2), **told))  # 2 is best
    config["train"].update(epochs=9, patience=2, images_every=0)
    run = LocalRun(tmp_path / "whole")
    result = train(config, run)
    assert (result["epochs"], result["best_epoch"], sorted(run.reports)) == (4, 2, [1, 2, 3, 4])
    assert "stopped after epoch 4: 2 in a row were no better (train.patience)" in run.logged
    assert stop_and_go(config, tmp_path, polls=21)[2] == result  # in epoch 4
    again = LocalRun(tmp_path / "again", resume_from=run.checkpoint_dir)
    assert train(config, again) == result
    assert again.reports == {}


def test_as_many_checkpoints_are_kept_as_wanted(config, tmp_path, monkeypatch):
    seen: list[int] = []
    save = loop.save_state

    def spy(folder, *arguments, **told):
        save(folder, *arguments, **told)
        seen.append(len(list(folder.glob("state-*.pt"))))

    monkeypatch.setattr(loop, "save_state", spy)
    config["train"]["keep_checkpoints"] = 3
    run = LocalRun(tmp_path)
    train(config, run)
    assert seen == [1, 2, 3, 3]
    assert len(list(run.checkpoint_dir.glob("state-*.pt"))) == 1


@pytest.fixture
def made(config, tmp_path) -> LocalRun:
    """A run whose best weights others start from."""
    run = LocalRun(tmp_path / "made")
    train({**config, "train": {**config["train"], "epochs": 1}}, run)
    return run


@pytest.mark.parametrize("named", ["file", "folder", "need"])
def test_training_starts_from_the_weights_of_a_checkpoint(config, tmp_path, made, named):
    run = LocalRun(tmp_path / "run")
    run.needs = {"weights": made.checkpoint_dir}
    paths = {"file": str(made.checkpoint_dir / "best.pt"), "folder": str(made.checkpoint_dir), "need": "weights"}
    config["optim"]["lr"] = 1e-30
    config["train"].update(epochs=1, init_from=paths[named], ema_decay=0.9)
    train(config, run)
    assert_equal_bits(best_weights(run), best_weights(made))
    assert run.logged[0].startswith("begins with the weights of epoch 1 of ")


def test_resumed_run_does_not_start_from_the_checkpoint_again(config, tmp_path, made):
    config["train"]["init_from"] = str(made.checkpoint_dir)
    whole = LocalRun(tmp_path / "whole")
    result = train(config, whole)
    _, second, resumed = stop_and_go(config, tmp_path, polls=8)
    assert resumed == result
    assert second.logged[0].startswith("resumed in epoch 2")


def test_checkpoint_that_cannot_be_used_is_told(config, tmp_path, made):
    def refused(path: Path) -> str:
        config["train"]["init_from"] = str(path)
        with pytest.raises(BadInput) as caught:
            train(config, LocalRun(tmp_path / "run"))
        return str(caught.value)

    assert "there is no such checkpoint. Check train.init_from" in refused(tmp_path / "none.pt")
    (tmp_path / "torn.pt").write_bytes((made.checkpoint_dir / "best.pt").read_bytes()[:-100])
    assert "torn or damaged" in refused(tmp_path / "torn.pt")
    state = max(made.checkpoint_dir.glob("state-*.pt"))
    assert "key 'epoch' is missing" in refused(state)
    config["model"]["chans"] = 3
    assert "is of another architecture: model.chans is 2 there, 3 here" in refused(made.checkpoint_dir)
    config["model"] = {"kind": "e2e_varnet"}
    assert "is of another architecture: model.kind is unet there, e2e_varnet here. Choose another" in refused(made.checkpoint_dir)


def test_result_that_cannot_be_is_reported_and_never_the_best(config, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "why_degenerate", lambda evaluation, mask: "a volume has SSIM 1")
    run = LocalRun(tmp_path)
    with pytest.raises(Degenerate, match=r"no epoch gave a result that can be believed"):
        train(config, run)
    assert [report["val/degenerate"] for report in run.reports.values()] == [1, 1, 1, 1]
    assert "epoch 1 is no candidate for the best: a volume has SSIM 1" in run.logged
    assert not (run.checkpoint_dir / "best.pt").exists()


def test_fully_sampled_kspace_is_what_the_kspace_loss_compares_with(two_tasks, tmp_path):
    two_tasks["loss"] = {"kind": "kspace_nmse"}
    two_tasks["train"]["epochs"] = 1
    run = LocalRun(tmp_path)
    train(two_tasks, run)
    assert 0 < run.reports[1]["val/loss"] < 1


def test_what_the_network_is_given_is_shown_before_training(config, tmp_path):
    config["train"].update(epochs=1, preview=True, images_every=0)
    run = LocalRun(tmp_path / "shown")
    shown = train(config, run)
    assert set(run.images) == {("given", 0), ("truth", 0), ("mask", 0)}
    assert any(line.startswith("what the network is given has val/ssim 0.") for line in run.logged)
    config["train"]["preview"] = False
    assert train(config, LocalRun(tmp_path / "plain")) == shown


def test_every_slice_of_chosen_volumes_is_shown(config, tmp_path):
    config["train"].update(epochs=1, images_every=0, show_volumes=["brain_test_0001"])
    run = LocalRun(tmp_path / "run")
    train(config, run)
    assert {step for name, step in run.images if name == "brain_test_0001/reconstruction"} == {0, 1, 2}
    assert {name.split("/")[0] for name, _ in run.images} == {"brain_test_0001"}
    config["train"]["show_volumes"] = ["brain_test_001"]
    with pytest.raises(BadInput, match=r"train.show_volumes: 'brain_test_001' is unknown. Did you mean brain_test_0001\?"):
        train(config, other := LocalRun(tmp_path / "other"))
    assert (other.logged, other.reports) == ([], {})  # before anything is trained


@pytest.mark.slow
def test_compiled_network_trains_to_nearly_the_same(config, tmp_path, monkeypatch):
    # without code generation, which takes minutes and is torch's own matter
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    config["model"]["drop_prob"] = 0.0
    config["train"]["epochs"] = 1
    plain = train(config, LocalRun(tmp_path / "plain"))
    config["train"]["compile"] = True
    compiled = LocalRun(tmp_path / "compiled")
    assert train(config, compiled)["test/ssim"] == pytest.approx(plain["test/ssim"], abs=1e-3)
    assert not [name for name in best_weights(compiled) if "_orig_mod" in name]
