"""Effects, heat maps and seeds against numbers worked out by hand and by scipy."""

from __future__ import annotations

import math

import msgspec
import pytest
from scipy import stats

from orchestrator.report.axes import axes_of
from orchestrator.report.effects import effects_of, effects_section, share_explained
from orchestrator.report.heat_maps import heat_maps_of, heat_maps_section
from orchestrator.report.scores import scores_of
from orchestrator.report.seeds import cells_of, seeds_section
from orchestrator.tables.study import Study
from tests.report.made import manifests, study

AXES = {"kind": ["a", "b"], "acc": [4, 8], "seed": [1, 2]}
VALUES = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, None]
"""kind a, acc 4: 0.9 0.8 · a 8: 0.7 0.6 · b 4: 0.5 0.4 · b 8: 0.3 and a failed run."""


def mixed() -> Study:
    return study(AXES, VALUES)


def test_level_has_mean_and_the_interval_of_scipy() -> None:
    one = mixed()
    kind, acc = effects_of(axes_of([manifest for manifest, _ in one.pairs]), scores_of(one).by_run)
    assert [(level.label, level.score.n, round(level.score.mean or 0, 12)) for level in kind.levels] == [("a", 4, 0.75), ("b", 3, 0.4)]
    low, high = stats.t.interval(0.95, 3, loc=0.75, scale=stats.sem([0.9, 0.8, 0.7, 0.6]))
    assert kind.levels[0].score.low == pytest.approx(low) and kind.levels[0].score.high == pytest.approx(high)
    assert (kind.axis.key, acc.axis.key) == ("kind", "acc")  # the stronger first, and no seed


def test_share_is_the_part_of_the_variance_between_the_levels() -> None:
    # grand mean 2.5, total 5; groups 1 2 | 3 4 have means 1.5 and 3.5: 2 + 2 = 4
    assert share_explained([[1.0, 2.0], [3.0, 4.0]]) == pytest.approx(0.8)
    assert share_explained([[1.0, 1.0], [1.0]]) == 0.0
    assert share_explained([[1.0], [], [2.0]]) == 1.0


def test_axis_with_scores_at_one_level_has_no_effect() -> None:
    one = study({"kind": ["a", "b"]}, [0.5, None])
    scores = scores_of(one)
    effects = effects_of(axes_of([manifest for manifest, _ in one.pairs]), scores.by_run)
    assert effects == []
    assert "No axis has values of val/ssim at two of its levels yet." in effects_section(effects, scores).body


def test_heat_map_has_the_mean_of_each_pair_and_names_empty_cells() -> None:
    one = study({"kind": ["a", "b"], "acc": [4, 8, 16], "seed": [1, 2]}, [1, 3, 5, 7, None, None, 2, 4, 6, 8, 10, None])
    scores = scores_of(one)
    maps = heat_maps_of(effects_of(axes_of([manifest for manifest, _ in one.pairs]), scores.by_run), scores.by_run)
    assert [(each.down.key, each.across.key) for each in maps] == [("acc", "kind")]
    assert maps[0].means == ((2.0, 3.0), (6.0, 7.0), (None, 10.0))
    assert maps[0].counts == ((2, 2), (2, 2), (0, 1))
    body = heat_maps_section(maps, scores).body
    assert '<td class="heat-0" title="n=2">2</td>' in body
    assert '<td class="heat-9" title="n=1">10 <small>n=1</small></td>' in body
    assert "A cell with fewer runs than a full one says how many (n)" in body
    assert '<td class="none" title="no result">–</td>' in body


def test_the_best_has_the_last_colour_also_where_less_is_better() -> None:
    one = study({"kind": ["a", "b"], "acc": [4, 8]}, [1, 2, 3, 4], metric="loss", mode="min")
    scores = scores_of(one)
    maps = heat_maps_of(effects_of(axes_of([manifest for manifest, _ in one.pairs]), scores.by_run), scores.by_run)
    assert '<td class="heat-9" title="n=1">1</td>' in heat_maps_section(maps, scores).body


