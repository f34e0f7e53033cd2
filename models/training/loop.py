"""The epochs: train, validate, report, keep the best, and be able to stop and go on at any step."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from models.config import TrainConfig, plain_config
from models.losses import l1_loss
from models.training import state
from models.training.checkpoint import BEST, save_state, write_whole
from models.training.context import Run
from models.training.errors import Degenerate, Diverged
from models.training.evaluate import AsGiven, Watch, evaluate
from models.training.feed import AnySample, Feed, batches, slices_of
from models.training.initial import read_initial, refuse_other_network, take_frozen, take_weights
from models.training.masks import MaskHistory
from models.training.parallel.ranks import Ranks
from models.training.pictures import Board, MiddleSlices
from models.training.precision import Precision
from models.training.progress import Progress
from models.training.scores import Evaluation, why_degenerate
from models.training.step import Stepper
from models.training.tasks import name_tasks


class Trainer:
    """Trains one network; `start` continues an earlier attempt bit by bit on the same device type and thread count."""

    def __init__(self, stepper: Stepper, run: Run, feed: Feed, devices: tuple[torch.device, ...], ranks: Ranks) -> None:
        self.config: TrainConfig = stepper.config
        self.run = run
        self.feed = feed
        self.devices = devices
        self.device = devices[0]
        self.ranks = ranks
        self.stepper = stepper
        self.progress = Progress()
        self.progress.begin(1, len(feed.tasks))
        self.best: dict[str, Tensor] = {}
        self.masks = MaskHistory(slices_of(feed.val).volumes[0].shape[-2:])
        self._saved_s = time.monotonic()

    def start(self) -> None:
        """Continue the attempt before; without one, begin with the weights of train.init_from, if any."""
        if state.restore(self):
            return
        networks = [self.stepper.model] + ([] if self.stepper.mean is None else [self.stepper.mean.model])
        if self.config.train.init_from:
            initial = read_initial(self.config.train.init_from, self.run)
            refuse_other_network(initial, self.config.network)
            for network in networks:
                take_weights(network, initial)
            self.run.log(f"begins with the weights of epoch {initial.epoch} of {initial.path}")
        take_frozen(networks, self.config.network, self.run)
        self.masks.follow(0, self.stepper.kept)

    def fit(self) -> None:
        """Train all epochs that are left; `best` of the first process then holds the weights of the best. Raises Degenerate for none."""
        loop = self.config.train
        board = Board(self.run.dir / "tb", first_step=self.progress.epoch)
        try:
            while not self.progress.is_over(epochs=loop.epochs, patience=loop.patience):
                self._run_epoch(board)
        finally:
            board.close()
        if self.ranks.is_first:
            self.masks.write(self.run.dir)  # here too: an attempt may have nothing left but the test
        if not self.progress.best_epoch:
            raise Degenerate("no epoch gave a result that can be believed; the log says why. Look at mask and data, or at optim.lr.")
        if self.progress.epochs_done < loop.epochs:
            self.run.log(f"stopped after epoch {self.progress.epochs_done}: {loop.patience} in a row were no better (train.patience)")

    def test(self, watchers: Sequence[Watch] = ()) -> Evaluation:
        """Measure the best weights on the test split, once."""
        self.stepper.kept.load_state_dict(self.best)
        self.stepper.kept.testing = True
        return evaluate(
            self.stepper.kept,
            self.feed.test,
            self.stepper.loss,
            self.device,
            precision=self.stepper.precision,
            between=self._stop_if_asked,
            watchers=watchers,
        )

    def export_best(self, metrics: dict[str, float]) -> None:
        """Write the best weights, with the config that an evaluation needs to rebuild the network."""
        config = plain_config(self.config)
        content = {"config": config, "model": self.best, "epoch": self.progress.best_epoch, "metrics": metrics}
        write_whole(self.run.checkpoint_dir / BEST, content)

    def _run_epoch(self, board: Board) -> None:
        started_s, epoch = time.monotonic(), self.progress.epoch
        if epoch == 1 and self.config.train.preview:
            self.ranks.from_first(lambda: self._preview(board))
        lr = self._train_epoch()
        self.progress = self.ranks.from_first(lambda: self._look(board, lr, started_s))
        self.stepper.weighting.end_epoch(self.progress.losses())
        self.progress.begin(epoch + 1, len(self.feed.tasks))
        self.ranks.from_first(self.save)

    def _train_epoch(self) -> float:
        """Train the batches that are left of this epoch. Returns the learning rate."""
        order, progress = self.feed.order, self.progress
        order.set_position(progress.epoch, progress.batches)
        lr = self.stepper.begin_epoch(progress.epoch)
        samples = batches(self.feed.train, self.device)
        while progress.batches < order.batches():
            self._train_batch(samples)
            self.ranks.from_first(self._pause_if_asked)
        self.stepper.end_epoch()
        return lr

    def _train_batch(self, samples: Iterator[AnySample]) -> None:
        """Take one step. samples: the micro-batches of our share of it come next."""
        order, progress, place = self.feed.order, self.progress, self.progress.batches
        self.ranks.begin_batch(self.config.seed, progress.epoch, place)
        done, loss_sum = 0, torch.zeros((), device=self.device)
        while done < order.share_size(place):
            sample = next(samples)
            loss_sum += self.stepper.add_gradients(sample, order.batch_size(place))
            done += len(sample.target)
        loss = self.ranks.add_up(self.stepper.moved, loss_sum)
        self._refuse_divergence(loss, f"batch {place + 1}")
        self.stepper.move()
        progress.count_batch(order.task(place), order.batch_size(place), loss)

    def _look(self, board: Board, lr: float, started_s: float) -> Progress:
        """Validate, report, and judge whether this epoch is the best so far. Returns where training is."""
        epoch, pictures = self.progress.epoch, MiddleSlices(self.feed.tasks)
        validation = self._validate([pictures] if self._wants_pictures(epoch) else [])
        metrics = self._metrics(validation) | self.masks.follow(epoch, self.stepper.kept)
        self._judge(validation)
        report = metrics | {"lr": lr, "seconds": time.monotonic() - started_s}
        self.run.report(epoch, report)
        board.scalars(epoch, report)
        pictures.show(epoch, run=self.run, board=board)
        self._show_mask(board)
        return self.progress

    def _validate(self, watchers: Sequence[Watch]) -> Evaluation:
        stepper = self.stepper
        validation = evaluate(
            stepper.kept,
            self.feed.val,
            stepper.loss,
            self.device,
            precision=stepper.precision,
            between=self._pause_if_asked,
            watchers=watchers,
        )
        self._refuse_divergence(validation.loss, "validation")
        return validation

    def _metrics(self, validation: Evaluation) -> dict[str, float]:
        """Return what is reported of an epoch."""
        tasks, progress = self.feed.tasks, self.progress
        return (
            {"train/loss": progress.loss()}
            | name_tasks("train/loss", tasks, progress.losses())
            | name_tasks("weight", tasks, self.stepper.weighting.weights())
            | self.stepper.measured()
            | validation.means("val", tasks)
            | validation.fractions("val")
            | {"val/degenerate": float(bool(why_degenerate(validation, self.config.asked_mask)))}
        )

    def _judge(self, validation: Evaluation) -> None:
        """Keep the weights where this epoch is the best so far."""
        why = why_degenerate(validation, self.config.asked_mask)
        if why:
            self.run.log(f"epoch {self.progress.epoch} is no candidate for the best: {why}")
        ssim, min_delta = validation.means("val")["val/ssim"], self.config.train.min_delta
        if self.progress.judge(ssim, min_delta=min_delta, degenerate=bool(why)):
            self.best = {name: values.detach().cpu().clone() for name, values in self.stepper.kept.state_dict().items()}

    def _show_mask(self, board: Board) -> None:
        """Keep the mask that the network has learned, epoch for epoch."""
        self.masks.write(self.run.dir)
        if self.config.train.images_every:
            self.masks.show(self.run, board)

    def _preview(self, board: Board) -> None:
        """Show what the network is given, as step 0."""
        pictures = MiddleSlices(self.feed.tasks, given=True)
        found = evaluate(
            AsGiven(),
            self.feed.val,
            l1_loss,
            self.device,
            precision=Precision("float32", self.device),
            between=lambda: None,
            watchers=[pictures],
        )
        self.run.log(f"what the network is given has val/ssim {found.means('val')['val/ssim']:.4f}")
        pictures.show(0, run=self.run, board=board)

    def _refuse_divergence(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            place = f"epoch {self.progress.epoch}, {where}"
            raise Diverged(f"{place}: the loss is {loss}. Lower optim.lr ({self.config.optim.lr}) or look at the data.")

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
        where, keep = self.progress, self.config.train.keep_checkpoints
        save_state(self.run.checkpoint_dir, state.collect(self), epoch=where.epoch, batches=where.batches, keep=keep)
        self._saved_s = time.monotonic()
