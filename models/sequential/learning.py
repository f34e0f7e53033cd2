"""The epochs of a Q-network: episodes on the training slices, an update after each of their steps, validation, the best kept."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import torch
from torch import Generator, Tensor

from data.errors import BadInput
from data.volumes.array_batches import ArrayDataset
from data.volumes.sampling import Pick, ShuffledBatches, buckets_of
from models.sequential.agent import DoubleDqn, epsilon
from models.sequential.config import DqnPolicy, SequentialConfig
from models.sequential.environment import ColumnEnvironment, with_columns
from models.sequential.measuring import Curve, measure, roll_policy
from models.sequential.policies import Policy, seeing
from models.sequential.replay import Replay, Transitions
from models.training.checkpoint import BEST, load_newest_state, save_state, write_whole
from models.training.context import Run
from models.training.errors import Degenerate, Diverged


@dataclass(kw_only=True)
class Played:
    """Where learning is."""

    epoch: int = 1
    """The one under way, from 1."""
    batches: int = 0
    """Batches of episodes of it that are over."""
    steps: int = 0
    """Steps of the environment so far, each of all episodes of a batch."""
    losses: float = 0.0
    """Sum of the losses of the updates of this epoch."""
    updates: int = 0
    """Updates of this epoch."""
    rewards: float = 0.0
    """Sum of what the episodes of this epoch have gained."""
    episodes: int = 0
    """Episodes of this epoch."""
    best_epoch: int = 0
    """0: none yet."""
    best_area: float = math.inf
    """Smallest val/auc_nmse so far."""


class Learner:
    """Lets a Q-network learn; `start` continues an earlier attempt bit by bit on the same device type and thread count."""

    def __init__(
        self,
        config: SequentialConfig,
        policy: DqnPolicy,
        environment: ColumnEnvironment,
        slices: dict[str, ArrayDataset],
        *,
        run: Run,
        device: torch.device,
    ) -> None:
        """slices: those of train and val."""
        self.config, self.policy, self.environment, self.slices, self.run, self.device = config, policy, environment, slices, run, device
        train = slices["train"]
        _, coils, _, columns = environment.reset(train.__getitems__([Pick(0, 0)]).to(device)).kspace.shape
        self.agent = DoubleDqn(policy, coils=coils, columns=columns, device=device)
        self.replay = Replay(policy.replay, columns)
        self.order = ShuffledBatches(
            buckets_of(train.volumes), batch=config.train.episodes, micro_batch=config.train.episodes, seed=config.seed
        )
        self.generator = Generator().manual_seed(config.seed)
        self.played = Played()
        self.best: dict[str, Tensor] = {}
        self._saved_s = time.monotonic()
        self._refuse_resting_target()

    def _refuse_resting_target(self) -> None:
        """Raise BadInput where training is so short that the target network would never learn anything."""
        in_all = self._count_updates()
        if self.policy.target_every > in_all:
            raise BadInput(
                f"policy.target_every is {self.policy.target_every}, but training has {in_all} updates: the target network would never "
                "be updated. Lower it, or raise train.epochs."
            )

    def _count_updates(self) -> int:
        """Return how many updates all epochs have: one after each step, once there are enough transitions to learn from."""
        episodes = [self.order.batch_size(place) for place in range(self.order.batches())] * self.config.train.epochs
        remembered = torch.tensor(episodes).repeat_interleave(self.config.acquisition.budget).cumsum(0)
        return int((remembered >= self.policy.batch).sum())

    @property
    def chosen(self) -> Policy:
        """The sampler as it is now, without any exploration."""
        return seeing(self.agent.choose)

    def start(self) -> None:
        """Continue the attempt before, if there is one."""
        if self.run.resume_from is None:
            return
        state = load_newest_state(self.run.resume_from, self.run.log)
        if state is None:
            self.run.log(f"{self.run.resume_from} holds no usable checkpoint; learning begins anew")
            return
        refuse_other_science(self.config, state["config"], f"{self.run.resume_from}")
        self.played, self.best = Played(**state["played"]), state["best"]
        self.agent.load_state_dict(state["agent"])
        self.replay.load_state_dict(state["replay"])
        self.generator.set_state(state["generator"])
        self.run.log(f"resumed in epoch {self.played.epoch} after {self.played.batches} batches, from {self.run.resume_from}")

    def learn(self) -> None:
        """Learn for all epochs that are left; the agent then has the weights of the best."""
        while self.played.epoch <= self.config.train.epochs:
            self._run_epoch()
        if not self.best:
            raise Degenerate("no epoch gave a val/auc_nmse that can be believed. Look at the reconstructor and the data.")
        self.agent.network.load_state_dict(self.best)

    def export_best(self, metrics: dict[str, float]) -> None:
        """Write the best weights, with the config that rebuilds the sampler."""
        content = {"config": msgspec.to_builtins(self.config), "model": self.best, "epoch": self.played.best_epoch, "metrics": metrics}
        write_whole(self.run.checkpoint_dir / BEST, content)

    def save(self) -> None:
        """Write a checkpoint from which the next step will be the same as without an interruption."""
        state: dict[str, Any] = {
            "config": msgspec.to_builtins(self.config),
            "played": asdict(self.played),
            "best": self.best,
            "agent": self.agent.state_dict(),
            "replay": self.replay.state_dict(),
            "generator": self.generator.get_state(),
        }
        where, keep = self.played, self.config.train.keep_checkpoints
        save_state(self.run.checkpoint_dir, state, epoch=where.epoch, batches=where.batches, keep=keep)
        self._saved_s = time.monotonic()

    def _run_epoch(self) -> None:
        started_s, played = time.monotonic(), self.played
        self.order.set_position(played.epoch, played.batches)
        for picks in self.order:
            self._play(picks)
            played.batches += 1
            self._pause_if_asked()
        curve = measure(roll_policy(self.chosen), self.environment, self.slices["val"], self.device, self._pause_if_asked)
        self._judge(curve)
        self.run.report(played.epoch, self._metrics() | curve.metrics("val") | {"seconds": time.monotonic() - started_s})
        self.played = Played(epoch=played.epoch + 1, steps=played.steps, best_epoch=played.best_epoch, best_area=played.best_area)
        self.save()

    def _play(self, picks: list[Pick]) -> None:
        """Play an episode on each of some slices, and learn after each step."""
        seen, items = self.environment.reset(self.slices["train"].__getitems__(picks).to(self.device)), [pick.item for pick in picks]
        done = False
        while not done:
            columns = self.agent.explore(seen, epsilon(self.policy, self.played.steps), self.generator)
            before, (seen, reward, done) = seen.mask, self.environment.step(columns)
            self.replay.add(Transitions(torch.tensor(items), before, columns, reward))
            self.played.steps += 1
            self.played.rewards += float(reward.sum())
            if len(self.replay) >= self.policy.batch:
                self._update()
        self.played.episodes += len(picks)

    def _update(self) -> None:
        """Learn from some of what is remembered. What was seen then is reconstructed again, instead of being kept."""
        drawn = Transitions(*(values.to(self.device) for values in self.replay.draw(self.policy.batch, self.generator)))
        sample = self.slices["train"].__getitems__([Pick(0, item) for item in drawn.item.tolist()]).to(self.device)
        mask = with_columns(drawn.mask, drawn.column)
        before, after = (self.environment.reconstruct(sample, known).observation for known in (drawn.mask, mask))
        done = mask.sum(dim=1) >= self.config.acquisition.total
        loss = self.agent.learn(before, drawn.column, drawn.reward, after, done=done)
        if not math.isfinite(loss):
            raise Diverged(f"epoch {self.played.epoch}: the loss of the Q-network is {loss}. Lower policy.lr ({self.policy.lr}).")
        self.played.losses += loss
        self.played.updates += 1

    def _judge(self, curve: Curve) -> None:
        """Keep the weights where this epoch is the best so far."""
        if curve.area < self.played.best_area:
            self.played.best_area, self.played.best_epoch = curve.area, self.played.epoch
            self.best = {name: values.detach().cpu().clone() for name, values in self.agent.network.state_dict().items()}

    def _metrics(self) -> dict[str, float]:
        played = self.played
        return {
            "train/loss": played.losses / played.updates if played.updates else math.nan,
            "train/reward": played.rewards / played.episodes,
            "epsilon": epsilon(self.policy, played.steps),
            "target_updates": float(self.agent.updates // self.policy.target_every),
        }

    def _pause_if_asked(self) -> None:
        """Between batches: write a checkpoint when it is time, or when the run is to stop."""
        stop = self.run.stop_requested  # asked once: a signal may turn it on at any moment, and no stop goes without a checkpoint
        if stop or time.monotonic() - self._saved_s > 60 * self.config.train.checkpoint_min:
            self.save()
        if stop:
            raise self.run.Interrupted()


def refuse_other_science(config: SequentialConfig, found: dict[str, Any], where: str) -> None:
    """Raise BadInput where a checkpoint belongs to another run; its means may have changed, and data may have moved."""
    ours: dict[str, Any] = msgspec.to_builtins(config)
    compared = {key: (ours[key], found.get(key)) for key in ("acquisition", "policy", "seed")}
    compared["train.episodes"] = (ours["train"]["episodes"], found["train"]["episodes"])
    for key, (wanted, there) in compared.items():
        if wanted != there:
            raise BadInput(f"{where}: has {key} = {there}, this run has {wanted}. Start a new run instead.")
