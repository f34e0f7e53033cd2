"""Every network drives its loss near zero on one small batch, the multi-task ones on one of each task."""

from __future__ import annotations

import pytest
import torch

from data.volumes.cine_sample import CineSample
from data.volumes.loading import Sample
from models.build import build_model
from models.config import read_config
from models.network import Network
from tests.models.samples import draw_cine, draw_sample

CASCADES = {"cascades": 2, "chans": 6, "pools": 2}
QUICK = [
    {"kind": "e2e_varnet", **CASCADES, "sens_chans": 3, "sens_pools": 2},
    {"kind": "stl_varnet", **CASCADES},
    {"kind": "mtl_varnet", "blocks": "IVYW", "chans": 4, "pools": 2},
    {"kind": "varnet_rcan", "varnet": "v", "frozen": {**CASCADES, "cascades": 1}, "groups": 2, "blocks": 2, "chans": 16, "reduction": 4},
    *({"kind": kind, "chans": 8, "pools": 2} for kind in ("unet3d", "unet2d1d", "unet2d2d")),
]
SLOW = [
    *({"kind": "mtl_varnet", "blocks": blocks, "chans": 6, "pools": 2, "share_etas": False} for blocks in ("II", "VV", "YY", "WW")),
    *({"kind": kind, "chans": 8, "pools": 2, "up_kernel": 3, "regularise_last": True} for kind in ("unet3d", "unet2d1d", "unet2d2d")),
    {"kind": "unet3d", "chans": 8, "pools": 2, "regularisation": {"kind": "batch_norm"}},
]


def fit(model: Network, samples: list[Sample] | list[CineSample], steps: int) -> tuple[float, float]:
    """Return the largest error of all samples in the first round and in the last, in parts of the mean of the target."""
    optimiser = torch.optim.Adam(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    rounds: list[float] = []
    for _ in range(steps):
        errors = []
        for sample in samples:
            optimiser.zero_grad()
            error = (model(sample).image - sample.target).abs().mean() / sample.target.mean()
            error.backward()
            optimiser.step()
            errors.append(error.item())
        schedule.step()
        rounds.append(max(errors))
    return rounds[0], rounds[-1]


@pytest.mark.parametrize(
    "config",
    [*QUICK, *(pytest.param(config, marks=pytest.mark.slow) for config in SLOW)],
    ids=lambda config: "-".join(str(value) for value in list(config.values())[:2]),
)
def test_one_batch_can_be_learnt_by_heart(config):
    torch.manual_seed(0)
    model = build_model(read_config({"model": config, "data": {"layout": "fastmri", "root": "a"}}).model)
    if "varnet" in config["kind"]:
        tasks = range(2 if config["kind"] == "mtl_varnet" else 1)
        samples = [draw_sample(coils=2, size=(16, 24), crop=(16, 22), task=task, seed=task) for task in tasks]
        first, last = fit(model, samples, 60)
    else:
        first, last = fit(model, [draw_cine(frames=4, size=(11, 14))], 150)
    assert first > 0.05
    assert last < 0.1 * first
