"""Samplers that learn nothing: each chooses what its name says."""

from __future__ import annotations

import pytest
import torch

from data.errors import BadInput
from models.sequential import measuring
from models.sequential.config import (
    AcquisitionConfig,
    EvaluatorFreePolicy,
    GreedyPolicy,
    LowToHighPolicy,
    NestedPolicy,
    RandomPolicy,
    read_sequential,
)
from models.sequential.environment import ColumnEnvironment, Observation
from models.sequential.measuring import measure, roll_nested, roll_policy
from models.sequential.nested import budgets, fixed_rank, learned_rank, nested_masks, rank_of
from models.sequential.policies import build_policy, distance, greedy, low_to_high, most_energy
from tests.models.local_run import LocalRun
from tests.models.sequential.toy import CENTRE, ZeroFilled, all_of, best_error, open_split, write_run, write_signposts, write_spirit

CPU = torch.device("cpu")


@pytest.fixture
def slices(tmp_path):
    return open_split(write_signposts(tmp_path / "data"))["test"]


def columns_of(config, sample, budget=8):
    """Return the columns that a sampler acquires in each slice, in their order."""
    environment = ColumnEnvironment(ZeroFilled(), AcquisitionConfig(start=1, budget=budget))
    environment.reset(sample)
    policy = build_policy(config, 1)
    order = []
    while not environment.is_done:
        before = environment.outcome.observation.mask
        environment.step(policy(environment))
        order.append((environment.outcome.observation.mask ^ before).int().argmax(dim=1).tolist())
    return [list(columns) for columns in zip(*order, strict=True)]


def test_low_to_high_goes_outwards_from_the_centre_left_before_right(slices):
    assert columns_of(LowToHighPolicy(), all_of(slices))[3] == [3, 5, 2, 6, 1, 7, 0, 8]
    # even: 28 columns with 13 and 14 acquired, of which 14 is the centre
    mask = torch.zeros(1, 28, dtype=torch.bool)
    mask[0, 13:15] = True
    assert low_to_high(Observation(torch.zeros(1, 1, 1, 28, dtype=torch.complex64), mask)).tolist() == [15]


def test_every_random_order_is_another_and_follows_from_the_seed(slices):
    once, again = (columns_of(RandomPolicy(), all_of(slices)) for _ in range(2))
    assert once == again
    assert len({tuple(order) for order in once}) == 8
    assert all(sorted(order) == [0, 1, 2, 3, 5, 6, 7, 8] for order in once)


def test_the_oracle_takes_the_best_column_first_and_finds_the_optimum_here(slices):
    sample = all_of(slices)
    orders = columns_of(GreedyPolicy(), sample, budget=2)
    assert [set(order) for order in orders] == [{0, 1} if number % 2 == 0 else {7, 8} for number in range(8)]
    curve = measure(roll_policy(build_policy(GreedyPolicy(), 1)), environment(2), slices, CPU, lambda: None)
    assert curve.points[3].nmse == pytest.approx(float(best_error(sample, 2).mean()), rel=1e-4)


def environment(budget):
    return ColumnEnvironment(ZeroFilled(), AcquisitionConfig(start=1, budget=budget))


def test_without_an_evaluator_the_column_with_the_most_predicted_energy_is_taken():
    kspace = torch.zeros(2, 2, 5, 4, dtype=torch.complex64)
    kspace[0, 1, 3, 2], kspace[0, 0, :, 1] = 4j, 1.0
    kspace[1, 0, 0, 0], kspace[1, 1, 0, 3] = 9.0, 1.0
    mask = torch.tensor([[False] * 4, [True, False, False, False]])
    assert most_energy(Observation(kspace, mask)).tolist() == [2, 3]


def test_data_range_is_that_of_the_volume_however_its_slices_are_batched(slices, monkeypatch):
    roll = roll_policy(build_policy(LowToHighPolicy(), 1))
    expected = measure(roll, environment(3), slices, CPU, lambda: None)
    monkeypatch.setattr(measuring, "BATCH", 1)
    found = measure(roll, environment(3), slices, CPU, lambda: None)
    assert found.points[4].psnr == pytest.approx(expected.points[4].psnr, rel=1e-6)


def test_a_curve_has_the_means_after_each_number_of_columns_and_their_sum(slices):
    curve = measure(roll_policy(build_policy(LowToHighPolicy(), 1)), environment(3), slices, CPU, lambda: None)
    assert list(curve.points) == [1, 2, 3, 4]
    assert curve.area == pytest.approx(sum(point.nmse for point in curve.points.values()))
    metrics = curve.metrics("test")
    assert metrics["test/nmse"] == metrics["test/nmse/4"] == curve.points[4].nmse
    assert (metrics["test/auc_nmse"], metrics["test/slice_n"]) == (curve.area, 8)
    whole = measure(roll_policy(build_policy(LowToHighPolicy(), 1)), environment(8), slices, CPU, lambda: None)
    assert whole.points[9].nmse == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("total", "steps", "expected"), [(7, 4, [2, 4, 5, 7]), (8, 4, [2, 4, 6, 8]), (3, 1, [3]), (2, 4, [1, 1, 2, 2])])
