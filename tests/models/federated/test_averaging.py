"""The mean of clients' weights, against sums done by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from models.federated.averaging import add_share, as_weights


def mean_of(weights, parts):
    sums = None
    for each, part in zip(weights, parts, strict=True):
        sums = add_share(sums, each, part)
    return as_weights(sums, like=weights[0])


def test_weights_and_counters_have_their_weighted_mean():
    clients = [
        {"w": torch.tensor([1.0, 2.0]), "seen": torch.tensor(10), "phase": torch.tensor([1 + 2j])},
        {"w": torch.tensor([5.0, -2.0]), "seen": torch.tensor(21), "phase": torch.tensor([3 - 2j])},
    ]
    mean = mean_of(clients, [0.25, 0.75])
    assert mean["w"].tolist() == [4.0, -1.0]  # (1 + 3 * 5) / 4, (2 - 3 * 2) / 4
    assert (int(mean["seen"]), mean["seen"].dtype) == (18, torch.int64)  # (10 + 3 * 21) / 4 = 18.25
    assert mean["phase"].tolist() == [2.5 - 1j]


@pytest.mark.parametrize("parts", [[1 / 3] * 3, [0.5, 0.2, 0.3]])
def test_a_network_with_statistics_has_the_mean_of_numpy(parts):
    torch.manual_seed(3)
    networks = [nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)) for _ in range(3)]
    for number, network in enumerate(networks):
        for _ in range(number + 2):
            network(torch.randn(2, 2, 5, 5))
    states = [network.state_dict() for network in networks]
    mean = mean_of(states, parts)
    for name in states[0]:
        expected = np.average([state[name].double().numpy() for state in states], axis=0, weights=parts)
        expected = np.rint(expected) if name.endswith("num_batches_tracked") else expected
        np.testing.assert_allclose(mean[name].double().numpy(), expected, rtol=1e-6, atol=1e-7)


def test_the_mean_of_one_client_is_that_client_to_the_bit():
    weights = {"w": torch.randn(1000, generator=torch.Generator().manual_seed(1)) * 1e-3, "n": torch.tensor(2**40 + 1)}
    mean = mean_of([weights], [1.0])
    assert all(torch.equal(mean[name], weights[name]) for name in weights)
