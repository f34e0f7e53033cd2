"""The entry: rounds over sites against plain training, the target's truths unread, stops, deaths and mistakes."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from data.errors import BadInput
from models.config import read_config
from models.federated import train
from models.federated.config import read_federated
from models.federated.session import open_splits, open_target
from models.training import train as train_plainly
from models.training.__main__ import main
from tests.models.federated.conftest import make_config
from tests.models.local_run import LocalRun
from tests.models.training.test_train import assert_equal_bits, best_weights, last_weights

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def whole(shared_sites, tmp_path_factory) -> tuple[LocalRun, dict[str, float]]:
    """Both rounds of the config without an interruption."""
    run = LocalRun(tmp_path_factory.mktemp("whole"))
    return run, train(make_config(shared_sites), run)


@pytest.fixture
def own_sites(config, shared_sites, tmp_path) -> Path:
    """A copy of the data that a test may damage, with the config pointing to it."""
    config["data"]["root"] = str(shutil.copytree(shared_sites, tmp_path / "data"))
    return tmp_path / "data"


def go_on(config: dict[str, Any], first: LocalRun) -> tuple[LocalRun, dict[str, float]]:
    second = LocalRun(first.dir.with_name("second"), resume_from=first.checkpoint_dir)
    return second, train(config, second)


def rewrite(path: Path, key: str, values: np.ndarray | None) -> None:
    """Replace a dataset, or with None remove it."""
    with h5py.File(path, "a") as file:
        del file[key]
        if values is not None:
            file[key] = values


def test_every_site_is_tested_and_the_target_once_more(whole):
    _, result = whole
    for metric in ("loss", "ssim", "psnr", "nmse"):
        sites = [result[f"test/{metric}/{site}"] for site in "BFH"]
        assert len(set(sites)) == 3
        assert result[f"test/{metric}"] == pytest.approx(sum(sites) / 3)
        assert result[f"target/{metric}"] == result[f"test/{metric}/H"]
    assert (result["train/slices/B"], result["train/slices/F"], result["train/slices/H"]) == (4, 4, 0)
    assert (result["test/n"], result["epochs"]) == (3, 2)
    json.dumps(result, allow_nan=False)


def test_each_round_is_reported_with_its_clients_and_their_adversaries(whole):
    run, result = whole
    assert list(run.reports) == [1, 2]
    report = run.reports[2]
    assert {name for name in report if name.startswith(("train/", "alignment/"))} == {
        *("train/loss", "train/loss/B", "train/loss/F"),
        *(f"alignment/{name}/{site}" for name in ("generator", "discriminator", "accuracy") for site in "BF"),
    }
    assert {name for name in report if name.startswith("val/ssim")} == {"val/ssim", "val/ssim/B", "val/ssim/F"}
    assert [each["lr"] for each in run.reports.values()] == [3e-3, 1.5e-3]
    assert result["val/ssim"] == max(each["val/ssim"] for each in run.reports.values())
    assert all(math.isfinite(value) for each in run.reports.values() for value in each.values())


@pytest.mark.parametrize("average", ["equal", "slices"])
@pytest.mark.parametrize("sites", [["B"], ["F", "B"]])
def test_one_client_trains_as_if_it_were_alone(config, tmp_path, sites, average):
    config["data"]["sites"] = ["B"]
    config["train"]["epochs"] = 3
    federated = config.pop("federated")
    plain, run = LocalRun(tmp_path / "plain"), LocalRun(tmp_path / "federated")
    expected = train_plainly(config, plain)
    config["data"]["sites"] = sites
    config["federated"] = {**federated, "method": "fedavg", "clients": ["B"], "target": "", "local_epochs": 1, "average": average}
    result = train(config, run)
    assert_equal_bits(last_weights(run), last_weights(plain))
    assert_equal_bits(best_weights(run), best_weights(plain))
    if sites == ["B"]:
        assert run.reports == plain.reports
        assert result == expected
    assert [report["val/ssim"] for report in run.reports.values()] == [report["val/ssim"] for report in plain.reports.values()]


def test_the_only_site_may_be_the_target(config, tmp_path):
    config["data"]["sites"] = ["B"]
    config["train"]["epochs"] = 1
    config["federated"].update(method="fedavg", clients=["B"], target="B")
    result = train(config, LocalRun(tmp_path))
    assert (result["target/ssim"], result["target/slice_n"]) == (result["test/ssim"], 2)


@pytest.mark.parametrize(("average", "parts"), [("equal", (0.5, 0.5)), ("slices", (2 / 3, 1 / 3))])
def test_weights_after_a_round_are_the_mean_of_what_each_client_made_of_the_same(config, own_sites, tmp_path, average, parts):
    next((own_sites / "F" / "T1" / "train").glob("*.h5")).unlink()  # F has 2 slices left, B 4
    config["model"]["drop_prob"] = 0.0
    config["mask"] = {"kind": "uniform", "acceleration": 4}  # the same at any place of a slice among those that train
    config["train"]["epochs"] = 1
    federated = config.pop("federated")
    alone = []
    for site in ("B", "F"):
        run = LocalRun(tmp_path / site)
        train_plainly({**config, "data": {**config["data"], "sites": [site]}}, run)
        alone.append(last_weights(run))
    run = LocalRun(tmp_path / "both")
    train({**config, "federated": {**federated, "method": "fedavg", "local_epochs": 1, "average": average}}, run)
    for name, weights in last_weights(run).items():
        torch.testing.assert_close(weights, parts[0] * alone[0][name] + parts[1] * alone[1][name], rtol=1e-6, atol=1e-7)
    assert not torch.equal(alone[0]["unet.decoder.out.weight"], alone[1]["unet.decoder.out.weight"])


def test_optimisers_are_kept_or_begun_anew(config, tmp_path):
    config["federated"]["method"] = "fedavg"
    steps = {}
    for keep in (True, False):
        config["federated"]["keep_optimiser"] = keep
        run = LocalRun(tmp_path / str(keep))
        train(config, run)
        state = torch.load(max(run.checkpoint_dir.glob("state-*.pt")), weights_only=True)
        steps[keep] = float(state["optimiser"]["state"][0]["step"])
    assert steps == {True: 2 * 4, False: 4}  # rounds x (2 local epochs x 2 batches)


def test_an_adversary_that_weighs_next_to_nothing_changes_nothing(config, tmp_path):
    config["model"]["drop_prob"] = 0.0
    weights = {}
    for weight in (0.0, 1e-9, 1.0):
        how = {"method": "mrcm", "alignment": {"weight": weight}} if weight else {"method": "fedavg"}
        run = LocalRun(tmp_path / str(weight))
        train({**config, "optim": {"kind": "rmsprop", "lr": 1e-4}, "federated": {**config["federated"], **how}}, run)
        weights[weight] = torch.cat([values.flatten() for values in last_weights(run).values()])
    assert float((weights[1e-9] - weights[0.0]).abs().max()) < 1e-4
    assert float((weights[1.0] - weights[0.0]).abs().max()) > 3e-4


def test_truths_of_the_target_are_never_read(config, own_sites, tmp_path, whole):
    files = sorted((own_sites / "H" / "T1" / "train").glob("*.h5"))
    rewrite(files[0], "reconstruction_esc", None)
    rewrite(files[1], "reconstruction_esc", np.full((2, 18, 18), np.nan, dtype=np.float32))
    run = LocalRun(tmp_path / "run")
    assert train(config, run) == whole[1]
    assert run.reports == whole[0].reports
    assert_equal_bits(best_weights(run), best_weights(whole[0]))
    config["federated"]["clients"] = ["B", "H"]  # as a client it needs them
    with pytest.raises(BadInput, match=r"H/T1/train/\d+.h5: key 'reconstruction_esc' is missing"):
        train(config, LocalRun(tmp_path / "other"))


def test_truths_of_the_target_do_not_choose_the_best_round_unless_asked_to(config, own_sites, tmp_path, whole):
    (path,) = (own_sites / "H" / "T1" / "val").glob("*.h5")
    path.unlink()
    assert train(config, LocalRun(tmp_path / "run")) == whole[1]
    config["federated"]["validate"] = "target"
    with pytest.raises(BadInput, match=r"H/T1/val: holds no \*\.h5 file"):
        train(config, LocalRun(tmp_path / "other"))


def test_target_that_is_a_client_trains_without_an_adversary(config, tmp_path):
    config["federated"].update(clients=["B", "H"], validate="all")
    run = LocalRun(tmp_path)
    train(config, run)
    assert {name for name in run.reports[1] if name.startswith(("train/loss/", "alignment/accuracy"))} == {
        *("train/loss/B", "train/loss/H", "alignment/accuracy/B")
    }
    assert {name for name in run.reports[1] if name.startswith("val/n/")} == {"val/n/B", "val/n/H"}


# a round asks 12 times: after 2 x 2 batches of B and of F, and after 4 validation slices; after 24 comes the test
@pytest.mark.parametrize(
    ("polls", "place"),
    [
        (0, "epoch 1 after 1 batches"),
        (3, "epoch 1 after 4 batches"),
        (9, "epoch 1 after 8 batches"),
        (18, "epoch 2 after 7 batches"),
        (26, "epoch 3 after 0 batches"),
    ],
)
def test_stopped_run_resumes_bit_by_bit_within_any_turn_of_a_client(config, tmp_path, whole, polls, place):
    first = LocalRun(tmp_path / "first", polls=polls)
    with pytest.raises(LocalRun.Interrupted):
        train(config, first)
    second, result = go_on(config, first)
    assert place in second.logged[0]
    assert {**first.reports, **second.reports} == whole[0].reports
    assert result == whole[1]
    assert_equal_bits(best_weights(second), best_weights(whole[0]))


def test_run_whose_client_dies_in_a_round_resumes_after_the_last_whole_one(config, own_sites, tmp_path, whole):
    path = sorted((own_sites / "F" / "T1" / "train").glob("*.h5"))[0]
    with h5py.File(path) as file:
        kspace = file["kspace"][()]

    class Dying(LocalRun):
        def report(self, step, metrics):
            super().report(step, metrics)
            rewrite(path, "kspace", np.full_like(kspace, np.nan))

    config["train"]["num_workers"] = 1  # a process that opens its files anew each round
    first = Dying(tmp_path / "first")
    with pytest.raises(BadInput, match=r"F/T1/train/\d+.h5: slice \d holds NaN"):
        train(config, first)
    assert list(first.reports) == [1]
    rewrite(path, "kspace", kspace)
    second, result = go_on(config, first)
    assert "epoch 2 after 0 batches" in second.logged[0]
    assert list(second.reports) == [2]
    assert {**first.reports, **second.reports} == whole[0].reports
    assert result == whole[1]
    assert_equal_bits(last_weights(second), last_weights(whole[0]))


def test_checkpoint_of_another_federation_is_refused(config, tmp_path, whole):
    config["federated"]["average"] = "slices"
    with pytest.raises(BadInput, match=r"another config: federated.average is equal there, slices here. Choose another folder"):
        train(config, LocalRun(tmp_path, resume_from=whole[0].checkpoint_dir))


def test_best_network_is_one_that_plain_prediction_takes(config, tmp_path, whole):
    del config["federated"], config["model"]
    config |= {"task": "predict", "train": {**config["train"], "init_from": str(whole[0].checkpoint_dir)}}
    result = train_plainly(config, LocalRun(tmp_path))
    assert result["test/ssim/F"] == whole[1]["test/ssim/F"]
    content = torch.load(whole[0].checkpoint_dir / "best.pt", weights_only=True)
    assert read_config(content["config"]).model.chans == 2


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_site_without_data_is_told_with_its_folder(config, own_sites, tmp_path, split):
    shutil.rmtree(own_sites / "F" / "T1" / split)
    with pytest.raises(BadInput, match=rf"F/T1/{split}: there is no such folder. Check data.root"):
        train(config, LocalRun(tmp_path / "run"))


def test_target_without_training_data_is_told_with_its_folder(config, own_sites, tmp_path):
    shutil.rmtree(own_sites / "H" / "T1" / "train")
    with pytest.raises(BadInput, match=r"H/T1/train: there is no such folder"):
        train(config, LocalRun(tmp_path / "run"))


def test_scan_of_the_target_that_holds_nan_is_left_out_where_bad_ones_are_to_be(config, own_sites, tmp_path):
    good, bad = sorted((own_sites / "H" / "T1" / "train").glob("*.h5"))
    rewrite(bad, "kspace", np.full((2, 18, 18), np.nan, dtype=np.complex64))
    with pytest.raises(BadInput, match=rf"{bad.name}: slice \d holds NaN"):
        train(config, LocalRun(tmp_path / "first"))
    config["data"]["skip_bad"] = True
    typed = read_federated(config)
    target = open_target(typed, open_splits(typed), torch.device("cpu"))
    assert [volume.path for volume in target.volumes] == [good]


def first_seen(config: dict[str, Any], client: int, round_number: int) -> torch.Tensor:
    """Return k-space of the target in the first batch of a client's turn."""
    typed = read_federated(config)
    target = open_target(typed, open_splits(typed), torch.device("cpu"))
    try:
        return next(target.stream(client, round_number, first=0)).kspace
    finally:
        target.close()


