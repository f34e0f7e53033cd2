"""Images of a frozen VarNet on disk: computed once, for these weights and these data, and shared."""

from __future__ import annotations

import errno
import math
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from data.errors import BadInput
from models.build import build_model
from models.config import TrainConfig, read_config
from models.training import train
from models.training.checkpoint import write_whole
from models.training.feed import batches, open_feed, slices_of
from models.training.frozen_images import keep_frozen_images
from models.varnet import EndToEndVarNet
from models.varnet_rcan import VarNetRcan
from tests.data.volumes.written import write_pairs
from tests.models.local_run import LocalRun

CPU = torch.device("cpu")
VARNET = {"cascades": 1, "chans": 2, "pools": 2, "sens_chans": 2, "sens_pools": 2}

LOOP = {"num_workers": 0, "threads": 1, "device": "cpu"}


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """Two pairs of two slices to train, one to validate, one to test; a VarNet whose weights were drawn."""
    root = write_pairs(tmp_path / "it's data")
    write_varnet(tmp_path / "varnet", root)
    return {
        "model": {
            "kind": "varnet_rcan",
            "varnet": str(tmp_path / "varnet"),
            "frozen": VARNET,
            "groups": 1,
            "blocks": 1,
            "chans": 4,
            "reduction": 2,
        },
        "data": {"layout": "paired", "root": str(root)},
        "loss": {"kind": "masked_ssim"},
        "optim": {"kind": "adam", "lr": 1e-3},
        "train": {**LOOP, "epochs": 2, "images_every": 0, "frozen_images": str(tmp_path / "kept images")},
    }


