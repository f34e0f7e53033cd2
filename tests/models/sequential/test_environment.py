"""The environment: it begins with the centre, acquires what is chosen, and rewards by how much the error falls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data.errors import BadInput
from models.sequential.config import AcquisitionConfig
from models.sequential.environment import ColumnEnvironment
from tests.models.sequential.toy import CENTRE, SIZE, ZeroFilled, all_of, best_error, numpy_error, open_split, write_signposts


@pytest.fixture
def sample(tmp_path):
    return all_of(open_split(write_signposts(tmp_path))["val"])


def error_of(sample, columns):
    return numpy_error(sample, np.isin(np.arange(SIZE[1]), columns))


def test_an_episode_begins_with_the_centre_and_ends_when_the_budget_is_spent(sample):
    environment = ColumnEnvironment(ZeroFilled(), AcquisitionConfig(start=1, budget=2))
    seen = environment.reset(sample)
    assert seen.mask.nonzero()[:, 1].tolist() == [CENTRE] * 8
    first = environment.step(torch.full((8,), 0))
    second = environment.step(torch.tensor([1, 2, 3, 5, 6, 7, 8, 1]))
    assert (first.done, second.done) == (False, True)
    assert second.observation.mask.sum(dim=1).tolist() == [3] * 8
    assert (second.observation.kspace[~second.observation.mask[:, None, None].expand_as(second.observation.kspace)] == 0).all()


def test_the_reward_is_the_fall_of_the_error(sample):
    environment = ColumnEnvironment(ZeroFilled(), AcquisitionConfig(start=1, budget=2))
    environment.reset(sample)
    rewards = [environment.step(torch.full((8,), column)).reward for column in (0, 8)]
    start, middle, end = (error_of(sample, columns) for columns in ([CENTRE], [CENTRE, 0], [CENTRE, 0, 8]))
    np.testing.assert_allclose(rewards[0], start - middle, atol=1e-5)
    np.testing.assert_allclose(rewards[1], middle - end, atol=1e-5)
    np.testing.assert_allclose(environment.outcome.error, end, atol=1e-5)


def test_two_columns_of_an_even_width_are_those_of_the_masks(sample):
    wide = sample._replace(kspace=torch.ones(2, 1, 8, 28, dtype=torch.complex64), target=torch.ones(2, 8, 28))
    environment = ColumnEnvironment(ZeroFilled(), AcquisitionConfig(start=2, budget=5))
    assert environment.reset(wide).mask[1].nonzero()[:, 0].tolist() == [13, 14]


def test_asking_what_a_column_would_bring_changes_nothing(sample):
    environment = ColumnEnvironment(ZeroFilled(), AcquisitionConfig(start=1, budget=2))
    seen = environment.reset(sample)
    asked = environment.error_with(torch.full((8,), 0))
    assert torch.equal(environment.outcome.observation.mask, seen.mask)
    environment.step(torch.full((8,), 0))
    assert torch.equal(environment.outcome.error, asked)


def test_a_column_twice_or_beyond_the_budget_is_refused(sample):
    environment = ColumnEnvironment(ZeroFilled(), AcquisitionConfig(start=1, budget=1))
    environment.reset(sample)
    with pytest.raises(ValueError, match="acquired already"):
        environment.step(torch.full((8,), CENTRE))
    environment.step(torch.full((8,), 0))
    with pytest.raises(ValueError, match="budget is spent"):
        environment.step(torch.full((8,), 1))


def test_more_columns_than_there_are_is_told(sample):
    environment = ColumnEnvironment(ZeroFilled(), AcquisitionConfig(start=4, budget=6))
    with pytest.raises(BadInput, match=r"start 4 and budget 6 are 10 columns, k-space has 9"):
        environment.reset(sample)


def test_toy_has_one_best_pair_of_columns_each(sample):
    """The optimum of the other tests: columns 0 and 1 of even slices, 7 and 8 of odd ones."""
    expected = np.where(np.arange(8) % 2 == 0, error_of(sample, [CENTRE, 0, 1]), error_of(sample, [CENTRE, 7, 8]))
    np.testing.assert_allclose(best_error(sample, 2), expected, rtol=1e-4)
