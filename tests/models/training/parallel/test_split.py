"""A network on two devices: halves where they belong, tensors brought across and back, the same values."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from data.errors import BadInput
from models.build import build_model
from models.cascade import unroll
from models.config import read_config
from models.training import train
from models.training.parallel.ranks import Ranks
from models.training.parallel.split import place
from models.training.session import compute
from tests.models.local_run import LocalRun

CPU, META = torch.device("cpu"), torch.device("meta")


class Step(nn.Module):
    """A step in which everything that a cascade is given meets its weight, on the device where that is."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, device=device))

    def forward(self, kspace: Tensor, reference: Tensor, mask: Tensor, sens_maps: Tensor, task: int) -> Tensor:
        return kspace - self.weight * torch.where(mask, kspace - reference, 0) - sens_maps * task


def test_tensors_are_where_the_weights_are_and_come_home():
    with FakeTensorMode():  # computes nothing, and refuses operations on tensors of two devices
        steps = [Step(CPU), Step(META), Step(META)]
        kspace, reference, sens_maps = (torch.ones(1, 2, 5, 4, dtype=torch.complex64) for _ in range(3))
        mask = torch.ones(1, 1, 1, 4, dtype=torch.bool)
        with pytest.raises(RuntimeError, match="at least two devices"):
            steps[1](kspace, reference, mask, sens_maps, 1)
        found = unroll(steps, kspace, reference, mask, sens_maps, 1, recompute=True)
        gradients = torch.autograd.grad(found.abs().sum(), [step.weight for step in steps])
    assert found.device == CPU
    assert [gradient.device for gradient in gradients] == [CPU, META, META]


def test_second_half_of_the_cascades_is_on_the_second_device():
    config = read_config({"model": {"kind": "e2e_varnet", "cascades": 5, "chans": 2}, "data": {"layout": "fastmri", "root": "a"}})
    model = place(build_model(config.network), (CPU, META))
    devices = [{weights.device.type for weights in cascade.parameters()} for cascade in model.get_submodule("cascades")]
    assert devices == [{"cpu"}, {"cpu"}, {"meta"}, {"meta"}, {"meta"}]
    assert {weights.device.type for weights in model.get_submodule("sensitivity").parameters()} == {"cpu"}


@pytest.fixture
def varnet(config):
    config["model"] = {"kind": "e2e_varnet", "cascades": 2, "chans": 2, "pools": 2, "sens_chans": 2, "sens_pools": 2}
    config["train"].update(epochs=1, images_every=0)
    return config


def test_split_network_trains_to_the_same_bits(varnet, tmp_path):
    result = train(varnet, LocalRun(tmp_path / "whole"))
    varnet["train"]["split"] = True
    first = LocalRun(tmp_path / "first", polls=0)
    with pytest.raises(LocalRun.Interrupted):
        compute(read_config(varnet), first, (CPU, CPU), Ranks())
    second = LocalRun(tmp_path / "second", resume_from=first.checkpoint_dir)
    assert compute(read_config(varnet), second, (CPU, CPU), Ranks()) == result


def test_what_cannot_be_split_is_refused_before_data_are_read(varnet, tmp_path):
    whole = LocalRun(tmp_path / "unet")
    train({**varnet, "model": {"kind": "unet", "chans": 2, "pools": 2}}, whole)
    varnet["train"]["split"] = True
    varnet["data"]["root"] = str(tmp_path / "none")
    with pytest.raises(BadInput, match=r"train.split is true: it needs 2 GPUs, and training runs on cpu"):
        train(varnet, LocalRun(tmp_path / "run"))
    with pytest.raises(BadInput, match=r"model.kind unet has no cascades"):
        train({**varnet, "model": {"kind": "unet"}}, LocalRun(tmp_path / "run"))
    varnet["train"]["init_from"] = str(whole.checkpoint_dir)
    predict = read_config({**varnet, "model": None, "task": "predict"})
    with pytest.raises(BadInput, match=r"model.kind unet has no cascades"):
        compute(predict, LocalRun(tmp_path / "run"), (CPU, CPU), Ranks())
