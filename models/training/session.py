"""One training run from config to test metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from data.errors import BadInput
from models.build import build_model
from models.config import TrainConfig, read_config
from models.losses import build_loss
from models.network import Network
from models.training.checkpoint import BEST, drop_states
from models.training.context import Run
from models.training.evaluate import Watch, evaluate
from models.training.export import export_network
from models.training.feed import Feed, open_feed, slices_of
from models.training.fit import refuse_misfit, refuse_missing, refuse_other_mask
from models.training.frozen_images import keep_frozen_images
from models.training.initial import read_initial, take_weights
from models.training.loop import Trainer
from models.training.pictures import Board, WholeVolumes
from models.training.precision import Precision
from models.training.predict import PREDICTIONS, Predictions
from models.training.scores import Evaluation, why_degenerate
from models.training.step import Stepper
from models.training.tasks import epoch_slices, name_tasks


def train_config(values: Mapping[str, Any], run: Run) -> dict[str, float]:
    """Do the task of a config. Returns test metrics, at the best validation epoch where it trains, and what was spent."""
    config = read_config(values)
    device = choose_device(config.train.device)
    with reproducible(config.seed, config.train.threads, device):
        feed = open_feed(config, device)
        try:
            if config.task == "predict":
                return _predict(config, run, feed, device)
            return train_and_test(Trainer(Stepper(config, epoch_slices(config, feed), device), run, feed, device))
        finally:
            feed.close()


def train_and_test(trainer: Trainer) -> dict[str, float]:
    """Train, measure the best weights on the test split, and keep them. Returns the test metrics and what was spent."""
    config, run, feed, device = trainer.config, trainer.run, trainer.feed, trainer.device
    trainer.start()
    keep_frozen_images(trainer.stepper.kept, (feed.train, feed.val, feed.test), config, run, device)
    train, val, test = (len(slices_of(loader)) for loader in (feed.train, feed.val, feed.test))
    run.log(f"{train} train, {val} val, {test} test slices on {device} with {torch.get_num_threads()} CPU threads")
    trainer.fit()
    best_epoch = trainer.progress.best_epoch
    with watching(config, run, feed, checkpoint=str(run.checkpoint_dir / BEST), epoch=best_epoch) as watchers:
        results = _told(trainer.test(watchers), config, run, feed)
    trainer.export_best(results)
    drop_states(run.checkpoint_dir, keep=1)
    if config.train.export:
        export_network(trainer.stepper.kept, feed.test, run, device)
    return results | {
        "val/ssim": trainer.progress.best_ssim,
        "best_epoch": best_epoch,
        "epochs": trainer.progress.epochs_done,
        "parameters": count_parameters(trainer.stepper.model),
    }


def _predict(config: TrainConfig, run: Run, feed: Feed, device: torch.device) -> dict[str, float]:
    """Measure the checkpoint of train.init_from on the test split, and keep its images. The network is the one of its own config."""
    initial = read_initial(config.train.init_from, run)
    refuse_misfit(initial.config.network, config.data)
    refuse_other_mask(initial.config.mask, config.mask)
    refuse_missing(initial.config.network, slices_of(feed.test).volumes)
    model = build_model(initial.config.network, initial.config.mask).to(device)
    take_weights(model, initial)
    model.testing = True
    keep_frozen_images(model, (feed.test,), config, run, device)
    run.log(f"{initial.path}: {initial.config.network}, weights of epoch {initial.epoch}, on {device}")
    with watching(config, run, feed, checkpoint=str(initial.path), epoch=initial.epoch) as watchers:
        found = evaluate(
            model,
            feed.test,
            build_loss(config.loss),
            device,
            precision=Precision(config.train.precision, device),
            between=lambda: stop_if_asked(run),
            watchers=watchers,
        )
    if config.train.export:
        export_network(model, feed.test, run, device)
    return _told(found, config, run, feed) | {"best_epoch": initial.epoch, "parameters": count_parameters(model)}


def _told(found: Evaluation, config: TrainConfig, run: Run, feed: Feed) -> dict[str, float]:
    """Return the metrics of the test split; a degenerate result is marked and logged."""
    why = why_degenerate(found, config.asked_mask)
    if why:
        run.log(f"the test result is degenerate: {why}")
    slices = {"train/slices": float(sum(feed.slices))} | name_tasks("train/slices", feed.tasks, feed.slices)
    values = found.means("test", feed.tasks) | found.spread("test", feed.tasks) | found.fractions("test")
    return values | slices | {"test/degenerate": float(bool(why))}


@contextmanager
def watching(config: TrainConfig, run: Run, feed: Feed, *, checkpoint: str, epoch: int) -> Iterator[list[Watch]]:
    """Yield who is to see the test volumes: files of predictions, and pictures of whole volumes, as the config asks."""
    names = [volume.name for volume in slices_of(feed.test).volumes]
    with ExitStack() as opened:
        watchers: list[Watch] = []
        if config.task != "train":
            path = run.dir / PREDICTIONS
            watchers.append(opened.enter_context(Predictions(path, names, feed.tasks, run_id=run.id, checkpoint=checkpoint, epoch=epoch)))
        if config.train.show_volumes:
            board = Board(run.dir / "tb" / "volumes", first_step=0)
            opened.callback(board.close)
            watchers.append(WholeVolumes(config.train.show_volumes, names, run=run, board=board))
        yield watchers


def stop_if_asked(run: Run) -> None:
    """Between slices of a task that leaves no checkpoint: it begins anew next time."""
    if run.stop_requested:
        raise run.Interrupted()


def count_parameters(model: Network) -> int:
    """Return how many weights a network has."""
    return sum(weights.numel() for weights in model.parameters())


def choose_device(name: str) -> torch.device:
    """Return the device of train.device. Raises BadInput when cuda is asked for and there is none."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise BadInput("train.device is 'cuda', and torch finds no GPU here. Set train.device: auto, or ask for a GPU in resources.")
    return torch.device("cuda")


@contextmanager
def reproducible(seed: int, wanted_threads: int | None, device: torch.device) -> Iterator[None]:
    """Seed torch, and choose algorithms that give equal bits for equal thread counts; all is as before afterwards.

    On CUDA some layers have no deterministic algorithm (reflection padding, backwards): equal there up to rounding.
    """
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(device.type == "cpu")
        torch.set_num_threads(wanted_threads or threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)
