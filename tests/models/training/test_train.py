"""The entry: trains on real files, resumes bit by bit, stops when asked, and says why it fails."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data.errors import BadInput
from data.volumes.loading import SliceDataset, stack_samples
from data.volumes.sampling import Pick
from data.volumes.splits import read_folder
from models.build import build_model
from models.config import read_config
from models.losses import l1_loss
from models.training import train
from models.training.errors import Diverged
from models.training.feed import draw_one
from models.training.progress import Progress
from tests.models.local_run import LocalRun

ROOT = Path(__file__).parents[3]
MEASURED = {f"val/{name}" for name in ("loss", "mse", "nmse", "nrmse", "psnr", "ssim")}


def best_weights(run: LocalRun) -> dict[str, torch.Tensor]:
    return torch.load(run.checkpoint_dir / "best.pt", weights_only=True)["model"]


def last_weights(run: LocalRun) -> dict[str, torch.Tensor]:
    return torch.load(max(run.checkpoint_dir.glob("state-*.pt")), weights_only=True)["model"]


def assert_equal_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def whole(config, tmp_path) -> tuple[LocalRun, dict[str, float]]:
    """Four epochs without an interruption."""
    run = LocalRun(tmp_path / "whole")
    return run, train(config, run)


def test_training_reports_every_epoch_and_returns_test_metrics_with_their_number(whole):
    run, result = whole
    assert list(run.reports) == [1, 2, 3, 4]
    assert set(run.reports[1]) == {*MEASURED, "train/loss", "val/n", "val/sampled_fraction", "val/degenerate", "lr"}
    assert [report["lr"] for report in run.reports.values()] == pytest.approx([3e-3, 3e-3, 1.5e-3, 1.5e-3])
    assert (result["test/n"], result["test/slice_n"], run.reports[1]["val/n"], result["epochs"]) == (2, 6, 1, 4)
    assert result["test/ssim_worst"] <= result["test/ssim"] <= result["test/ssim_worst"] + 2 * result["test/ssim_std"] + 1e-9
    assert result["val/ssim"] == max(report["val/ssim"] for report in run.reports.values()) == run.reports[result["best_epoch"]]["val/ssim"]
    assert 0 < result["test/sampled_fraction"] < 1
    json.dumps(result, allow_nan=False)


def test_pictures_and_curves_are_kept(whole):
    run, _ = whole
    assert set(run.images) == {(name, epoch) for name in ("reconstruction", "truth", "error", "mask") for epoch in (3, 4)}
    assert run.images["truth", 3].shape == (33, 31)
    assert {image.dtype for image in run.images.values()} == {np.dtype(np.uint8)}
    assert run.images["truth", 3].max() > 200
    board = EventAccumulator(str(run.dir / "tb")).Reload()
    assert [event.step for event in board.Scalars("val/ssim")] == [1, 2, 3, 4]
    assert board.Tags()["images"] == ["reconstruction", "truth", "error", "mask"]


def test_best_checkpoint_rebuilds_the_network_from_its_own_config(whole):
    run, _ = whole
    content = torch.load(run.checkpoint_dir / "best.pt", weights_only=True)
    model = build_model(read_config(content["config"]).model)
    model.load_state_dict(content["model"])
    assert content["metrics"]["test/n"] == 2


def test_varnet_learns_the_same_when_activations_are_recomputed(config, tmp_path):
    model = {"kind": "e2e_varnet", "cascades": 2, "chans": 2, "pools": 2, "sens_chans": 2, "sens_pools": 2}
    reports = []
    for recompute in (False, True):
        run = LocalRun(tmp_path / str(recompute))
        train({**config, "model": model, "train": {**config["train"], "epochs": 2, "recompute": recompute}}, run)
        reports.append(run.reports)
    for plain, recomputed in zip(reports[0].values(), reports[1].values(), strict=True):
        assert recomputed == pytest.approx(plain, rel=1e-3)  # gradients add up in another order
    assert reports[0][2]["train/loss"] != reports[0][1]["train/loss"]


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler")  # torch does not count the steps before the stop
@pytest.mark.parametrize(
    ("polls", "place"),
    [
        # an epoch asks 6 times, after each of 3 batches and of 3 validation slices; after 24 comes the test
        (0, "epoch 1 after 1 batches"),
        (1, "epoch 1 after 2 batches"),
        (2, "epoch 1 after 3 batches"),
        (4, "epoch 1 after 3 batches"),
        (7, "epoch 2 after 2 batches"),
        (18, "epoch 4 after 1 batches"),
        (23, "epoch 4 after 3 batches"),
        (26, "epoch 5 after 0 batches"),
    ],
)
def test_stopped_run_resumes_bit_by_bit_from_any_step(config, tmp_path, whole, polls, place):
    first = LocalRun(tmp_path / "first", polls=polls)
    with pytest.raises(LocalRun.Interrupted):
        train(config, first)
    second = LocalRun(tmp_path / "second", resume_from=first.checkpoint_dir)
    result = train(config, second)
    assert place in second.logged[0]
    assert {**first.reports, **second.reports} == whole[0].reports
    assert result == whole[1]
    assert_equal_bits(best_weights(second), best_weights(whole[0]))


def test_killed_run_repeats_what_the_checkpoint_has_not_and_ends_alike(config, tmp_path, whole):
    class Killed(LocalRun):
        def report(self, step, metrics):
            super().report(step, metrics)
            if step == 3:
                raise KeyboardInterrupt

    first = Killed(tmp_path / "first")
    with pytest.raises(KeyboardInterrupt):
        train(config, first)
    second = LocalRun(tmp_path / "second", resume_from=first.checkpoint_dir)
    assert train(config, second) == whole[1]
    assert sorted(second.reports) == [3, 4]
    assert second.reports[3] == first.reports[3] == whole[0].reports[3]
    assert_equal_bits(last_weights(second), last_weights(whole[0]))


def test_torn_newest_checkpoint_costs_one_epoch_not_the_run(config, tmp_path, whole):
    first = LocalRun(tmp_path / "first", polls=14)
    with pytest.raises(LocalRun.Interrupted):
        train(config, first)
    newest = max(first.checkpoint_dir.glob("state-*.pt"))
    newest.write_bytes(newest.read_bytes()[:-50])
    second = LocalRun(tmp_path / "second", resume_from=first.checkpoint_dir)
    assert train(config, second) == whole[1]
    assert "torn or damaged" in second.logged[0]


def test_equal_configs_give_equal_bits_in_another_process(config, tmp_path, whole):
    code = (
        "import json, sys, pathlib; from models.training import train; from tests.models.local_run import LocalRun;"
        "config, folder = json.loads(sys.argv[1]), pathlib.Path(sys.argv[2]); print(json.dumps(train(config, LocalRun(folder))))"
    )
    arguments = [sys.executable, "-c", code, json.dumps(config), str(tmp_path / "other")]
    other = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(other.stdout.splitlines()[-1]) == whole[1]


SHOWN = {"images_every": 1, "preview": True, "show_volumes": ["brain_test_0001"], "export": True, "keep_checkpoints": 1}


@pytest.mark.parametrize(
    "means", [{"num_workers": 2}, {"checkpoint_min": 1e-9}, {"images_every": 0}, SHOWN], ids=lambda means: next(iter(means))
)
def test_means_do_not_change_the_end(config, tmp_path, whole, means):
    config["train"].update(means)
    assert train(config, LocalRun(tmp_path / "other")) == whole[1]


@pytest.mark.parametrize("micro_batch", [1, 3, 50])
def test_micro_batches_add_up_to_the_batch(config, tmp_path, micro_batch):
    config["model"]["drop_prob"] = 0.0
    config["train"]["epochs"] = 1
    runs = [LocalRun(tmp_path / "whole"), LocalRun(tmp_path / "parts")]
    train(config, runs[0])
    config["train"]["micro_batch"] = micro_batch
    train(config, runs[1])
    for name, weights in last_weights(runs[0]).items():
        torch.testing.assert_close(last_weights(runs[1])[name], weights, rtol=1e-3, atol=1e-5)


def test_gradient_of_a_step_is_that_of_the_mean_loss_of_its_batch(config, tmp_path):
    config["model"]["drop_prob"] = 0.0
    config["train"].update(epochs=1, batch=9, micro_batch=2)
    run = LocalRun(tmp_path)
    train(config, run)
    moments = torch.load(max(run.checkpoint_dir.glob("state-*.pt")), weights_only=True)["optimiser"]["state"]

    typed = read_config(config)
    torch.manual_seed(typed.seed)
    model = build_model(typed.model)
    slices = SliceDataset(read_folder(Path(typed.data.root) / "train"), partial(draw_one, (typed.mask,)), seed=typed.seed)
    sample = stack_samples([slices[Pick(1, item)] for item in range(9)])
    l1_loss(model(sample), sample).mean().backward()
    for number, weights in enumerate(model.parameters()):
        # after one step the first moment of Adam is (1 - 0.9) times the gradient
        torch.testing.assert_close(moments[number]["exp_avg"] * 10, weights.grad, rtol=1e-3, atol=1e-5)


def test_test_metrics_are_those_of_the_best_epoch_also_after_a_stop(config, tmp_path, monkeypatch):
    judge = Progress.judge
    monkeypatch.setattr(Progress, "judge", lambda progress, ssim, **told: judge(progress, -abs(progress.epoch - 2), **told))  # 2 is best
    whole = LocalRun(tmp_path / "whole")
    result = train(config, whole)
    assert result["best_epoch"] == 2
    assert not torch.equal(best_weights(whole)["unet.decoder.out.weight"], last_weights(whole)["unet.decoder.out.weight"])

    first = LocalRun(tmp_path / "first", polls=14)  # in epoch 3
    with pytest.raises(LocalRun.Interrupted):
        train(config, first)
    assert train(config, LocalRun(tmp_path / "second", resume_from=first.checkpoint_dir)) == result
    config["train"]["epochs"] = 2
    assert train(config, LocalRun(tmp_path / "short"))["test/ssim"] == result["test/ssim"]


def test_more_training_makes_better_images(config, tmp_path):
    config["train"].update(epochs=12, batch=1)
    config["model"].update(chans=4, drop_prob=0.0)
    config["loss"] = {"kind": "ssim"}
    run = LocalRun(tmp_path)
    train(config, run)
    assert run.reports[12]["val/ssim"] > run.reports[1]["val/ssim"] + 0.05


@pytest.fixture
def own_brains(config, brains, tmp_path) -> Path:
    """A copy of the data that a test may damage, with the config pointing to it."""
    config["data"]["root"] = str(shutil.copytree(brains, tmp_path / "data"))
    return tmp_path / "data"


def multiply_kspace(path: Path, factor: float) -> None:
    with h5py.File(path, "a") as file:
        file["kspace"][...] = file["kspace"][()] * np.float32(factor)


@pytest.mark.parametrize(
    ("file", "place"), [("train/brain_train_0001.h5", r"epoch 1, batch [123]"), ("val/brain_val_0000.h5", r"epoch 1, validation")]
)
def test_divergence_stops_the_run_with_its_cause(config, own_brains, tmp_path, file, place):
    multiply_kspace(own_brains / file, 1e30)  # finite, but its square is not
    run = LocalRun(tmp_path / "run")
    with pytest.raises(Diverged, match=rf"{place}: the loss is (nan|inf)\. Lower optim.lr \(0.003\)") as caught:
        train(config, run)
    assert caught.value.mrsweep_cause == "diverged"
    assert run.reports == {}
    assert not (run.checkpoint_dir / "best.pt").exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_data_is_told_in_one_line_also_from_a_reading_process(config, own_brains, tmp_path, workers):
    multiply_kspace(own_brains / "train" / "brain_train_0002.h5", np.nan)
    config["train"]["num_workers"] = workers
    with pytest.raises(BadInput, match=r"^\S*brain_train_0002.h5: slice \d holds NaN[^\n]*\Z") as caught:
        train(config, LocalRun(tmp_path / "run"))
    assert caught.value.mrsweep_cause == "bad_input"


def test_missing_data_is_told_before_training_begins(config, tmp_path):
    config["data"]["root"] = str(tmp_path / "none")
    with pytest.raises(BadInput, match=r"none/train: there is no such folder. Check data.root"):
        train(config, LocalRun(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_gpu_that_is_not_there_is_told(config, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config["train"]["device"] = "cuda"
    with pytest.raises(BadInput, match=r"train.device is 'cuda', and torch finds no GPU"):
        train(config, LocalRun(tmp_path))


@pytest.mark.parametrize("device", ["cpu", "cuda"] if torch.cuda.is_available() else ["auto"])
def test_every_device_of_this_machine_gives_nearly_the_same(config, tmp_path, device):
    config["model"]["drop_prob"] = 0.0
    on_cpu = train(config, LocalRun(tmp_path / "cpu"))
    config["train"]["device"] = device
    assert train(config, LocalRun(tmp_path / device))["test/ssim"] == pytest.approx(on_cpu["test/ssim"], abs=0.02)


@pytest.mark.parametrize(
    ("section", "key", "value", "named"),
    [
        ("optim", "lr", 1e-4, r"optim.lr is 0.003 there, 0.0001 here\."),
        ("optim", "schedule", {"kind": "step", "step_epochs": 3}, r"step_epochs is 2 there, 3 here; .*gamma is 0.5 there, 0.1 here"),
        ("optim", "schedule", {"kind": "constant"}, r"kind is step there, constant here; .*step_epochs is 2 there, none here"),
        ("optim", "lr_of", {"unet": 0.1}, r"optim.lr_of.unet is none there, 0.1 here"),
        ("train", "batch", 3, r"train.batch is 4 there, 3 here"),
        ("data", "train", "test", r"data.train is train there, test here; data.test is test there, train here"),
    ],
)
def test_checkpoint_of_another_config_is_refused(config, tmp_path, whole, section, key, value, named):
    config[section][key] = value
    if section == "data":
        config["data"]["test"] = "train"
    with pytest.raises(BadInput, match=rf"checkpoint: is of another config: .*{named}.* Choose another folder \(--out\)"):
        train(config, LocalRun(tmp_path / "other", resume_from=whole[0].checkpoint_dir))


def test_run_goes_on_where_the_data_have_moved(config, tmp_path, whole):
    config["data"]["root"] = str(shutil.copytree(config["data"]["root"], tmp_path / "moved"))
    assert train(config, LocalRun(tmp_path / "other", resume_from=whole[0].checkpoint_dir)) == whole[1]


def test_empty_checkpoint_folder_means_a_new_beginning(config, tmp_path, whole):
    run = LocalRun(tmp_path / "again", resume_from=tmp_path)
    assert train(config, run) == whole[1]
    assert "holds no usable checkpoint; training begins anew" in run.logged[0]


def test_training_leaves_the_settings_of_torch_as_they_were(config, tmp_path):
    torch.set_num_threads(2)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    config["train"]["epochs"] = 1
    train(config, LocalRun(tmp_path))
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (2, False)
    assert torch.equal(torch.get_rng_state(), before)
