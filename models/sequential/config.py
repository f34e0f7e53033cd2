"""What a run of sequential sampling is told: typed, complete, checked. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from data.errors import BadInput
from data.limits import choice, limit, unknown
from data.volumes.description import ArrayData
from models.config import read_config_as
from models.training_config import DEVICES, RATE

NESTED_COLUMNS = ("random", "equispaced_fraction")
"""Kinds of masks of columns that can be drawn for any number of them."""


class AcquisitionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many columns of k-space are acquired."""

    start: int = 2
    """Columns in the centre that are there from the beginning."""
    budget: int = 5
    """Columns that are chosen then, one after the other."""

    def __post_init__(self) -> None:
        limit("acquisition.start", self.start, self.start >= 1, "1 or more columns")
        limit("acquisition.budget", self.budget, self.budget >= 1, "1 or more columns")

    @property
    def total(self) -> int:
        """Columns at the end."""
        return self.start + self.budget

    @property
    def counts(self) -> range:
        """Numbers of columns at which a reconstruction is measured."""
        return range(self.start, self.total + 1)


class RandomPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="random"):
    """Any column that is not acquired yet, each as likely."""


class LowToHighPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="low_to_high"):
    """The column next to the centre."""


class EvaluatorFreePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="evaluator_free"):
    """The column in which the reconstruction itself predicts the most energy: neither the truth nor a trained judge is asked."""


class GreedyPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="greedy"):
    """An oracle that knows the truth: the column after which the error is smallest."""


class NestedPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="nested"):
    """One mask of columns in steps that do not look at the image: of n steps the i-th has acquired round(i / n) of its columns."""

    steps: int = 4
    """n."""
    mask: str = ""
    """A checkpoint with a learned mask, or a name under `needs` of the grid; its surest columns come first. Empty: `columns`."""
    columns: str = "random"
    """Kind of a mask of columns that is fixed for each volume; those next to the centre come first."""

    def __post_init__(self) -> None:
        limit("policy.steps", self.steps, self.steps >= 1, "1 or more")
        choice("policy.columns", self.columns, NESTED_COLUMNS)
        own = not self.mask or self.columns == "random"
        limit("policy.columns", self.columns, own, "left out where policy.mask names a learned mask")


class DqnPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="dqn"):
    """What a double deep Q-network has learned to choose (van Hasselt et al. 2016; Pineda et al. 2020, arXiv 2007.10469)."""

    chans: int = 20
    """Channels of its convolutions."""
    hidden: int = 500
    """Features between its linear layers."""
    lr: float = 1e-4
    """Learning rate of Adam."""
    gamma: float = 1.0
    """Weight of what is gained one step later."""
    batch: int = 32
    """Transitions of one update."""
    replay: int = 2000
    """Transitions that are remembered; the oldest are forgotten."""
    target_every: int = 400
    """Updates after which the target network takes the weights of the other one."""
    epsilon_start: float = 1.0
    """Part of the columns that are chosen at random, at the beginning."""
    epsilon_end: float = 0.01
    """What it falls to."""
    epsilon_steps: float = 1000.0
    """Steps of the environment in which its distance from the end falls by a factor of e."""
    clip: float = 1.0
    """Largest entry of a gradient."""

    def __post_init__(self) -> None:
        for key in ("chans", "hidden", "batch", "target_every"):
            limit(f"policy.{key}", getattr(self, key), getattr(self, key) >= 1, "1 or more")
        limit("policy.lr", self.lr, 0 < self.lr < 100, RATE)
        limit("policy.gamma", self.gamma, 0 <= self.gamma <= 1, "between 0 and 1")
        limit("policy.replay", self.replay, self.replay >= self.batch, f"at least policy.batch, {self.batch}")
        limit("policy.epsilon_start", self.epsilon_start, 0 <= self.epsilon_start <= 1, "between 0 and 1")
        limit("policy.epsilon_end", self.epsilon_end, 0 <= self.epsilon_end <= self.epsilon_start, "at most policy.epsilon_start")
        limit("policy.epsilon_steps", self.epsilon_steps, 1 <= self.epsilon_steps < 1e12, "1 or more steps")
        limit("policy.clip", self.clip, self.clip > 0, "above 0")


PolicyConfig = RandomPolicy | LowToHighPolicy | EvaluatorFreePolicy | GreedyPolicy | NestedPolicy | DqnPolicy
"""By policy.kind."""
POLICY_KINDS = tuple(str(kind.__struct_config__.tag) for kind in get_args(PolicyConfig))


class EpisodesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the Q-network learns, and with what means. The other policies learn nothing: they are measured once."""

    epochs: int = 20
    """Passes over the training slices, an episode each."""
    episodes: int = 16
    """Episodes side by side; after each of their steps there is one update."""
    threads: int | None = None
    """CPU threads of tensor operations; equal numbers give equal bits. None: as the surroundings have set it."""
    device: str = "auto"
    """auto: cuda where there is a GPU, else cpu."""
    checkpoint_min: float = 10.0
    """Minutes after which a checkpoint is also written within an epoch."""
    keep_checkpoints: int = 2
    """States that are kept while it goes on."""

    def __post_init__(self) -> None:
        limit("train.epochs", self.epochs, self.epochs >= 1, "1 or more")
        limit("train.episodes", self.episodes, self.episodes >= 1, "1 or more")
        limit("train.threads", self.threads, self.threads is None or 1 <= self.threads <= 1024, "between 1 and 1024, or null")
        choice("train.device", self.device, DEVICES)
        limit("train.checkpoint_min", self.checkpoint_min, self.checkpoint_min > 0, "above 0 minutes")
        limit("train.keep_checkpoints", self.keep_checkpoints, self.keep_checkpoints >= 1, "1 or more")


class SequentialConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One complete run of sequential sampling."""

    data: ArrayData
    """The volumes, fully sampled."""
    reconstructor: str
    """The checkpoint of the frozen network: best.pt, its folder, or a name under `needs` of the grid."""
    acquisition: AcquisitionConfig = AcquisitionConfig()
    """How much is acquired."""
    policy: PolicyConfig
    """Who chooses."""
    train: EpisodesConfig = EpisodesConfig()
    """For how long the Q-network learns."""
    seed: int = 1
    """Decides first weights, order of slices, exploration and what is drawn at random."""

    def __post_init__(self) -> None:
        limit("seed", self.seed, 0 <= self.seed < 2**63, "0 or more, below 2 ** 63")
        limit("data.flips", self.data.flips, not self.data.flips, "false: slices are sampled as they are")
        limit("reconstructor", self.reconstructor, bool(self.reconstructor.strip()), "a checkpoint, or a name under needs")
        if isinstance(self.policy, DqnPolicy):
            enough = self.policy.replay >= self.train.episodes
            limit("policy.replay", self.policy.replay, enough, f"at least train.episodes, {self.train.episodes}")


def read_sequential(values: Mapping[str, Any]) -> SequentialConfig:
    """Convert a plain mapping. Raises BadInput naming key, value and what is allowed; an unknown policy lists the known ones."""
    policy = values.get("policy")
    kind = policy.get("kind") if isinstance(policy, Mapping) else None
    if isinstance(kind, str) and kind not in POLICY_KINDS:
        raise BadInput(f"config: policy.kind: {unknown(kind, POLICY_KINDS)}.")
    return read_config_as(SequentialConfig, values)