def test_nested_budgets_grow_to_the_whole(total, steps, expected):
    assert budgets(total, steps) == expected


def test_each_nested_mask_lies_within_the_next():
    masks = nested_masks(torch.tensor([3, 0, 4, 1, 2]), [0, 1, 3, 5])
    assert [mask.nonzero()[:, 0].tolist() for mask in masks] == [[], [3], [0, 3, 4], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize("kind", ["random", "equispaced_fraction"])
def test_a_fixed_mask_is_drawn_for_each_volume_and_begins_in_its_middle(kind):
    one, same, other = (fixed_rank(kind, 10, 40, name) for name in ("a", "a", "c"))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert sorted(one.tolist()) == list(range(40))
    places = distance(40)[one]
    turn = int((places.diff() < 0).nonzero()[0]) + 1
    assert (places[:turn].diff() > 0).all()
    assert 4 <= turn <= 18
    assert (places[turn:].diff() > 0).all()


def test_oracle_takes_a_free_column_even_where_each_makes_the_error_larger(slices):
    judged = environment(3)
    seen = judged.reset(all_of(slices))
    judged.error_with = lambda columns: 2.0 - seen.mask.gather(1, columns[:, None])[:, 0].float()
    seen.mask[::2, 0] = True  # acquired in some of the episodes
    assert greedy(judged).tolist() == [1, 0] * 4


def test_each_volume_has_the_order_of_its_own_mask(slices):
    asked = []
    measure(roll_nested(lambda volume: asked.append(volume) or torch.arange(9), [2, 4]), environment(4), slices, CPU, lambda: None)
    assert set(asked) == {slices.volumes[0].name}


def test_between_steps_of_a_mask_the_image_stays(slices):
    curve = measure(roll_nested(lambda volume: torch.arange(9), [2, 4]), environment(4), slices, CPU, lambda: None)
    assert list(curve.points) == [1, 2, 3, 4, 5]
    assert curve.points[1].nmse == pytest.approx(1)  # nothing is acquired yet
    assert curve.points[2] == curve.points[3] != curve.points[4] == curve.points[5]


def test_the_columns_of_a_learned_mask_come_by_their_probability(tmp_path):
    path = write_spirit(tmp_path / "best.pt", mask={"kind": "learned", "tile": [1, 9], "acceleration": 3})
    content = torch.load(path, weights_only=True)
    content["model"]["sampling.logits"] = torch.tensor([[0.0, 5, -3, 2, 9, 1, -1, 4, 3]])
    torch.save(content, path)
    assert learned_rank(str(path), 9, LocalRun(tmp_path)).tolist() == [4, 1, 7, 8, 3, 5, 0, 6, 2]


def test_the_calibration_region_of_a_learned_mask_comes_first_whatever_its_logits_say(tmp_path):
    mask = {"kind": "learned", "tile": [1, 9], "acceleration": 3, "calibration": "column", "center_fraction": 0.3}
    path = write_spirit(tmp_path / "best.pt", mask=mask)
    content = torch.load(path, weights_only=True)
    content["model"]["sampling.logits"] = torch.tensor([[0.0, 5, -3, -2, -9, -1, 1, 4, 3]])
    torch.save(content, path)
    # round(0.3 * 9) = 3 columns around 4
    assert learned_rank(str(path), 9, LocalRun(tmp_path)).tolist() == [4, 3, 5, 1, 7, 8, 6, 0, 2]


def test_a_mask_that_does_not_fit_is_told(tmp_path):
    learned = write_spirit(tmp_path / "learned" / "best.pt", mask={"kind": "learned", "tile": [4, 4]})
    config = read_sequential(write_run(tmp_path, policy={"kind": "nested", "mask": str(learned)}))
    assert isinstance(config.policy, NestedPolicy)
    with pytest.raises(BadInput, match=r"learned on a tile of \(4, 4\) \(y, x\), k-space has 27 columns"):
        rank_of(config, config.policy, 27, LocalRun(tmp_path))
    with pytest.raises(BadInput, match=r"holds no learned mask. policy.mask takes a best.pt of a run with mask.kind: learned"):
        learned_rank(config.reconstructor, 27, LocalRun(tmp_path))


def test_the_centre_is_not_chosen_again(slices):
    assert CENTRE not in columns_of(EvaluatorFreePolicy(), all_of(slices))[0]
