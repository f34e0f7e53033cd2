"""Axes: which keys count, in which order their levels stand, how many numbers become a few ranges."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.report.axes import axes_of, label_runs, make_axis
from tests.report.made import manifests, run_id


def levels(values: list[Any]) -> tuple[str, ...]:
    return make_axis("a.key", {run_id(number): value for number, value in enumerate(values)}).levels


CASES = [
    ([8, 4, 16], ("4", "8", "16")),
    (["unet", "dense", "unet"], ("unet", "dense")),
    ([1e-4, 1e-2, 1e-3], ("0.0001", "0.001", "0.01")),
    ([True, False], ("true", "false")),
    ([[1, 2], None], ("[1,2]", "not set")),
    ([3, "3"], ("3",)),
]


@pytest.mark.parametrize(("values", "expected"), CASES, ids=str)
def test_levels_stand_by_size_or_as_the_grid_names_them(values: list[Any], expected: tuple[str, ...]) -> None:
    assert levels(values) == expected


def test_many_numbers_become_six_ranges_that_hold_equally_many_runs() -> None:
    axis = make_axis("optim.lr", {run_id(number): number / 10 for number in range(18)})
    assert len(axis.levels) == 6 and (axis.ends, axis.distinct) == (("0", "1.7"), 18)
    assert axis.levels[0] == "0 … 0.2" and axis.levels[-1] == "1.5 … 1.7"
    assert sorted(axis.level_of.values()) == [place for place in range(6) for _ in range(3)]


def test_equal_numbers_stay_in_one_range() -> None:
    axis = make_axis("lr", {run_id(number): value for number, value in enumerate([7] * 20 + list(range(100, 113)))})
    assert len({axis.level_of[run_id(number)] for number in range(20)}) == 1


def test_keys_with_one_value_are_no_axes_and_seeds_are_known() -> None:
    axes = axes_of(manifests({"model.kind": ["a", "b"], "data.root": ["/x"], "train.seed": [1, 2], "mask.seeds": [1, 2]}))
    assert [(axis.key, axis.name, axis.is_seed) for axis in axes] == [
        ("model.kind", "kind", False),
        ("train.seed", "seed", True),
        ("mask.seeds", "seeds", False),
    ]


def test_runs_are_labelled_by_the_last_words_of_keys_which_are_shortened_only_where_they_must() -> None:
    runs = manifests({"mask.acceleration": [4], "seed": [1]})
    labels, told = label_runs(runs, ["mask.acceleration", "seed"], 40)
    assert (labels, told) == ({run_id(0): "acceleration=4 seed=1"}, "")
    labels, told = label_runs(runs, ["mask.acceleration", "seed"], 20)
    assert (labels, told) == ({run_id(0): "acc=4 seed=1"}, "In the legends, acc is mask.acceleration.")
