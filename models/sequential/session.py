"""One run of sequential sampling from config to the learning curve over columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from data.errors import BadInput
from data.kspace.description import MaskDescription
from data.volumes.array_batches import ArrayDataset
from data.volumes.cache import cache_folder
from data.volumes.layouts import open_splits
from data.volumes.volume import Volume
from models.build import build_model
from models.network import Network
from models.sequential.config import DqnPolicy, NestedPolicy, SequentialConfig, read_sequential
from models.sequential.environment import ColumnEnvironment
from models.sequential.learning import Learner
from models.sequential.measuring import CURVE, Curve, Roll, measure, roll_nested, roll_policy
from models.sequential.nested import budgets, rank_of
from models.sequential.policies import build_policy
from models.training.checkpoint import drop_states
from models.training.context import Run
from models.training.fit import refuse_misfit, refuse_other_shapes
from models.training.initial import Initial, read_initial, take_weights
from models.training.parallel.plan import choose_device
from models.training.session import reproducible, stop_if_asked

LEARNED = "sampling."
"""Start of the names of the weights of a learned mask: a sampler puts another one in its place."""


def train_config(values: Mapping[str, Any], run: Run) -> dict[str, float]:
    """Let a sampler learn, if it can, and measure it. Returns the test metrics after each number of columns."""
    config = read_sequential(values)
    device = choose_device(config.train.device)
    with reproducible(config.seed, config.train.threads, (device,)):
        slices = open_slices(config)
        try:
            volumes = [volume for held in slices.values() for volume in held.volumes]
            environment = ColumnEnvironment(frozen_network(config, volumes, run, device), config.acquisition)
            if isinstance(config.policy, DqnPolicy):
                return _learn(Learner(config, config.policy, environment, slices, run=run, device=device))
            return _measure(config, environment, slices, run, device)
        finally:
            for held in slices.values():
                held.reader.close()


def open_slices(config: SequentialConfig) -> dict[str, ArrayDataset]:
    """Open the fully sampled slices of each split."""
    splits = open_splits(config.data)
    cache = cache_folder(config.data.cache)
    volumes = {"train": splits.train, "val": splits.val, "test": splits.test}
    return {split: ArrayDataset(held, None, cache=cache) for split, held in volumes.items()}


def frozen_network(config: SequentialConfig, volumes: Sequence[Volume], run: Run, device: torch.device) -> Network:
    """Return the reconstructor, in evaluation mode; a mask that it has learned is left out, since the sampler chooses."""
    initial = read_initial(config.reconstructor, run, key="reconstructor")
    refuse_misfit(initial.config.network, config.data)
    refuse_other_shapes(initial.config.network, MaskDescription(), volumes)
    network = build_model(initial.config.network).to(device).eval().requires_grad_(False)
    take_weights(network, without_mask(initial))
    run.log(f"reconstructs with {initial.config.network}, weights of epoch {initial.epoch} of {initial.path}, on {device}")
    return network


def without_mask(initial: Initial) -> Initial:
    """Return a checkpoint without the weights of its learned mask."""
    return initial._replace(weights={name: values for name, values in initial.weights.items() if not name.startswith(LEARNED)})


def _learn(learner: Learner) -> dict[str, float]:
    run = learner.run
    learner.start()
    run.log(f"{len(learner.slices['train'])} train, {len(learner.slices['val'])} val, {len(learner.slices['test'])} test slices")
    learner.learn()
    results = _tested(roll_policy(learner.chosen), learner.environment, learner.slices["test"], run, learner.device)
    learner.export_best(results)
    drop_states(run.checkpoint_dir, keep=1)
    return results | {"val/auc_nmse": learner.played.best_area, "best_epoch": float(learner.played.best_epoch)}


def _measure(
    config: SequentialConfig, environment: ColumnEnvironment, slices: dict[str, ArrayDataset], run: Run, device: torch.device
) -> dict[str, float]:
    roll = _roll(config, slices["val"].volumes[0].shape[-1], run)
    curve = measure(roll, environment, slices["val"], device, lambda: stop_if_asked(run))
    run.report(1, curve.metrics("val"))
    return _tested(roll, environment, slices["test"], run, device) | {"val/auc_nmse": curve.area}


def _roll(config: SequentialConfig, width: int, run: Run) -> Roll:
    policy = config.policy
    if isinstance(policy, NestedPolicy):
        if config.acquisition.total > width:
            raise BadInput(f"acquisition: {config.acquisition.total} columns in all, k-space has {width}. Lower one.")
        return roll_nested(rank_of(config, policy, width, run), budgets(config.acquisition.total, policy.steps))
    assert not isinstance(policy, DqnPolicy)
    return roll_policy(build_policy(policy, config.seed))


def _tested(roll: Roll, environment: ColumnEnvironment, slices: ArrayDataset, run: Run, device: torch.device) -> dict[str, float]:
    curve: Curve = measure(roll, environment, slices, device, lambda: stop_if_asked(run))
    curve.write(Path(run.dir) / CURVE)
    return curve.metrics("test")