def test_target_is_seen_in_an_order_and_with_masks_of_each_turn(config):
    turns = [(0, 1), (1, 1), (0, 2)]
    seen = [first_seen(config, *turn) for turn in turns]
    assert all(torch.equal(kspace, first_seen(config, *turn)) for kspace, turn in zip(seen, turns, strict=True))
    assert not any(torch.equal(one, other) for one, other in combinations(seen, 2))


def test_target_is_mirrored_where_the_clients_are(config):
    plain = first_seen(config, 0, 1)
    config["data"]["flips"] = True
    assert not torch.equal(first_seen(config, 0, 1).abs(), plain.abs())


def test_target_that_is_tested_on_what_it_aligns_to_is_refused(config, own_sites, tmp_path):
    path = sorted((own_sites / "H" / "T1" / "test").glob("*.h5"))[0]
    shutil.copy(path, own_sites / "H" / "T1" / "train" / "another name.h5")
    with pytest.raises(BadInput, match=r"H/T1/train/another name.h5 and .*H/T1/test/11.h5 are the same volume"):
        train(config, LocalRun(tmp_path / "run"))


def test_command_trains_without_the_orchestrator(config, tmp_path, capsys, whole):
    (tmp_path / "sites.json").write_text(json.dumps(config))
    assert main([str(tmp_path / "sites.json"), "--out", str(tmp_path / "out")], train=train, program="models.federated") == 0
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == whole[1]
    (tmp_path / "sites.json").write_text('{"federated": {"clients": ["X"]}}')
    assert main([str(tmp_path / "sites.json")], train=train, program="models.federated") == 2
    assert capsys.readouterr().err.startswith("models.federated: config: Object missing required field `data`")


def test_command_is_a_module_with_an_example_of_its_own():
    done = subprocess.run([sys.executable, "-m", "models.federated", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: python -m models.federated ")
    (example,) = re.findall(r'\{"model".*\}\}', done.stdout, flags=re.DOTALL)
    assert read_federated(json.loads(example)).federated.target == "F"
