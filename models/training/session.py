"""One training run from config to test metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from data.errors import BadInput
from models.config import TrainConfig, read_config
from models.training.checkpoint import drop_states
from models.training.context import Run
from models.training.feed import Feed, open_feed, slices_of
from models.training.loop import Trainer


def train_config(values: Mapping[str, Any], run: Run) -> dict[str, float]:
    """Train, validate and test. Returns test metrics at the best validation epoch, the best val/ssim, and what was spent."""
    config = read_config(values)
    device = choose_device(config.train.device)
    with reproducible(config, device):
        feed = open_feed(config, device)
        try:
            return _train(config, run, feed, device)
        finally:
            feed.close()


def _train(config: TrainConfig, run: Run, feed: Feed, device: torch.device) -> dict[str, float]:
    trainer = Trainer(config, run, feed, device)
    trainer.restore()
    train, val, test = (len(slices_of(loader)) for loader in (feed.train, feed.val, feed.test))
    run.log(f"{train} train, {val} val, {test} test slices on {device} with {torch.get_num_threads()} CPU threads")
    trainer.fit()
    tested = trainer.test()
    results = tested.means("test") | tested.deviations("test") | {"test/sampled_fraction": tested.sampled_fraction}
    trainer.export_best(results)
    drop_states(run.checkpoint_dir, keep=1)
    return results | {
        "val/ssim": trainer.progress.best_ssim,
        "best_epoch": trainer.progress.best_epoch,
        "epochs": config.train.epochs,
        "parameters": sum(weights.numel() for weights in trainer.model.parameters()),
    }


def choose_device(name: str) -> torch.device:
    """Return the device of train.device. Raises BadInput when cuda is asked for and there is none."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise BadInput("train.device is 'cuda', and torch finds no GPU here. Set train.device: auto, or ask for a GPU in resources.")
    return torch.device("cuda")


@contextmanager
def reproducible(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Seed torch, and choose algorithms that give equal bits for equal thread counts; all is as before afterwards.

    On CUDA some layers have no deterministic algorithm (reflection padding, backwards): equal there up to rounding.
    """
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        torch.use_deterministic_algorithms(device.type == "cpu")
        torch.set_num_threads(config.train.threads or threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)
