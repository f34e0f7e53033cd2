"""Groups over seeds: equal to pandas and scipy, nothing averaged away, what is missing is named."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from orchestrator.store.errors import InputError, SelectionError
from orchestrator.store.states import Cause, State
from orchestrator.tables.frame import as_frame
from orchestrator.tables.question import Question, answer
from tests.tables.studies import Case, ask, case, column, history, notes, study

KINDS, KEEPS, SEEDS = ("random", "learned"), (0.25, 0.125), (1, 2, 3, 4)
OVER_SEEDS = {"by": ("mask.kind", "mask.keep"), "over": ("seed",)}


def measured() -> list[Case]:
    """2 x 2 x 4 runs with two metrics, drawn once."""
    rng = np.random.default_rng(11)
    points = itertools.product(KINDS, KEEPS, SEEDS)
    return [case({"mask.kind": kind, "mask.keep": keep, "seed": seed}, _drawn(rng)) for kind, keep, seed in points]


def _drawn(rng: np.random.Generator) -> object:
    return history(val__ssim=tuple(rng.normal(0.9, 0.01, 5)), test__psnr=tuple(rng.normal(35, 2, 5)))


def test_statistics_of_groups_are_those_of_pandas_and_scipy() -> None:
    cases = measured()
    found = as_frame(ask(*cases, **OVER_SEEDS)).set_index(["mask.kind", "mask.keep", "metric"])
    plain = pd.DataFrame(
        {**manifest.varying, "val/ssim": reported.curves["val/ssim"].values.max(), "test/psnr": reported.curves["test/psnr"].values[best]}
        for manifest, _, reported in cases
        for best in [reported.curves["val/ssim"].values.argmax()]
    )
    melted = plain.melt(["mask.kind", "mask.keep", "seed"], var_name="metric")
    expected = melted.groupby(["mask.kind", "mask.keep", "metric"])["value"].agg(["count", "mean", "std", "median", "min", "max", "sem"])
    low, high = stats.t.interval(0.95, expected["count"] - 1, loc=expected["mean"], scale=expected["sem"])
    expected = expected.assign(ci95_low=low, ci95_high=high, n=expected["count"]).loc[found.index]
    names = ["n", "mean", "std", "median", "min", "max", "ci95_low", "ci95_high"]
    np.testing.assert_allclose(found[names].astype(float), expected[names].astype(float), rtol=1e-10)
    assert len(found) == 8 and set(found["of"]) == {4}


def test_difference_to_the_baseline_is_that_of_the_paired_test() -> None:
    cases = measured()
    found = as_frame(ask(*cases, **OVER_SEEDS, metrics=("val/ssim",), baseline="mask.kind=random"))
    best = {tuple(manifest.varying.values()): reported.curves["val/ssim"].values.max() for manifest, _, reported in cases}
    for row in found[found["mask.kind"] == "learned"].to_dict("records"):
        ours, base = ([best[kind, row["mask.keep"], seed] for seed in SEEDS] for kind in ("learned", "random"))
        test = stats.ttest_rel(ours, base)
        interval = test.confidence_interval(0.95)
        assert row["pairs"] == 4
        np.testing.assert_allclose(row["difference"], np.mean(np.subtract(ours, base)), rtol=1e-10)
        np.testing.assert_allclose((row["difference_low"], row["difference_high"]), (interval.low, interval.high), rtol=1e-9)
    assert found[found["mask.kind"] == "random"]["pairs"].isna().all()


def test_pairs_are_runs_of_equal_seeds_only() -> None:
    cases = [
        case({"kind": kind, "seed": seed}, value) for kind, seed, value in (("a", 1, 0.5), ("a", 2, 0.7), ("b", 2, 0.8), ("b", 3, 0.1))
    ]
    table = ask(*cases, by=("kind",), over=("seed",), baseline="kind=a")
    assert (column(table, "pairs")[1], column(table, "difference")[1]) == (1, pytest.approx(0.1))


def test_a_baseline_that_names_all_keys_is_the_one_for_all_groups() -> None:
    table = ask(*measured(), **OVER_SEEDS, metrics=("val/ssim",), baseline="mask.kind=random and mask.keep=0.25")
    assert column(table, "pairs") == [None, 4, 4, 4]


def test_a_group_without_its_baseline_is_named() -> None:
    cases = [case(config, 0.5) for config in ({"k": "a", "m": 1, "seed": 1}, {"k": "b", "m": 1, "seed": 1}, {"k": "b", "m": 2, "seed": 1})]
    table = ask(*cases, by=("k", "m"), over=("seed",), baseline="k=a")
    assert column(table, "pairs") == [None, 1, 0]
    assert "no baseline beside k=b m=2" in notes(table)


@pytest.mark.parametrize(
    ("baseline", "error", "said"),
    [
        ("mask.kid=random", InputError, r"--baseline mask.kid: .*Did you mean mask.kind"),
        ("mask.kind=nothing", InputError, r"^--baseline 'mask.kind=nothing' selects none of \d+ runs; mask\.kind is learned, random\.$"),
        ("kind=nothing", InputError, r"selects none of \d+ runs; mask\.kind is learned, random\.$"),
        ("seed=1", InputError, "seed is not in --by"),
        ("mask.kind=", SelectionError, r"^--baseline 'mask.kind='"),
        ("mask.kind in (random, learned)", InputError, "selects mask.kind=random|selects kind=random"),
    ],
)
def test_a_baseline_that_is_no_group_is_refused(baseline: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        ask(*measured(), **OVER_SEEDS, baseline=baseline)


def test_thin_and_missing_groups_name_their_seeds_with_state_and_cause() -> None:
    cases = [case({"kind": "a", "seed": seed}, 0.5) for seed in (1, 2)]
    cases += [case({"kind": "a", "seed": 3}, state=State.FAILED, cause=Cause.HOST_OOM), case({"kind": "b", "seed": 1}, state=State.QUEUED)]
    table = ask(*cases, by=("kind",), over=("seed",))
    assert column(table, "n") == [2, 0]
    assert column(table, "of") == [3, 1]
    assert column(table, "missing") == ["seed=3 failed (host_oom)", "seed=1 queued"]
    assert "thin: kind=a: 2 of 3; seed=3 failed (host_oom)" in table.notes
    assert "missing: kind=b: 0 of 1; seed=1 queued" in table.notes
    assert column(table, "mean") == [0.5, None]


def test_a_seed_that_most_groups_have_and_one_lacks_is_named() -> None:
    cases = [case({"kind": kind, "seed": seed}, 0.5) for kind in "abc" for seed in (1, 2) if (kind, seed) != ("c", 2)]
    table = ask(*cases, by=("kind",), over=("seed",))
    assert column(table, "of") == [2, 2, 2]
    assert "thin: kind=c: 1 of 2; seed=2 not in the grid" in table.notes


@pytest.mark.parametrize(
    ("value", "said"),
    [(math.nan, "is nan"), (math.inf, "is inf"), (history({"val/ssim": "good"}), "holds the text 'good'"), (None, "not reported")],
)
def test_a_value_that_is_no_finite_number_is_never_averaged(value: object, said: str) -> None:
    table = ask(case({"seed": 1, "k": 1}, 0.5), case({"seed": 2, "k": 1}, 0.7), case({"seed": 3, "k": 1}, value), by=("k",), over=("seed",))
    assert (column(table, "n"), column(table, "mean")) == ([2], [pytest.approx(0.6)])
    assert column(table, "missing") == [f"seed=3 {said}"]
    assert f"thin: k=1, val/ssim: 2 of 3; seed=3 {said}" in table.notes


def test_runs_that_would_be_averaged_silently_are_refused() -> None:
    cases = [case({"kind": "a", "lr": lr, "seed": 1}, 0.5) for lr in (0.1, 0.2)]
    with pytest.raises(InputError, match=r"--over seed: runs .* share seed=1; they differ in lr\. Add that to --by or --over"):
        ask(*cases, by=("kind",), over=("seed",))
    told = ask(*cases, by=("kind",))
    assert column(told, "n") == [2]
    assert "over lr, seed" in told.notes[0]


def test_equal_numbers_are_one_group_and_unlike_types_are_not() -> None:
    cases = [case({"x": value, "seed": seed}, 0.5) for seed, value in enumerate((1, 1.0, True, "1"))]
    assert column(ask(*cases, by=("x",), over=("seed",)), "x") == [1, True, "1"]


def test_a_run_of_two_grids_counts_once() -> None:
    one, other = case({"k": "a", "seed": 1}, 0.5), case({"k": "a", "seed": 2}, 0.7)
    tables = answer([study(one, grid="g"), study(one, other, grid="h")], Question(by=("k",), over=("seed",)))
    assert column(tables.data, "n") == [2]
    by_grid = answer([study(one, grid="g"), study(one, other, grid="h")], Question(by=("grid",), over=("seed",))).data
    assert (column(by_grid, "grid"), column(by_grid, "n")) == (["g", "h"], [1, 2])


def test_the_page_has_mean_and_interval_in_a_cell_and_n_beside_it() -> None:
    cases = [case({"kind": "a", "seed": seed}, value) for seed, value in ((1, 0.90), (2, 0.92))]
    cases += [case({"kind": "b", "seed": 1}, 0.8), case({"kind": "b", "seed": 2}, state=State.FAILED, cause=Cause.ERROR)]
    page = answer([study(*cases)], Question(by=("kind",), over=("seed",))).page
    assert page.columns == ("kind", "n", "val/ssim")
    assert page.rows == [("a", 2, "0.91 ± 0.13"), ("b", "1 of 2", "0.8")]  # t(1) 12.706 * 0.01414 / sqrt(2) = 0.127


def test_grids_side_by_side_lack_only_what_their_own_groups_have() -> None:
    plain = [case({"kind": kind, "seed": seed, "lr": 1}, 0.5) for kind in "ab" for seed in (1, 2)]
    masked = [case({"kind": "c", "seed": seed, "lr": lr, "acceleration": 4}, 0.5) for seed in (1, 2, 3) for lr in (3, 4)]
    question = Question(by=("grid", "kind"), over=("seed", "lr", "acceleration"))
    table = answer([study(*plain, grid="g"), study(*masked, grid="h")], question).data
    assert (column(table, "n"), column(table, "of")) == ([2, 2, 6], [2, 2, 6])
    assert "thin" not in notes(table)


def test_a_grid_with_other_seeds_lacks_none_of_those_of_its_neighbour() -> None:
    one = [case({"kind": kind, "seed": seed}, 0.5) for kind in "ab" for seed in (1, 2)]
    other = [case({"kind": "c", "seed": seed}, 0.5) for seed in (3, 4)]
    table = answer([study(*one, grid="g"), study(*other, grid="h")], Question(by=("grid", "kind"), over=("seed",))).data
    assert column(table, "of") == [2, 2, 2]


def test_a_gap_names_no_key_that_its_grid_does_not_have() -> None:
    plain = [case({"kind": kind, "seed": seed}, 0.5) for kind in "abc" for seed in (1, 2) if (kind, seed) != ("c", 2)]
    masked = [case({"kind": "d", "seed": 1, "acceleration": 4}, 0.5)]
    question = Question(by=("grid", "kind"), over=("seed", "acceleration"))
    told = notes(answer([study(*plain, grid="g"), study(*masked, grid="h")], question).data)
    assert "thin: grid=g kind=c: 1 of 2; seed=2 not in the grid" in told


def test_groups_with_other_keys_are_not_compared_where_grids_are_put_together() -> None:
    plain = [case({"kind": kind, "seed": seed}, 0.5) for kind in "ab" for seed in (1, 2)]
    masked = [case({"kind": "c", "seed": seed, "acceleration": 4}, 0.5) for seed in (1, 2)]
    table = answer([study(*plain, grid="g"), study(*masked, grid="h")], Question(by=("kind",), over=("seed", "acceleration"))).data
    assert column(table, "of") == [2, 2, 2]
