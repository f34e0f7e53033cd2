"""The Q-network: its target is that of double Q-learning, its target network follows, its exploration falls, and it finds an optimum."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from data.errors import BadInput
from data.volumes.description import ArrayData
from models.sequential.agent import DoubleDqn, best_free, draw_free, epsilon
from models.sequential.config import AcquisitionConfig, DqnPolicy, EpisodesConfig, RandomPolicy, SequentialConfig
from models.sequential.environment import ColumnEnvironment, Observation
from models.sequential.learning import Learner
from models.sequential.measuring import measure, roll_policy
from models.sequential.policies import build_policy
from tests.models.local_run import LocalRun
from tests.models.sequential.toy import ZeroFilled, all_of, best_error, open_split, write_signposts

CPU = torch.device("cpu")


def draw_observation(batch: int = 6, seed: int = 0) -> Observation:
    rng = torch.Generator().manual_seed(seed)
    mask = torch.rand(batch, 9, generator=rng) < 0.4
    mask[:, 0] = False
    return Observation(torch.randn(batch, 1, 8, 9, dtype=torch.complex64, generator=rng), mask)


def make_agent(**changed) -> DoubleDqn:
    torch.manual_seed(5)
    agent = DoubleDqn(DqnPolicy(chans=3, hidden=7, **changed), coils=1, columns=9, device=CPU)
    with torch.no_grad():
        for weights in agent.target.parameters():
            weights.add_(0.5 * torch.randn_like(weights))
    return agent


def test_the_loss_is_that_of_the_formula_written_out():
    agent = make_agent(gamma=0.9)
    before, after = draw_observation(seed=1), draw_observation(seed=2)
    columns, rewards = torch.tensor([0, 1, 2, 3, 4, 5]), torch.linspace(-1, 2, 6)
    done = torch.tensor([False, True, False, False, True, False])
    own, own_after, target_after = (values.detach() for values in (agent.network(before), agent.network(after), agent.target(after)))
    assert not torch.equal(best_free(own_after, after.mask), best_free(target_after, after.mask))
    losses = []
    for row in range(6):
        free = [column for column in range(9) if not after.mask[row, column]]
        chosen = max(free, key=lambda column: float(own_after[row, column]))
        wanted = rewards[row] + (0 if done[row] else 0.9 * target_after[row, chosen])
        difference = abs(float(own[row, columns[row]] - wanted))
        losses.append(difference - 0.5 if difference > 1 else difference**2 / 2)
    assert agent.learn(before, columns, rewards, after, done=done) == pytest.approx(sum(losses) / 6, rel=1e-5)


def test_the_target_network_takes_the_weights_after_so_many_updates_and_rests_between():
    agent = make_agent(target_every=3)
    before, after = draw_observation(seed=1), draw_observation(seed=2)
    same = []
    for _ in range(6):
        agent.learn(before, torch.zeros(6, dtype=torch.int64), torch.ones(6), after, done=torch.zeros(6, dtype=torch.bool))
        pairs = zip(agent.network.parameters(), agent.target.parameters(), strict=True)
        same.append(all(torch.equal(one, other) for one, other in pairs))
    assert same == [False, False, True, False, False, True]


def test_gradients_are_clipped_entry_by_entry():
    agent = make_agent(clip=1e-4)
    observation = draw_observation()
    agent.learn(observation, torch.zeros(6, dtype=torch.int64), torch.full((6,), 50.0), observation, done=torch.ones(6, dtype=torch.bool))
    largest = max(float(weights.grad.abs().max()) for weights in agent.network.parameters())
    assert largest == pytest.approx(1e-4)


def test_acquired_columns_are_never_chosen():
    agent, seen = make_agent(), draw_observation(batch=200)
    rng = torch.Generator().manual_seed(0)
    for columns in (agent.choose(seen), draw_free(seen.mask, rng), agent.explore(seen, 0.5, rng)):
        assert not seen.mask.gather(1, columns[:, None]).any()
    assert best_free(torch.tensor([[3.0, -2.0, -1.0]]), torch.tensor([[True, False, False]])).tolist() == [2]


def test_exploration_falls_as_its_formula_says_and_decides_how_often_chance_chooses():
    policy = DqnPolicy(epsilon_start=0.9, epsilon_end=0.1, epsilon_steps=50)
    assert [epsilon(policy, step) for step in (0, 50, 10**6)] == pytest.approx([0.9, 0.1 + 0.8 / math.e, 0.1])
    agent, seen = make_agent(), draw_observation(batch=4000)
    rng = torch.Generator().manual_seed(0)
    own = agent.choose(seen)
    assert torch.equal(agent.explore(seen, 0.0, rng), own)
    free = (~seen.mask).sum(dim=1).float()
    # a column at random is the agent's own by chance once in the number of free columns
    expected = 0.3 * (1 - (1 / free).mean())
    assert float((agent.explore(seen, 0.3, rng) != own).float().mean()) == pytest.approx(float(expected), abs=0.03)


def learner_on(root: Path, folder: Path, **changed) -> Learner:
    policy = DqnPolicy(chans=4, hidden=32, lr=3e-3, batch=16, replay=400, target_every=20, epsilon_steps=30, **changed)
    acquisition, loop = AcquisitionConfig(start=1, budget=2), EpisodesConfig(epochs=24, episodes=16)
    config = SequentialConfig(data=ArrayData(root=str(root)), reconstructor="none", acquisition=acquisition, policy=policy, train=loop)
    torch.manual_seed(0)
    environment = ColumnEnvironment(ZeroFilled(), acquisition)
    return Learner(config, policy, environment, open_split(root), run=LocalRun(folder), device=CPU)


def test_the_known_optimum_is_found(tmp_path):
    learner = learner_on(write_signposts(tmp_path / "data"), tmp_path / "run")
    learner.learn()
    curve, by_chance = (
        measure(roll_policy(policy), learner.environment, learner.slices["test"], CPU, lambda: None)
        for policy in (learner.chosen, build_policy(RandomPolicy(), 1))
    )
    optimum = float(best_error(all_of(learner.slices["test"]), 2).mean())
    assert curve.points[3].nmse == pytest.approx(optimum, rel=1e-4)
    assert by_chance.points[3].nmse > 3 * optimum
    first, last = (learner.run.reports[epoch] for epoch in (1, learner.played.epoch - 1))
    assert last["train/reward"] > 1.25 * first["train/reward"]
    assert last["epsilon"] < 0.2 < first["epsilon"]
    assert last["target_updates"] == 4  # 94 updates: the first two steps have too little to learn from


def test_exploration_falls_with_each_step_of_the_environment(tmp_path, monkeypatch):
    learner = learner_on(write_signposts(tmp_path / "data"), tmp_path / "run")
    parts, explore = [], learner.agent.explore
    monkeypatch.setattr(learner.agent, "explore", lambda seen, part, generator: parts.append(part) or explore(seen, part, generator))
    for picks in learner.order:
        learner._play(picks)
    assert parts == [epsilon(learner.policy, step) for step in range(4)]  # 2 batches of 2 steps


def test_a_target_network_that_would_never_be_updated_is_refused(tmp_path):
    root = write_signposts(tmp_path / "data")
    policy = DqnPolicy(target_every=20)
    config = SequentialConfig(data=ArrayData(root=str(root)), reconstructor="none", policy=policy, train=EpisodesConfig(epochs=2))
    environment = ColumnEnvironment(ZeroFilled(), config.acquisition)
    # 2 epochs of 2 batches of 5 steps; after the first there are 16 transitions, and an update takes 32
    with pytest.raises(BadInput, match=r"target_every is 20, but training has 19 updates: the target network would never be updated"):
        Learner(config, policy, environment, open_split(root), run=LocalRun(tmp_path), device=CPU)
