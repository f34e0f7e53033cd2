"""The order of a round: client after client, each with all its local epochs, drawn by seed and round alone."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pytest

from data.volumes.sampling import Bucket, plan_epoch
from models.federated.config import FederatedConfig, read_federated
from models.federated.order import RoundOrder, participants, shares
from tests.models.federated.test_config import changed

BUCKETS = [Bucket(task=0)] * 5 + [Bucket(task=2)] * 7 + [Bucket(task=3)] * 4


def config_of(**federated: object) -> FederatedConfig:
    sections = {"data": {"sites": ["B", "F", "H", "I"]}, "federated": {"clients": ["I", "B", "H"], "target": "F", **federated}}
    return read_federated(changed({**sections, "train": {"batch": 3}, "seed": 5}))


def test_a_client_visits_all_its_slices_in_each_local_epoch_before_the_next_one_comes():
    batches = RoundOrder(BUCKETS, config_of(local_epochs=2)).plan(4)
    clients = [BUCKETS[batch[0].item].task for batch in batches]
    assert [client for client, _ in groupby(clients)] == [0, 2, 3]
    assert all(len({BUCKETS[pick.item].task for pick in batch}) == 1 for batch in batches)
    # rounds 1 to 3 had the epochs 1 to 6
    assert Counter((pick.epoch, pick.item) for batch in batches for pick in batch) == Counter(
        (epoch, item) for epoch in (7, 8) for item in range(len(BUCKETS))
    )


def test_a_round_of_one_client_is_an_epoch_of_plain_training():
    buckets = [Bucket(task=0)] * 5
    order = RoundOrder(buckets, config_of(clients=["B"], local_epochs=1))
    assert [order.plan(number) for number in (1, 2)] == [
        plan_epoch(buckets, batch=3, sampling="none", seed=5, epoch=number) for number in (1, 2)
    ]


def test_clients_of_a_round_are_drawn_anew_and_the_same_each_time_it_is_asked():
    config = config_of(per_round=2)
    rounds = [participants(config, number) for number in range(1, 31)]
    assert rounds == [participants(config, number) for number in range(1, 31)]
    assert {len(drawn) for drawn in rounds} == {2}
    assert all(drawn == tuple(sorted(drawn)) for drawn in rounds)
    assert set(rounds) == {(0, 2), (0, 3), (2, 3)}
    assert [participants(config_of(), number) for number in (1, 2)] == [(0, 2, 3)] * 2


@pytest.mark.parametrize(
    ("average", "expected"), [("equal", {0: 1 / 3, 2: 1 / 3, 3: 1 / 3}), ("slices", {0: 5 / 16, 2: 7 / 16, 3: 4 / 16})]
)
def test_clients_count_alike_or_by_their_slices(average, expected):
    assert shares(config_of(average=average), (5, 0, 7, 4), 1) == pytest.approx(expected)


def test_shares_are_those_of_the_clients_that_take_part():
    config = config_of(per_round=1, average="slices")
    assert [list(shares(config, (5, 0, 7, 4), number).values()) for number in (1, 2, 3)] == [[1.0]] * 3
