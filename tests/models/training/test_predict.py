"""Predictions of a run and of a checkpoint alone, and the network as a program of its own."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np
import pytest
import torch

from data.errors import BadInput
from models.build import build_model
from models.config import read_config
from models.quality import volume_quality
from models.training import train
from models.training.export import OnTensors, tensors_of
from models.training.feed import batches, open_feed
from tests.data.volumes.written import draw_knee, write_cine, write_knees
from tests.models.local_run import LocalRun


@pytest.fixture
def trained(config, tmp_path) -> tuple[LocalRun, dict[str, float]]:
    """A run that has kept its predictions."""
    config["train"]["epochs"] = 1
    run = LocalRun(tmp_path / "a run's id")
    return run, train({**config, "task": "train_and_predict"}, run)


def predict(config, init_from: Path | str, folder: Path, **train_keys) -> tuple[LocalRun, dict[str, float]]:
    run = LocalRun(folder)
    asked = {key: value for key, value in config.items() if key not in ("model", "optim")}
    means = {"num_workers": 0, "threads": 1, "device": "cpu", "init_from": str(init_from), **train_keys}
    return run, train({**asked, "task": "predict", "train": means}, run)


def test_predictions_hold_what_was_given_made_and_true_of_every_slice(trained):
    run, result = trained
    with h5py.File(run.dir / "predictions.h5") as file:
        assert file.attrs["run"] == "a run's id"
        assert set(file) == {"brain_test_0000", "brain_test_0001"}
        qualities = []
        for name, group in file.items():
            assert set(group) == {"input", "result", "truth", "slice"}
            assert {group[key].shape for key in ("input", "result", "truth")} == {(3, 33, 31)}
            assert (group.attrs["volume"], group.attrs["run"], list(group["slice"])) == (name, "a run's id", [0, 1, 2])
            qualities.append(volume_quality(*(torch.from_numpy(group[key][()]) for key in ("result", "truth"))))
            assert group.attrs["max"] == pytest.approx(group["truth"][()].max())
    assert np.mean([quality.ssim for quality in qualities]) == pytest.approx(result["test/ssim"], rel=1e-6)


def test_slices_of_predictions_and_pictures_are_counted_as_in_the_file(config, tmp_path):
    root = write_knees(tmp_path / "knees", {"pd": 1})
    config["data"] = {"layout": "knee", "root": str(root), "datasets": ["pd"], "crop": [20, 20], "skip_slices": 1}
    config["train"].update(epochs=1, images_every=0, show_volumes=["pd_02"])
    run = LocalRun(tmp_path / "run")
    train({**config, "task": "train_and_predict"}, run)
    stored = draw_knee(2)  # the third volume is the test's
    coils = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(stored["kspace"], axes=(2, 3)), norm="ortho"), axes=(2, 3))
    images = np.abs((coils * stored["esp_maps"].conj()).sum(axis=1))[:, 6:26, 3:23]  # 20 × 20 about (16, 13)
    with h5py.File(run.dir / "predictions.h5") as file:
        assert list(file["pd_02"]["slice"]) == [1, 2]
        np.testing.assert_allclose(file["pd_02"]["truth"][()], images[list(file["pd_02"]["slice"])], atol=1e-5)
    assert {step for name, step in run.images if name == "pd_02/truth"} == {1, 2}


def test_checkpoint_alone_predicts_the_same_with_the_network_of_its_own_config(config, tmp_path, trained):
    made, result = trained
    run, found = predict(config, made.checkpoint_dir, tmp_path / "predicting")
    assert {name: found[name] for name in found if name.startswith("test/")} == {
        name: result[name] for name in result if name.startswith("test/")
    }
    assert (found["best_epoch"], found["parameters"]) == (1, result["parameters"])
    with h5py.File(run.dir / "predictions.h5") as ours, h5py.File(made.dir / "predictions.h5") as theirs:
        for name in ours:
            np.testing.assert_array_equal(ours[name]["result"][()], theirs[name]["result"][()])
        assert ours.attrs["checkpoint"] == str(made.checkpoint_dir / "best.pt")
    assert not list(run.checkpoint_dir.glob("*.pt"))


def test_evaluation_that_needs_metrics_alone_writes_no_images(config, tmp_path, trained):
    made, result = trained
    run, found = predict(config, made.checkpoint_dir, tmp_path / "measuring", keep_predictions=False)
    assert {name: found[name] for name in found if name.startswith("test/")} == {
        name: result[name] for name in result if name.startswith("test/")
    }
    assert [path for path in run.dir.rglob("*") if path.is_file()] == []


def test_checkpoint_is_measured_under_the_mask_that_is_asked_for(config, tmp_path, trained):
    made, result = trained
    config["mask"]["acceleration"] = 6
    _, found = predict(config, made.checkpoint_dir, tmp_path / "predicting")
    assert found["test/sampled_fraction"] < result["test/sampled_fraction"]


def test_test_is_judged_by_what_was_asked_of_it_and_validation_by_its_own_mask(config, tmp_path):
    config["train"]["epochs"] = 1
    config["mask"] |= {"acceleration": 10, "center_fraction": 0.05}
    config["test_mask"] = {**config["mask"], "acceleration": 1.25}
    run = LocalRun(tmp_path)
    result = train(config, run)
    assert result["test/sampled_fraction"] > 0.6  # asked of validation: 0.1
    assert (result["test/degenerate"], run.reports[1]["val/degenerate"]) == (0, 0)


def test_stopped_prediction_leaves_no_half_file(config, tmp_path, trained):
    class Stopped(LocalRun):
        stop_requested = True

    run = Stopped(tmp_path / "predicting")
    values = {key: value for key, value in config.items() if key not in ("model", "optim")}
    means = {"num_workers": 0, "device": "cpu", "init_from": str(trained[0].checkpoint_dir)}
    with pytest.raises(LocalRun.Interrupted):
        train({**values, "task": "predict", "train": means}, run)
    assert [path for path in run.dir.rglob("*") if path.is_file()] == []


def test_checkpoint_of_other_weights_is_told_with_name_and_shapes(config, tmp_path, trained):
    path = trained[0].checkpoint_dir / "best.pt"
    content = torch.load(path, weights_only=True)
    content["config"]["model"]["chans"] = 4
    torch.save(content, path)
    with pytest.raises(BadInput, match=r"best.pt: weights 'unet.decoder.merge.0.0.weight': expected \(8, 16, 3, 3\), found \(4, 8, 3, 3\)"):
        predict(config, path, tmp_path / "predicting")


def test_checkpoint_whose_network_does_not_fit_is_named_before_any_data_are_looked_for(config, tmp_path, trained):
    config["data"] = {"layout": "cine", "root": "no such folder"}
    del config["mask"]
    with pytest.raises(BadInput, match=r"best.pt: train.init_from does not fit data and loss: model.kind is unet, data.layout is cine"):
        predict(config, trained[0].checkpoint_dir, tmp_path / "predicting")


def test_loss_that_a_checkpoint_cannot_have_is_refused_before_any_data_are_looked_for(config, tmp_path, trained):
    config["loss"] = {"kind": "complex_l1"}
    config["data"]["root"] = "no such folder"
    with pytest.raises(BadInput, match=r"best.pt: train.init_from does not fit data and loss: loss.kind is complex_l1, but"):
        predict(config, trained[0].checkpoint_dir, tmp_path / "predicting")


def test_series_are_predicted_frame_by_frame(config, tmp_path):
    root = write_cine(tmp_path / "hearts")
    config |= {
        "model": {"kind": "unet2d2d", "chans": 2, "pools": 2},
        "data": {"layout": "cine", "root": str(root)},
        "task": "train_and_predict",
    }
    del config["mask"]
    config["train"]["epochs"] = 1
    run = LocalRun(tmp_path / "run")
    train(config, run)
    with h5py.File(run.dir / "predictions.h5") as file, h5py.File(root / "test.h5") as source:
        assert len(file) == 2
        first = next(iter(file.values()))
        assert first["result"].shape == (4, 17, 18)  # frame, y, x
        np.testing.assert_allclose(first["truth"][()], source["imagesTrue"][0].transpose(2, 1, 0), rtol=1e-6)
        np.testing.assert_allclose(first["input"][()], source["imagesRecon"][0].transpose(2, 1, 0), rtol=1e-6)


NETWORKS = [
    ("fastmri", {"kind": "unet", "chans": 2, "pools": 2}),
    ("fastmri", {"kind": "e2e_varnet", "cascades": 2, "chans": 2, "pools": 2, "sens_chans": 2, "sens_pools": 2}),
    ("knee", {"kind": "stl_varnet", "cascades": 2, "chans": 2, "pools": 2}),
    ("knees", {"kind": "mtl_varnet", "blocks": "IW", "chans": 2, "pools": 2}),
    ("cine", {"kind": "unet3d", "chans": 2, "pools": 2}),
]


@pytest.mark.parametrize(("layout", "model"), NETWORKS, ids=lambda value: value if isinstance(value, str) else value["kind"])
def test_best_network_becomes_a_program_that_gives_the_same_image(config, tmp_path, layout, model):
    if layout.startswith("knee"):
        names = ["pd", "fs"][: 1 + (layout == "knees")]
        root = str(write_knees(tmp_path, dict.fromkeys(names, 1)))
        config["data"] = {"layout": "knee", "root": root, "datasets": names, "crop": [20, 20]}
    elif layout == "cine":
        config["data"] = {"layout": layout, "root": str(write_cine(tmp_path))}
        del config["mask"]
    config["model"] = model
    config["train"].update(epochs=1, export=True, images_every=0)
    run = LocalRun(tmp_path / "run")
    train(config, run)
    assert run.logged[-1].startswith("best.pt2 takes "), run.logged

    program = torch.export.load(run.checkpoint_dir / "best.pt2").module()
    typed = read_config(config)
    network = build_model(typed.network).eval()
    network.load_state_dict(torch.load(run.checkpoint_dir / "best.pt", weights_only=True)["model"])
    feed = open_feed(typed, torch.device("cpu"))
    sample = next(iter(batches(feed.test, torch.device("cpu"))))
    with torch.no_grad():
        tensors = tensors_of(network, sample)
        wanted = OnTensors(network, sample)(*tensors)
        torch.testing.assert_close(program(*tensors), wanted, rtol=1e-4, atol=1e-6 * float(wanted.abs().max()))
    feed.close()


def test_prediction_makes_the_folder_of_its_program(config, tmp_path, trained):
    run, _ = predict(config, trained[0].checkpoint_dir, tmp_path / "predicting", export=True)
    assert [path.name for path in run.checkpoint_dir.iterdir()] == ["best.pt2"]
    torch.export.load(run.checkpoint_dir / "best.pt2")


def test_program_that_cannot_be_written_leaves_nothing_behind(config, tmp_path, trained, monkeypatch):
    def fail(program: object, target: BinaryIO) -> None:
        target.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.export, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        predict(config, trained[0].checkpoint_dir, tmp_path / "predicting", export=True, keep_predictions=False)
    assert [path for path in (tmp_path / "predicting").rglob("*") if path.is_file()] == []


def test_network_that_no_program_can_follow_is_told_and_the_run_ends_well(config, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.export, "export", lambda *arguments: (_ for _ in ()).throw(RuntimeError("data-dependent\nlong story")))
    config["train"].update(epochs=1, export=True)
    run = LocalRun(tmp_path)
    assert train(config, run)["epochs"] == 1
    assert run.logged[-1] == "best.pt2 is not written: torch.export cannot follow this network (data-dependent)"


def test_mask_and_loss_that_a_checkpoint_was_not_trained_with_are_told_in_one_line(config, tmp_path, trained):
    made, _ = trained
    same, _ = predict(config, made.checkpoint_dir, tmp_path / "same")
    assert not any("trained with" in line for line in same.logged)
    asked = {**config, "mask": {**config["mask"], "acceleration": 6}, "loss": {"kind": "ssim"}}
    other, _ = predict(asked, made.checkpoint_dir, tmp_path / "other")
    (line,) = [line for line in other.logged if "trained with" in line]
    trained_at = config["mask"]["acceleration"]
    assert f"mask.acceleration is 6.0 (trained with {float(trained_at)})" in line
    assert f"loss.kind is 'ssim' (trained with '{read_config(config).loss.kind}')" in line
    assert "center_fraction" not in line and "mask_threshold" not in line


def test_mask_within_the_range_of_training_is_none_that_a_checkpoint_was_not_trained_with(config, tmp_path):
    config["train"]["epochs"] = 1
    ranged = {**config, "train_mask": {"accelerations": [4, 6], "center_fractions": [0.08]}}
    run = LocalRun(tmp_path / "ranged")
    train(ranged, run)
    within = {**config, "mask": {**config["mask"], "acceleration": 6, "center_fraction": 0.08}}
    assert not any("trained with" in line for line in predict(within, run.checkpoint_dir, tmp_path / "within")[0].logged)
    beyond = {**config, "mask": {**config["mask"], "acceleration": 8, "center_fraction": 0.08}}
    logged = predict(beyond, run.checkpoint_dir, tmp_path / "beyond")[0].logged
    assert any("mask.acceleration is 8.0 (trained with 4.0, 6.0)" in line for line in logged)


def test_test_volume_that_is_darker_than_the_threshold_is_told_to_a_prediction_with_its_file(config, tmp_path, trained):
    made, _ = trained
    asked = {**config, "loss": {"kind": "masked_ssim", "mask_threshold": 1e6}}
    with pytest.raises(BadInput, match=r"test/\S+.h5: its largest value is \S+, loss.mask_threshold is 1e\+06: no head is left"):
        predict(asked, made.checkpoint_dir, tmp_path / "dark")
