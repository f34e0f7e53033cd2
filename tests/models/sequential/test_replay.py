"""What is remembered: the newest transitions, each drawn as often as any other."""

from __future__ import annotations

import pytest
import torch

from models.sequential.replay import Replay, Transitions


def transitions(items: range) -> Transitions:
    numbers = torch.tensor(items)
    return Transitions(item=numbers, mask=numbers[:, None] % 2 == torch.arange(2), column=numbers + 100, reward=numbers / 10)


def drawn_items(replay: Replay, batch: int, times: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.stack([replay.draw(batch, generator).item for _ in range(times)])


def test_the_oldest_are_forgotten_and_parts_stay_together():
    replay = Replay(5, columns=2)
    for items in (range(3), range(3, 6), range(6, 8)):
        replay.add(transitions(items))
    assert len(replay) == 5
    drawn = replay.draw(5, torch.Generator())
    assert sorted(drawn.item.tolist()) == [3, 4, 5, 6, 7]
    expected = transitions(drawn.item.tolist())
    assert all(torch.equal(values, wanted) for values, wanted in zip(drawn, expected, strict=True))


def test_each_is_drawn_as_often_and_none_twice_at_once():
    replay = Replay(9, columns=2)
    replay.add(transitions(range(6)))
    drawn = drawn_items(replay, 2, 3000)
    assert bool((drawn[:, 0] != drawn[:, 1]).all())
    often = torch.bincount(drawn.flatten(), minlength=6) / 3000
    assert often.tolist() == pytest.approx([2 / 6] * 6, abs=0.04)


def test_a_state_brings_everything_back():
    first, second = Replay(4, columns=2), Replay(4, columns=2)
    first.add(transitions(range(6)))
    second.load_state_dict(first.state_dict())
    for replay in (first, second):
        replay.add(transitions(range(6, 7)))
    assert torch.equal(drawn_items(first, 3, 5), drawn_items(second, 3, 5))
