"""How many processes train and where: asked for or found, and refused with the way out."""

from __future__ import annotations

import pytest
import torch

from data.errors import BadInput
from models.config import read_config
from models.training.parallel.plan import count_gpus, count_processes, devices_of, refuse_unsplittable


def typed(train: dict[str, object], **model: object):
    data = {"layout": "knee", "root": "a", "datasets": ["b"]}
    return read_config({"model": {"kind": "stl_varnet", **model}, "data": data, "train": train})


@pytest.mark.parametrize(
    ("train", "gpus", "processes"),
    [
        ({"batch": 4}, 0, 1),
        ({"batch": 4}, 1, 1),
        ({"batch": 4}, 2, 2),
        ({"batch": 2}, 8, 2),  # a process without a slice would idle
        ({"batch": 4, "processes": 3}, 0, 3),
        ({"batch": 4, "processes": 1}, 4, 1),
        ({"batch": 4, "split": True}, 2, 1),
        ({"batch": 4, "split": True}, 5, 2),
    ],
)
def test_each_gpu_gets_a_process_as_far_as_the_batch_goes_round(train, gpus, processes):
    assert count_processes(typed(train), gpus) == processes


def test_measuring_a_checkpoint_takes_one_process():
    config = read_config({"task": "predict", "data": {"layout": "fastmri", "root": "a"}, "train": {"init_from": "b", "batch": 4}})
    assert count_processes(config, 4) == 1


@pytest.mark.parametrize(
    ("train", "gpus", "message"),
    [
        ({"batch": 4, "processes": 3}, 2, r"train.processes is 3: it needs 3 GPUs, 2 visible. Lower it, or ask for more in resources"),
        ({"batch": 4, "processes": 2, "split": True}, 3, r"it needs 4 GPUs with train.split, 3 visible"),
        ({"split": True}, 1, r"train.split is true: it needs 2 GPUs, and 1 of them is visible. Ask for more in resources"),
        ({"split": True}, 0, r"train.split is true: it needs 2 GPUs, and training runs on cpu"),
    ],
)
def test_too_few_gpus_are_told(train, gpus, message):
    with pytest.raises(BadInput, match=message):
        count_processes(typed(train), gpus)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"batch": 2, "processes": 3}, r"train.processes is 3; it must be at most train.batch \(2\), so that each gets a slice"),
        ({"processes": 0}, r"train.processes is 0; it must be 1 or more, or null"),
    ],
)
def test_processes_without_a_slice_are_refused_when_the_config_is_read(train, message):
    with pytest.raises(BadInput, match=message):
        typed(train)


def test_processes_have_gpus_of_their_own():
    assert devices_of(1, gpus=0, split=False) == (torch.device("cpu"),)
    assert devices_of(1, gpus=2, split=False) == (torch.device("cuda:1"),)
    assert devices_of(1, gpus=4, split=True) == (torch.device("cuda:2"), torch.device("cuda:3"))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"kind": "unet"}, r"model.kind unet has no cascades to be split. Leave it out, or choose a VarNet"),
        ({"kind": "e2e_varnet", "cascades": 1}, r"model.kind e2e_varnet has one cascade to be split"),
        ({"kind": "mtl_varnet", "blocks": "V"}, r"model.kind mtl_varnet has one cascade"),
    ],
)
def test_networks_without_halves_are_not_split(model, message):
    with pytest.raises(BadInput, match=message):
        refuse_unsplittable(typed({}, **model).network)
    for kind in ({"kind": "e2e_varnet", "cascades": 2}, {"cascades": 2}, {"kind": "mtl_varnet", "blocks": "IV"}):
        refuse_unsplittable(typed({}, **kind).network)


def test_a_gpu_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (count_gpus("auto"), count_gpus("cpu")) == (0, 0)
    with pytest.raises(BadInput, match=r"train.device is 'cuda', and torch finds no GPU here"):
        count_gpus("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert (count_gpus("auto"), count_gpus("cuda"), count_gpus("cpu")) == (3, 3, 0)
