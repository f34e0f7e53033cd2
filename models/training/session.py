"""One training run from config to test metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from models.build import build_model
from models.config import TrainConfig, read_config
from models.losses import build_loss
from models.network import Network
from models.training.checkpoint import BEST, drop_states
from models.training.context import Run
from models.training.evaluate import Watch, evaluate
from models.training.export import export_network
from models.training.feed import Feed, open_feed, slices_of
from models.training.fit import refuse_dark, refuse_missing, refuse_other_mask
from models.training.frozen_images import keep_frozen_images
from models.training.initial import Initial, read_initial, refuse_unfit, take_weights, what_differs
from models.training.loop import Trainer
from models.training.parallel.parent import train_in_processes
from models.training.parallel.plan import count_gpus, count_processes, devices_of, refuse_unsplittable
from models.training.parallel.ranks import Ranks
from models.training.parallel.split import place
from models.training.pictures import Board, WholeVolumes, refuse_unknown_volumes
from models.training.precision import Precision
from models.training.predict import PREDICTIONS, Predictions
from models.training.scores import Evaluation, why_degenerate
from models.training.step import Stepper
from models.training.tasks import epoch_slices, name_tasks


def train_config(values: Mapping[str, Any], run: Run) -> dict[str, float]:
    """Do the task of a config. Returns test metrics, at the best validation epoch where it trains, and what was spent."""
    config = read_config(values)
    if config.train.split and config.model is not None:
        refuse_unsplittable(config.model)
    gpus = count_gpus(config.train.device)
    processes = count_processes(config, gpus)
    if processes > 1:
        return train_in_processes(values, run, processes)
    return compute(config, run, devices_of(0, gpus=gpus, split=config.train.split), Ranks())


def compute(config: TrainConfig, run: Run, devices: tuple[torch.device, ...], ranks: Ranks) -> dict[str, float]:
    """Do the task of a config in this process, alone or as one of several; only the first of them returns metrics."""
    measured = _read_measured(config, run) if config.task == "predict" else None
    with reproducible(config.seed, config.train.threads, devices):
        feed = open_feed(config, devices[0], ranks.share)
        try:
            refuse_unknown_volumes(config.train.show_volumes, test_volumes(feed))
            if measured is not None:
                return _predict(config, run, feed, devices, measured)
            return train_and_test(Trainer(Stepper(config, epoch_slices(config, feed), devices), run, feed, devices, ranks))
        finally:
            feed.close()


def train_and_test(trainer: Trainer) -> dict[str, float]:
    """Train, measure the best weights on the test split, and keep them. Returns the test metrics and what was spent."""
    config, run, feed, device = trainer.config, trainer.run, trainer.feed, trainer.device
    trainer.start()
    keep_frozen_images(trainer.stepper.kept, (feed.train, feed.val, feed.test), config, run, device)
    train, val, test = (len(slices_of(loader)) for loader in (feed.train, feed.val, feed.test))
    run.log(f"{train} train, {val} val, {test} test slices {_describe_place(trainer.devices, trainer.ranks)}")
    trainer.fit()
    if not trainer.ranks.is_first:
        return {}
    best_epoch = trainer.progress.best_epoch
    with watching(config, run, feed, checkpoint=str(run.checkpoint_dir / BEST), epoch=best_epoch) as watchers:
        results = _test_metrics(trainer.test(watchers), config, run, feed)
    trainer.export_best(results)
    drop_states(run.checkpoint_dir, keep=1)
    if config.train.export:
        export_network(trainer.stepper.kept, feed.test, run, trainer.device)
    return results | {
        "val/ssim": trainer.progress.best_ssim,
        "best_epoch": best_epoch,
        "epochs": trainer.progress.epochs_done,
        "parameters": count_parameters(trainer.stepper.model),
    }


def _read_measured(config: TrainConfig, run: Run) -> Initial:
    """Read the checkpoint of train.init_from. Raises BadInput where its network cannot take the data, before a file of them is opened."""
    initial = read_initial(config.train.init_from, run)
    refuse_unfit(initial, config)
    refuse_other_mask(initial.config.mask, config.mask)
    if config.train.split:
        refuse_unsplittable(initial.config.network)
    return initial


def _predict(config: TrainConfig, run: Run, feed: Feed, devices: tuple[torch.device, ...], initial: Initial) -> dict[str, float]:
    """Measure a checkpoint on the test split, and keep its images. The network is the one of its own config."""
    refuse_missing(initial.config.network, slices_of(feed.test).volumes)
    refuse_dark(config.loss, slices_of(feed.test).volumes)
    device, model = devices[0], place(build_model(initial.config.network, initial.config.mask), devices)
    take_weights(model, initial)
    model.testing = True
    keep_frozen_images(model, (feed.test,), config, run, device)
    run.log(f"{initial.path}: {initial.config.network}, weights of epoch {initial.epoch}, on {device}")
    if differing := what_differs(initial, config):
        run.log(f"measured otherwise than trained: {'; '.join(differing)}")
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
    return _test_metrics(found, config, run, feed) | {"best_epoch": initial.epoch, "parameters": count_parameters(model)}


def _test_metrics(found: Evaluation, config: TrainConfig, run: Run, feed: Feed) -> dict[str, float]:
    """Return the metrics of the test split; a degenerate result is marked and logged."""
    why = why_degenerate(found, config.asked_test_mask)
    if why:
        run.log(f"the test result is degenerate: {why}")
    slices = {"train/slices": float(sum(feed.slices))} | name_tasks("train/slices", feed.tasks, feed.slices)
    values = found.means("test", feed.tasks) | found.spread("test", feed.tasks) | found.fractions("test")
    return values | slices | {"test/degenerate": float(bool(why))}


@contextmanager
def watching(config: TrainConfig, run: Run, feed: Feed, *, checkpoint: str, epoch: int) -> Iterator[list[Watch]]:
    """Yield who is to see the test volumes: files of predictions, and pictures of whole volumes, as the config asks."""
    names = test_volumes(feed)
    with ExitStack() as opened:
        watchers: list[Watch] = []
        if config.keeps_predictions:
            path = run.dir / PREDICTIONS
            watchers.append(opened.enter_context(Predictions(path, names, feed.tasks, run_id=run.id, checkpoint=checkpoint, epoch=epoch)))
        if config.train.show_volumes:
            board = Board(run.dir / "tb" / "volumes", first_step=0)
            opened.callback(board.close)
            watchers.append(WholeVolumes(config.train.show_volumes, names, run=run, board=board))
        yield watchers


def test_volumes(feed: Feed) -> list[str]:
    return [volume.name for volume in slices_of(feed.test).volumes]


def stop_if_asked(run: Run) -> None:
    """Between slices of a task that leaves no checkpoint: it begins anew next time."""
    if run.stop_requested:
        raise run.Interrupted()


def count_parameters(model: Network) -> int:
    """Return how many weights a network has."""
    return sum(weights.numel() for weights in model.parameters())


def _describe_place(devices: Sequence[torch.device], ranks: Ranks) -> str:
    """Say where it computes, for the log."""
    together = f", as one of {ranks.share.ranks} processes" if ranks.share.ranks > 1 else ""
    return f"on {' and '.join(map(str, devices))} with {torch.get_num_threads()} CPU threads{together}"


@contextmanager
def reproducible(seed: int, wanted_threads: int | None, devices: Sequence[torch.device]) -> Iterator[None]:
    """Seed torch, and choose algorithms that give equal bits for equal thread counts; all is as before afterwards.

    On CUDA some layers have no deterministic algorithm (reflection padding, backwards): equal there up to rounding.
    """
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    gpus = [device for device in devices if device.type == "cuda"]
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(not gpus)
        torch.set_num_threads(wanted_threads or threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)
