"""Which data range losses and metrics take."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from models.config import read_config
from models.losses import build_loss
from models.training.evaluate import AsGiven, evaluate
from models.training.feed import open_feed
from models.training.precision import Precision
from models.training_config import LossConfig
from tests.data.volumes.written import draw_knee, write_knees

CPU = torch.device("cpu")


def test_metrics_take_the_largest_value_that_is_measured_and_losses_that_of_the_volume(tmp_path):
    root = write_knees(tmp_path, {"pd": 1})
    with h5py.File(root / "pd" / "Test" / "02.h5", "a") as file:
        file["esp_maps"].attrs["max_combined"] = 50.0  # as if it lay in a part that is cropped
    data = {"layout": "knee", "root": str(root), "datasets": ["pd"], "crop": [12, 10]}
    feed = open_feed(read_config({"model": {"kind": "unet"}, "data": data, "train": {"num_workers": 0}}), CPU)
    loss = build_loss(LossConfig(kind="psnr"))
    (found,) = evaluate(AsGiven(), feed.test, loss, CPU, precision=Precision("float32", CPU), between=lambda: None).volumes
    feed.close()
    stored = {key: values[1:] for key, values in draw_knee(2).items()}  # slice 0 is left out
    coils = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(stored["kspace"], axes=(2, 3)), norm="ortho"), axes=(2, 3))
    largest = np.abs((coils * stored["esp_maps"].conj()).sum(axis=1))[:, 10:22, 8:18].max()  # 12 × 10 about (16, 13)
    assert found.whole.psnr == pytest.approx(10 * np.log10(largest**2 / found.whole.mse), rel=1e-5)
    assert [part.psnr for part in found.slices] == pytest.approx([10 * np.log10(largest**2 / part.mse) for part in found.slices], rel=1e-5)
    assert list(found.losses) == pytest.approx([10 * np.log10(part.mse / 50**2) for part in found.slices], rel=1e-5)