def test_seeds_are_gathered_by_configuration_the_best_first() -> None:
    one = mixed()
    scores = scores_of(one)
    cells = cells_of(manifests(AXES), axes_of(manifests(AXES)), scores)
    assert [(cell.label, cell.values, cell.planned) for cell in cells] == [
        ("kind=a acc=4", (0.9, 0.8), 2),
        ("kind=a acc=8", (0.7, 0.6), 2),
        ("kind=b acc=4", (0.5, 0.4), 2),
        ("kind=b acc=8", (0.3,), 2),
    ]
    assert cells[0].std == pytest.approx(0.1 / math.sqrt(2)) and cells[3].std is None
    body = seeds_section(cells, scores, has_seeds=True).body
    assert "1 configuration without all of its seeds" in body and "1 of 2" in body
    assert 'aria-label="0.8500, std 0.071"' in body and "0.8500, std 0.071 <small>n=2</small>" in body and "±" not in body


def test_seed_that_the_grid_lacks_for_one_configuration_is_missing_there() -> None:
    axes = {"kind": ["a", "b", "c"], "seed": [1, 2, 3]}
    one = study(axes, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    held = [manifest for manifest, _ in one.pairs][:-1]  # the grid has no kind=c seed=3
    scores = scores_of(msgspec.structs.replace(one, pairs=one.pairs[:-1]))
    cells = cells_of(held, axes_of(held), scores)
    assert [(cell.label, len(cell.values), cell.planned) for cell in cells] == [("kind=a", 3, 3), ("kind=b", 3, 3), ("kind=c", 2, 3)]
    body = seeds_section(cells, scores, has_seeds=True).body
    assert "1 configuration without all of its seeds" in body and "2 of 3" in body


def test_seed_that_few_configurations_have_is_missing_nowhere() -> None:
    one = study({"kind": ["a", "b"], "seed": [1, 2]}, [0.9, 0.8, 0.7, 0.6])
    held = [manifest for manifest, _ in one.pairs][:-1]
    scores = scores_of(msgspec.structs.replace(one, pairs=one.pairs[:-1]))
    cells = cells_of(held, axes_of(held), scores)
    assert [(cell.label, len(cell.values), cell.planned) for cell in cells] == [("kind=a", 2, 2), ("kind=b", 1, 1)]


def test_configuration_without_the_key_of_the_seeds_lacks_none() -> None:
    axes = {"kind": ["a", "b", "c"], "seed": [1, 2]}
    one = study(axes, [0.9, 0.8, 0.7, 0.6, 0.5, None])
    held = [manifest for manifest, _ in one.pairs][:-1]
    held[-1] = msgspec.structs.replace(held[-1], varying={"kind": "c"})
    cells = cells_of(held, axes_of(held), scores_of(one))
    assert [(cell.label, cell.planned) for cell in cells] == [("kind=a", 2), ("kind=b", 2), ("kind=c", 1)]


def test_configurations_without_a_result_are_named() -> None:
    one = study(AXES, [0.9, 0.8, None, None, 0.5, 0.4, 0.3, None])
    scores = scores_of(one)
    body = seeds_section(cells_of(manifests(AXES), axes_of(manifests(AXES)), scores), scores, has_seeds=True).body
    assert "1 configuration has no result at all: kind=a acc=8." in body
    assert "1 configuration without all of its seeds" in body  # kind=b acc=8


def test_level_that_lacks_runs_says_so() -> None:
    one = mixed()
    scores = scores_of(one)
    body = effects_section(effects_of(axes_of(manifests(AXES)), scores.by_run), scores).body
    assert "<small>(3 of 4)</small>" in body and "<small>n=4</small>" in body
    assert "Groups are unequal: 1 of 8 runs has no value" in body
    whole = study(AXES, [0.1 * number for number in range(8)])
    body = effects_section(effects_of(axes_of(manifests(AXES)), scores_of(whole).by_run), scores_of(whole)).body
    assert "unequal" not in body and " of 4)" not in body


def test_nan_and_infinities_are_left_out_and_counted() -> None:
    one = study({"kind": ["a", "b", "c", "d"]}, [0.5, math.nan, math.inf, 0.7])
    scores = scores_of(one)
    assert (scores.not_finite, scores.unreported) == (2, 0)
    assert scores.left_out == "Completed runs left out: 2 with a value that is no finite number."
    assert [scores.by_run[run] for run in scores.ranked] == [0.7, 0.5]