def write_varnet(folder: Path, root: Path, *, seed: int = 0, **changed: object) -> Path:
    """Write a best.pt as a run leaves it."""
    content = {"model": {"kind": "e2e_varnet", **VARNET, **changed}, "data": {"layout": "paired", "root": str(root)}}
    torch.manual_seed(seed)
    weights = build_model(read_config(content).network).state_dict()
    write_whole(folder / "best.pt", {"config": content, "model": weights, "epoch": 3, "metrics": {}})
    return folder


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each slice that goes through the VarNet."""
    seen: list[int] = []
    forward = EndToEndVarNet.forward
    monkeypatch.setattr(EndToEndVarNet, "forward", lambda self, sample: seen.append(len(sample.target)) or forward(self, sample))
    return seen


def files(config: dict[str, Any]) -> list[Path]:
    return sorted(Path(config["train"]["frozen_images"]).rglob("*.h5"))


def test_varnet_runs_once_for_each_slice_of_all_runs_together(config, tmp_path, calls):
    first = LocalRun(tmp_path / "first")
    train(config, first)
    assert sum(calls) == 8  # 4 pairs of 2 slices, in spite of two epochs
    assert "images of the frozen network: 4 of 4 volumes computed, 0 found in " in "".join(first.logged)
    second = LocalRun(tmp_path / "second")
    train({**config, "seed": 2}, second)
    assert sum(calls) == 8
    assert "images of the frozen network: 0 of 4 volumes computed, 4 found in " in "".join(second.logged)


def test_results_are_those_of_a_run_that_keeps_nothing(config, tmp_path, calls):
    kept, plain = LocalRun(tmp_path / "kept"), LocalRun(tmp_path / "plain")
    expected = train({**config, "train": {**config["train"], "frozen_images": ""}}, plain)
    assert sum(calls) == 2 * (4 + 2) + 2  # two epochs of training and validation, and the test
    assert train(config, kept) == expected
    assert kept.reports == plain.reports


def test_mirrored_slices_have_mirrored_images(config):
    config["data"]["flips"] = True
    typed, model, feed = opened(config)
    keep_frozen_images(model, (feed.train, feed.val), typed, LocalRun(Path("a")), CPU)
    unmoved = {(int(s.volume[0]), int(s.slice[0])): s.target for s in batches(loader_without_flips(config), CPU)}
    moved = 0
    for sample in batches(feed.train, CPU):
        target = unmoved[int(sample.volume[0]), int(sample.slice[0])]
        axes = next(axes for axes in ((), (-2,), (-1,), (-2, -1)) if torch.equal(sample.target, target.flip(axes)))
        with h5py.File(slices_of(feed.train).volumes[int(sample.volume[0])].frozen_images, locking=False) as file:
            np.testing.assert_array_equal(sample.frozen_image[0].flip(axes), file["images"][int(sample.slice[0])])
        moved += bool(axes)
    assert moved


def loader_without_flips(config: dict[str, Any]) -> Any:
    return open_feed(read_config({**config, "data": {**config["data"], "flips": False}}), CPU).train


def opened(config: dict[str, Any]) -> tuple[TrainConfig, VarNetRcan, Any]:
    typed = read_config(config)
    torch.manual_seed(0)
    model = build_model(typed.network)
    assert isinstance(model, VarNetRcan)
    return typed, model, open_feed(typed, CPU)


def test_other_weights_of_the_varnet_have_other_images(config, tmp_path, calls):
    train(config, LocalRun(tmp_path / "first"))
    write_varnet(tmp_path / "varnet", Path(config["data"]["root"]), seed=1)
    train(config, LocalRun(tmp_path / "second"))
    assert sum(calls) == 16
    assert len(files(config)) == 8
    assert len({path.parent for path in files(config)}) == 2


def keep(config: dict[str, Any], *, polls: float = math.inf) -> str:
    """Do what a run does before it trains. Returns what it logs."""
    run = LocalRun(Path("a run"), polls=polls)
    typed, model, feed = opened(config)
    keep_frozen_images(model, (feed.train, feed.val, feed.test), typed, run, CPU)
    feed.close()
    return "".join(run.logged)


def test_volume_that_was_made_again_has_its_images_made_again(config, calls):
    keep(config)
    with h5py.File(Path(config["data"]["root"]) / "train" / "kspace" / "brain0.h5", "r+") as file:
        file["kspace"][()] = file["kspace"][()] * 2
    keep(config)
    assert sum(calls) == 8 + 2


def test_images_of_grappa_made_anew_leave_the_varnets_as_they_are(config, calls):
    keep(config)
    with h5py.File(Path(config["data"]["root"]) / "train" / "image" / "brain0.h5", "r+") as file:
        file["image_grappa"][()] = file["image_grappa"][()] * 2
    keep(config)
    assert sum(calls) == 8


@pytest.mark.parametrize("damage", ["torn", "another shape"])
def test_file_that_is_damaged_is_computed_anew(config, calls, damage):
    keep(config)
    path = files(config)[0]
    expected = path.read_bytes()
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:700])
    else:
        with h5py.File(path, "w") as file:
            file["images"] = np.zeros((2, 3, 3), np.float32)
    assert "1 of 4 volumes computed, 3 found" in keep(config)
    assert path.read_bytes() == expected
    assert sum(calls) == 8 + 2


def test_run_that_is_stopped_leaves_whole_files_to_the_next(config, calls):
    with pytest.raises(LocalRun.Interrupted):
        keep(config, polls=2)
    assert len(files(config)) == 2
    keep(config)
    assert sum(calls) == 8
    assert all(path.suffix == ".h5" and not path.name.startswith(".") for path in Path(config["train"]["frozen_images"]).glob("*/*"))


def test_runs_that_start_together_share_the_work(config, tmp_path, calls):
    """Each with a feed and a network of its own; the files are equal whoever wrote them."""
    alone = {**config, "train": {**config["train"], "frozen_images": str(tmp_path / "alone")}}
    for asked, names in ((alone, ["a"]), (config, ["b", "c", "d"])):
        made = [opened(asked) for _ in names]
        loaders = [(feed.train, feed.val, feed.test) for _, _, feed in made]
        threads = [
            threading.Thread(target=keep_frozen_images, args=(model, given, typed, LocalRun(tmp_path / name), CPU))
            for (typed, model, _), given, name in zip(made, loaders, names, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert 8 + 8 <= sum(calls) < 8 + 3 * 8
    assert [path.name for path in files(config)] == [path.name for path in files(alone)]
    for ours, theirs in zip(files(config), files(alone), strict=True):
        with h5py.File(ours) as one, h5py.File(theirs) as other:
            np.testing.assert_allclose(one["images"][()], other["images"][()], rtol=1e-5)


def test_prediction_takes_the_network_from_its_checkpoint_and_the_images_from_the_folder(config, tmp_path, calls):
    run = LocalRun(tmp_path / "trained")
    result = train(config, run)
    shutil.rmtree(tmp_path / "varnet")
    asked = {key: config[key] for key in ("data", "loss")}
    means = {**LOOP, "init_from": str(run.checkpoint_dir)}
    for kept in (config["train"]["frozen_images"], ""):
        found = train({**asked, "task": "predict", "train": {**means, "frozen_images": kept}}, LocalRun(tmp_path / "predicted"))
        assert {name: found[name] for name in found if name.startswith("test/")} == {
            name: result[name] for name in result if name.startswith("test/")
        }
    assert sum(calls) == 8 + 2


def test_resumed_run_needs_the_checkpoint_of_the_varnet_no_more(config, tmp_path):
    whole = LocalRun(tmp_path / "whole")
    expected = train(config, whole)
    first = LocalRun(tmp_path / "first", polls=3)
    with pytest.raises(LocalRun.Interrupted):
        train(config, first)
    shutil.rmtree(tmp_path / "varnet")
    second = LocalRun(tmp_path / "second", resume_from=first.checkpoint_dir)
    assert train(config, second) == expected
    assert {**first.reports, **second.reports} == whole.reports


def test_varnet_may_be_a_run_that_the_grid_needs(config, tmp_path):
    config["model"]["varnet"] = "varnet"
    run = LocalRun(tmp_path / "run")
    run.needs = {"varnet": tmp_path / "varnet"}
    train(config, run)
    assert run.logged[0] == f"its VarNet has the weights of epoch 3 of {tmp_path / 'varnet' / 'best.pt'}, and keeps them"
    ours, theirs = (torch.load(path / "best.pt", weights_only=True)["model"] for path in (run.checkpoint_dir, tmp_path / "varnet"))
    assert all(torch.equal(ours[f"varnet.{name}"], values) for name, values in theirs.items())


def test_run_may_begin_with_the_weights_of_another_on_a_varnet_of_its_own(config, tmp_path):
    first, second = LocalRun(tmp_path / "first"), LocalRun(tmp_path / "second")
    train(config, first)
    config["model"] |= {"varnet": str(write_varnet(tmp_path / "other", Path(config["data"]["root"]), seed=1)), "ensemble": []}
    config["train"] |= {"init_from": str(first.checkpoint_dir), "epochs": 1}
    config["optim"]["lr"] = 1e-12
    train(config, second)
    before, found = (torch.load(run.checkpoint_dir / "best.pt", weights_only=True)["model"] for run in (first, second))
    other = torch.load(tmp_path / "other" / "best.pt", weights_only=True)["model"]
    for name, values in found.items():
        frozen = name.startswith("varnet.")
        torch.testing.assert_close(
            values, other[name.removeprefix("varnet.")] if frozen else before[name], rtol=0, atol=0 if frozen else 1e-9
        )


@pytest.mark.slow
def test_program_of_the_network_takes_the_image_of_grappa_and_runs_the_varnet_itself(config, tmp_path):
    config["train"]["export"] = True
    run = LocalRun(tmp_path / "run")
    train(config, run)
    program = torch.export.load(run.checkpoint_dir / "best.pt2").module()
    _, model, feed = opened(config)
    model.load_state_dict(torch.load(run.checkpoint_dir / "best.pt", weights_only=True)["model"])
    model.eval().testing = True
    sample = next(iter(batches(feed.test, CPU)))
    feed.close()
    for grappa in (sample.grappa, sample.grappa.flip(-1)):
        with torch.no_grad():
            found, expected = program(sample.kspace, sample.mask, grappa), model(sample._replace(grappa=grappa)).image
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.max()))


def test_folder_that_cannot_be_written_is_told(config, tmp_path):
    (tmp_path / "kept images").write_text("a file")
    with pytest.raises(BadInput, match=r"train.frozen_images: .*kept images/\w+ cannot be written \(.*\). Name a folder of your own."):
        train(config, LocalRun(tmp_path / "run"))


def test_folder_that_cannot_be_made_is_told_and_a_full_disk_stays_what_it_is(config, tmp_path, monkeypatch):
    config["train"]["frozen_images"] = "/proc/nowhere"
    with pytest.raises(BadInput, match=r"train.frozen_images: /proc/nowhere/\w+ cannot be written \(No such file .*\). Name a folder"):
        train(config, LocalRun(tmp_path / "run"))

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("models.training.frozen_images.written_whole", full)
    with pytest.raises(OSError, match="No space left on device"):
        train(config, LocalRun(tmp_path / "another run"))


def test_kept_image_that_is_no_number_is_told_with_its_own_file(config, tmp_path):
    feed = open_feed(read_config(config), CPU)
    model = build_model(read_config(config).network)
    keep_frozen_images(model, (feed.train,), read_config(config), LocalRun(tmp_path / "run"), CPU)
    for path in files(config):
        with h5py.File(path, "r+") as file:
            file["images"][1, 3, 4] = math.nan
    with pytest.raises(BadInput, match=r"kept images/\w+/brain\d-\w+.h5: slice 1 holds NaN or Inf \(images\). Delete the file"):
        list(batches(feed.train, CPU))


def test_images_that_are_no_numbers_are_told_and_not_kept(config, tmp_path):
    path = tmp_path / "varnet" / "best.pt"
    content = torch.load(path, weights_only=True)
    content["model"]["cascades.0.eta"].fill_(math.nan)
    torch.save(content, path)
    with pytest.raises(BadInput, match=r"kspace/brain\d.h5: the network of model.varnet makes NaN or Inf of it. Choose other weights"):
        train(config, LocalRun(tmp_path / "run"))
    assert files(config) == []


def test_volume_without_grappa_is_told_before_anything_is_computed(config, tmp_path, calls):
    with h5py.File(Path(config["data"]["root"]) / "val" / "image" / "brain2.h5", "r+") as file:
        del file["image_grappa"]
    message = (
        r"val/image/brain2.h5: key 'image_grappa' is missing, and model.kind varnet_rcan needs it. Make it: python -m data.convert grappa"
    )
    with pytest.raises(BadInput, match=message):
        train(config, LocalRun(tmp_path / "run"))
    assert calls == []


def test_test_volume_without_grappa_is_told_to_a_prediction(config, tmp_path):
    run = LocalRun(tmp_path / "trained")
    train(config, run)
    with h5py.File(Path(config["data"]["root"]) / "test" / "image" / "brain3.h5", "r+") as file:
        del file["image_grappa"]
    means = {**LOOP, "init_from": str(run.checkpoint_dir)}
    with pytest.raises(BadInput, match=r"test/image/brain3.h5: key 'image_grappa' is missing"):
        train({"data": config["data"], "task": "predict", "train": means}, LocalRun(tmp_path / "predicted"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cascades": 2}, r"model.frozen.cascades is 2 there, 1 here. Choose another model.varnet, or the same model.frozen."),
        ({"chans": 3, "sens_pools": 1}, r"model.frozen.chans is 3 there, 2 here; model.frozen.sens_pools is 1 there, 2 here"),
    ],
)
def test_varnet_of_another_shape_is_told_key_by_key(config, tmp_path, changed, message):
    write_varnet(tmp_path / "varnet", Path(config["data"]["root"]), **changed)
    with pytest.raises(BadInput, match=message):
        train(config, LocalRun(tmp_path / "run"))


def test_weights_that_do_not_fit_their_own_config_are_told_with_name_and_shapes(config, tmp_path):
    path = tmp_path / "varnet" / "best.pt"
    content = torch.load(path, weights_only=True)
    content["model"]["cascades.0.eta"] = torch.ones(2)
    torch.save(content, path)
    with pytest.raises(BadInput, match=r"best.pt: weights 'cascades.0.eta': expected \(1,\), found \(2,\)"):
        train(config, LocalRun(tmp_path / "run"))


def test_checkpoint_that_is_missing_is_told_with_the_key(config, tmp_path):
    config["model"]["varnet"] = "nowhere"
    with pytest.raises(BadInput, match=r"nowhere: there is no such checkpoint. Check model.varnet \(relative paths start at"):
        train(config, LocalRun(tmp_path / "run"))


def test_data_without_grappa_are_refused_before_a_file_is_read(config, tmp_path):
    config["data"] = {"layout": "fastmri", "root": "nowhere"}
    with pytest.raises(BadInput, match=r"model.kind varnet_rcan needs images of GRAPPA, which data.layout fastmri has not."):
        train(config, LocalRun(tmp_path / "run"))
