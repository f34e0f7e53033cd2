"""The epochs: train, validate, report, keep the best, and be able to stop and go on at any step."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import torch
from torch import Tensor

from data.errors import BadInput
from data.volumes.loading import Sample
from models.build import build_model, build_optimiser
from models.config import TrainConfig
from models.losses import LOSSES
from models.training.checkpoint import BEST, load_newest_state, save_state, write_whole
from models.training.context import Run
from models.training.errors import Diverged
from models.training.evaluate import Evaluation, evaluate
from models.training.feed import Feed, batches, slices_of
from models.training.pictures import Board, reconstruct_middle, show


@dataclass(kw_only=True)
class Progress:
    """Where training is. Together with weights, optimiser and generators it is all that the next step depends on."""

    epoch: int = 1
    """The epoch under way, from 1; epochs + 1 when all are done."""
    batches: int = 0
    """Batches of it that are done."""
    loss_sum: float = 0.0
    """Sum of the losses of the slices of these batches."""
    slices: int = 0
    best_epoch: int = 0
    """0: none yet."""
    best_ssim: float = -math.inf
    """Largest val/ssim so far."""


class Trainer:
    """Trains one network; `restore` continues an earlier attempt bit by bit on the same device type and thread count."""

    def __init__(self, config: TrainConfig, run: Run, feed: Feed, device: torch.device) -> None:
        self.config = config
        self.run = run
        self.feed = feed
        self.device = device
        self.model = build_model(config.model).to(device)
        self.model.recompute = config.train.recompute
        self.optimiser, self.schedule = build_optimiser(config.optim, self.model)
        self.loss = LOSSES[config.loss.kind]
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self._saved_s = time.monotonic()

    def fit(self) -> None:
        """Train all epochs that are left; `best` then holds the weights of the best."""
        board = Board(self.run.dir / "tb", first_step=self.progress.epoch)
        try:
            while self.progress.epoch <= self.config.train.epochs:
                self._run_epoch(board)
        finally:
            board.close()

    def test(self) -> Evaluation:
        """Measure the best weights on the test split, once."""
        self.model.load_state_dict(self.best)
        return evaluate(self.model, self.feed.test, self.loss, self.device, between=self._stop_if_asked)

    def export_best(self, metrics: dict[str, float]) -> None:
        """Write the best weights, with the config that an evaluation needs to rebuild the network."""
        content = {"config": msgspec.to_builtins(self.config), "model": self.best, "epoch": self.progress.best_epoch, "metrics": metrics}
        write_whole(self.run.checkpoint_dir / BEST, content)

    def _run_epoch(self, board: Board) -> None:
        started_s = time.monotonic()
        epoch, lr = self.progress.epoch, self.optimiser.param_groups[0]["lr"]
        self._train_epoch()
        validation = evaluate(self.model, self.feed.val, self.loss, self.device, between=self._pause_if_asked)
        self._refuse_divergence(validation.loss, "validation")
        metrics = {"train/loss": self.progress.loss_sum / self.progress.slices, **validation.means("val"), "lr": lr}
        self._keep_best(metrics["val/ssim"])
        self.schedule.step()
        report = metrics | {"seconds": time.monotonic() - started_s}
        self.run.report(epoch, report)
        board.scalars(epoch, report)
        if self._wants_pictures(epoch):
            show(reconstruct_middle(self.model, slices_of(self.feed.val), self.device), epoch, run=self.run, board=board)
        self._begin(epoch + 1)

    def _begin(self, epoch: int) -> None:
        self.progress.epoch = epoch
        self.progress.batches, self.progress.loss_sum, self.progress.slices = 0, 0.0, 0
        self.save()

    def _train_epoch(self) -> None:
        """Train the batches that are left of this epoch. Gradients of micro-batches add up to that of the whole batch."""
        order, progress = self.feed.order, self.progress
        order.set_position(progress.epoch, progress.batches)
        self.model.begin_epoch(progress.epoch)
        self.model.train()
        self.optimiser.zero_grad()
        done, loss_sum = 0, torch.zeros((), device=self.device)
        for sample in batches(self.feed.train, self.device):
            size = order.batch_size(progress.batches)
            loss_sum += self._add_gradients(sample, size)
            done += len(sample.kspace)
            if done == size:
                self._step(size, float(loss_sum))
                self._pause_if_asked()
                done, loss_sum = 0, torch.zeros((), device=self.device)

    def _add_gradients(self, sample: Sample, size: int) -> Tensor:
        """Add the gradient of a micro-batch, as its part of a batch of `size` slices. Returns the sum of its losses alone."""
        total = self.loss(self.model(sample), sample).sum()
        ((total + self.model.penalty() * len(sample.kspace)) / size).backward()
        return total.detach()

    def _step(self, size: int, loss_sum: float) -> None:
        self._refuse_divergence(loss_sum, f"batch {self.progress.batches + 1}")
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.progress.batches += 1
        self.progress.slices += size
        self.progress.loss_sum += loss_sum

    def _refuse_divergence(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            place = f"epoch {self.progress.epoch}, {where}"
            raise Diverged(f"{place}: the loss is {loss}. Lower optim.lr ({self.config.optim.lr}) or look at the data.")

    def _keep_best(self, ssim: float) -> None:
        if ssim > self.progress.best_ssim:
            self.progress.best_epoch, self.progress.best_ssim = self.progress.epoch, ssim
            self.best = {name: values.detach().cpu().clone() for name, values in self.model.state_dict().items()}

    def _wants_pictures(self, epoch: int) -> bool:
        every = self.config.train.images_every
        return every > 0 and (epoch % every == 0 or epoch == self.config.train.epochs)

    def _stop_if_asked(self) -> None:
        """During the test: the checkpoint of the last epoch is there already."""
        if self.run.stop_requested:
            raise self.run.Interrupted()

    def _pause_if_asked(self) -> None:
        """Between steps: write a checkpoint when it is time, or when the run is to stop."""
        stop = self.run.stop_requested  # asked once: a signal may turn it on at any moment, and no stop goes without a checkpoint
        if stop or time.monotonic() - self._saved_s > 60 * self.config.train.checkpoint_min:
            self.save()
        if stop:
            raise self.run.Interrupted()

    def save(self) -> None:
        """Write a checkpoint from which the next step will be the same as without an interruption."""
        state = {
            "config": msgspec.to_builtins(self.config),
            "progress": asdict(self.progress),
            "model": self.model.state_dict(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "rng": self._generators(),
        }
        save_state(self.run.checkpoint_dir, state, epoch=self.progress.epoch, batches=self.progress.batches)
        self._saved_s = time.monotonic()

    def restore(self) -> None:
        """Continue from the newest undamaged checkpoint of the attempt before; without one, training begins anew."""
        if self.run.resume_from is None:
            return
        state = load_newest_state(self.run.resume_from, self.run.log)
        if state is None:
            self.run.log(f"{self.run.resume_from} holds no usable checkpoint; training begins anew")
            return
        self._refuse_other_config(state["config"])
        self.progress = Progress(**state["progress"])
        self.model.load_state_dict(state["model"])
        self.best = state["best"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self._set_generators(state["rng"])
        self.run.log(f"resumed in epoch {self.progress.epoch} after {self.progress.batches} batches, from {self.run.resume_from}")

    def _refuse_other_config(self, found: dict[str, Any]) -> None:
        """A checkpoint continues the same science only; `train` may change (workers, micro-batches, more epochs)."""
        ours: dict[str, Any] = msgspec.to_builtins(self.config)
        for key in ours:
            if key not in ("train", "data") and ours[key] != found.get(key):
                raise BadInput(f"{self.run.resume_from}: has {key} = {found.get(key)}, this run has {ours[key]}. Start a new run instead.")

    def _generators(self) -> dict[str, Any]:
        """State of the generators of dropout. Order and masks need none: they are functions of seed, epoch and slice."""
        on_gpu = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        return {"cpu": torch.get_rng_state(), "cuda": on_gpu}

    def _set_generators(self, states: dict[str, Any]) -> None:
        torch.set_rng_state(states["cpu"])
        if self.device.type == "cuda" and states["cuda"] is not None:
            torch.cuda.set_rng_state(states["cuda"], self.device)
