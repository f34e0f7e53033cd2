"""Configs of sequential sampling: defaults are those of the publication, wrong ones are told with their key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import BadInput
from models.sequential.config import POLICY_KINDS, AcquisitionConfig, DqnPolicy, read_sequential

SHORTEST = {"data": {"layout": "arrays", "root": "a"}, "reconstructor": "weights", "policy": {"kind": "dqn"}}


def test_it_imports_no_torch():
    code = "import sys, models.sequential, models.sequential.config; print('torch' in sys.modules)"
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_defaults_are_those_of_the_publication():
    config = read_sequential(SHORTEST)
    assert (config.acquisition.start, config.acquisition.budget, config.train.episodes) == (2, 5, 16)
    policy = DqnPolicy()
    assert (policy.replay, policy.batch, policy.gamma, policy.lr, policy.target_every) == (2000, 32, 1.0, 1e-4, 400)
    assert (policy.epsilon_start, policy.epsilon_end, policy.clip, policy.chans, policy.hidden) == (1.0, 0.01, 1.0, 20, 500)
    assert list(AcquisitionConfig().counts) == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("kind", POLICY_KINDS)
def test_every_policy_is_read_by_its_name(kind):
    assert type(read_sequential({**SHORTEST, "policy": {"kind": kind}}).policy).__struct_config__.tag == kind


WRONG = [
    ({"policy": {"kind": "greed"}}, r"policy.kind: 'greed' is unknown. Did you mean greedy\?"),
    ({"policy": {"kind": "random", "lr": 1}}, r"'lr' is not read by kind random, only by dqn"),
    ({"policy": {"kind": "dqn", "target_every": 0}}, r"policy.target_every is 0"),
    ({"policy": {"kind": "dqn", "replay": 31}}, r"policy.replay is 31; it must be at least policy.batch, 32"),
    ({"policy": {"kind": "dqn"}, "train": {"episodes": 3000}}, r"policy.replay is 2000; it must be at least train.episodes, 3000"),
    ({"policy": {"kind": "dqn", "epsilon_end": 2}}, r"policy.epsilon_end is 2"),
    ({"policy": {"kind": "dqn", "epsilon_steps": 0.996}}, r"policy.epsilon_steps is 0.996; it must be 1 or more steps"),
    ({"policy": {"kind": "nested", "steps": 0}}, r"policy.steps is 0"),
    ({"policy": {"kind": "nested", "columns": "magic"}}, r"policy.columns: 'magic' is unknown"),
    ({"policy": {"kind": "nested", "mask": "m", "columns": "equispaced_fraction"}}, r"left out where policy.mask names a learned mask"),
    ({"acquisition": {"start": 0}}, r"acquisition.start is 0"),
    ({"acquisition": {"budget": 0}}, r"acquisition.budget is 0"),
    ({"reconstructor": " "}, r"reconstructor is ' '; it must be a checkpoint, or a name under needs"),
    ({"train": {"epochs": 0}}, r"train.epochs is 0"),
    ({"data": {"layout": "knee", "root": "a"}}, r"data.layout"),
    ({"data": {"layout": "arrays", "root": "a", "flips": True}}, r"data.flips is True; it must be false: slices are sampled as they are"),
]


@pytest.mark.parametrize(("changed", "message"), WRONG)
def test_wrong_values_are_told(changed, message):
    with pytest.raises(BadInput, match=message):
        read_sequential({**SHORTEST, **changed})
