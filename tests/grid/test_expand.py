"""Grid, zip, random, cases, when, exclude, placeholders: which points a grid has, and in which order."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.resources import Resources
from orchestrator.grid.expand import Point, count, expand
from orchestrator.grid.needs import NeedQuery
from orchestrator.grid.schema import Schema
from orchestrator.grid.spec import Spec, read_spec
from orchestrator.store.errors import SpecError

Points = Callable[..., list[Point]]


def configs(points: list[Point]) -> list[dict[str, Any]]:
    return [point.config for point in points]


def test_a_grid_is_a_product_in_the_order_of_the_file(points: Points) -> None:
    got = points("config: {m: {k: 1}}\ngrid:\n  m.b: [x, y]\n  seed: {range: [0, 3]}\n")
    assert configs(got) == [{"m": {"k": 1, "b": b}, "seed": s} for b, s in itertools.product("xy", range(3))]
    assert got[1].varying == {"m.b": "x", "seed": 1}


def test_a_grid_without_axes_has_one_point(points: Points) -> None:
    assert configs(points("config: {a: 1}")) == [{"a": 1}]


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("{range: [0, 4]}", [0, 1, 2, 3]),
        ("{range: [5, 0, -2]}", [5, 3, 1]),
        ("{linspace: [0, 1, 5]}", [0, 0.25, 0.5, 0.75, 1]),
        ("{linspace: [0, 10, 3]}", [0, 5, 10]),
        ("{linspace: [0.1, 0.7, 7]}", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        ("{logspace: [1e-5, 1e-2, 4]}", [1e-5, 1e-4, 1e-3, 1e-2]),
        ("{logspace: [3, 3, 1]}", [3]),
        ("[1, [2, 3], {x: 4}, null, no]", [1, [2, 3], {"x": 4}, None, "no"]),
    ],
)
def test_axes_take_lists_ranges_and_spaces(points: Points, axis: str, values: list[Any]) -> None:
    assert [config["a"] for config in configs(points(f"grid: {{a: {axis}}}"))] == values


def test_zipped_axes_move_together(points: Points) -> None:
    got = points("grid: {s: [1, 2]}\nzip: [{m.kind: [c, r], m.seed: [0, 91329]}, {x: {range: [0, 2]}}]")
    assert len(got) == 2 * 2 * 2
    assert {(c["m"]["kind"], c["m"]["seed"]) for c in configs(got)} == {("c", 0), ("r", 91329)}


def test_csv_columns_are_zipped_axes(points: Points, write: Callable[..., Path]) -> None:
    write('mask.kind, mask.seed\ncaipi,0\n\n"a, b",1e-4\n', head="", name="sub dir/masks.csv")
    got = configs(points("zip: [{csv: sub dir/masks.csv}]"))
    assert got == [{"mask": {"kind": "caipi", "seed": 0}}, {"mask": {"kind": "a, b", "seed": 1e-4}}]


def test_base_files_are_relative_to_the_grid_and_later_entries_override(points: Points, write: Callable[..., Path]) -> None:
    write("model: {kind: varnet, blocks: II}\ntrain.epochs: 5\n", head="", name="base/v.yaml")
    got = configs(points("config: [base/v.yaml, {train: {epochs: 120}, model.blocks: !remove}]"))
    assert got == [{"model": {"kind": "varnet"}, "train": {"epochs": 120}}]


RANDOM = (
    "random: {samples: 5, seed: 7, axes: {lr: {loguniform: [1e-5, 1e-2]}, "
    "n: {range: [0, 100]}, c: {choice: [a, b]}, u: {uniform: [0, 1]}}}\n"
)


def test_draws_depend_on_seed_axis_and_number_alone(points: Points) -> None:
    five = configs(points(RANDOM))
    more = configs(points(RANDOM.replace("samples: 5", "samples: 8").replace("axes: {", "axes: {first: {uniform: [2, 3]}, ")))
    assert [c["lr"] for c in five] == [c["lr"] for c in more[:5]]
    assert configs(points(RANDOM.replace("seed: 7", "seed: 8"))) != five
    assert all(1e-5 <= c["lr"] <= 1e-2 and 0 <= c["n"] < 100 and c["c"] in "ab" and 0 <= c["u"] < 1 for c in five)


def test_draws_never_change_between_versions(points: Points) -> None:
    assert configs(points(RANDOM))[0] == {"lr": 5.08306414684e-05, "n": 22, "c": "b", "u": 0.373497533051}


def test_random_is_a_product_with_the_grid(points: Points) -> None:
    got = configs(points("grid: {s: [1, 2]}\n" + RANDOM))
    assert len(got) == 2 * 5
    assert [c["lr"] for c in got[:5]] == [c["lr"] for c in got[5:]]


CASES = """
config: {optim: {lr: 0.1}, mask: {acs: 3}}
grid: {seed: [1, 2], optim.lr: [0.1, 0.2]}
cases:
  plain:
  fixed: {config: {optim.lr: 0.5, mask: !remove}}
  nested:
    grid: {seed: [7]}
    cases:
      deep: {grid: {mask.acs: [1, 2], optim.lr: !remove}}
"""


def test_cases_inherit_override_and_remove_at_any_depth(points: Points) -> None:
    got = points(CASES)
    by_case = {case: configs(list(group)) for case, group in itertools.groupby(got, key=lambda point: point.case)}
    assert list(by_case) == ["plain", "fixed", "nested/deep"]
    assert len(by_case["plain"]) == 2 * 2
    assert by_case["fixed"] == [{"optim": {"lr": 0.5}, "seed": 1}, {"optim": {"lr": 0.5}, "seed": 2}]
    assert by_case["nested/deep"] == [{"optim": {"lr": 0.1}, "mask": {"acs": a}, "seed": 7} for a in (1, 2)]


def test_keys_that_a_case_sets_vary(points: Points) -> None:
    got = points("cases: {a: {config: {x: 1}}, b: {config: {y: 2}}}")
    assert [point.varying for point in got] == [{"x": 1}, {"y": 2}]


def test_a_key_that_a_case_fixes_leaves_its_zip(points: Points) -> None:
    got = configs(points("zip: [{a: [1, 2], b: [3, 4]}]\ncases: {only: {config: {b: 9}}}"))
    assert got == [{"b": 9, "a": 1}, {"b": 9, "a": 2}]


def test_exclude_drops_points_that_match_a_subset(points: Points) -> None:
    got = configs(points("grid: {w: [dwa, naive], seed: [1, 2, 3]}\nexclude: [{w: dwa, seed: [2, 3.0]}, {seed: '1'}]"))
    assert got == [{"w": "dwa", "seed": 1}, {"w": "naive", "seed": 1}, {"w": "naive", "seed": 2}, {"w": "naive", "seed": 3}]


def test_a_conditional_axis_varies_only_where_its_condition_holds(points: Points) -> None:
    got = configs(points("grid: {data.kind: [brain, knee], mask.acs: [1, 2], s: [0]}\nwhen: {mask.acs: {data.kind: brain}}"))
    assert got == [
        {"data": {"kind": "brain"}, "mask": {"acs": 1}, "s": 0},
        {"data": {"kind": "brain"}, "mask": {"acs": 2}, "s": 0},
        {"data": {"kind": "knee"}, "s": 0},
    ]


def test_conditions_may_hang_on_conditional_keys(points: Points) -> None:
    text = "grid: {a: [1, 2], b: [1, 2], c: [1, 2]}\nconfig: {d: {e: 5}}\nwhen: {c: {b: 2}, b: {a: 1}, d.e: {a: 2}}"
    assert configs(points(text)) == [{"a": 1, "b": 1}, {"a": 1, "b": 2, "c": 1}, {"a": 1, "b": 2, "c": 2}, {"d": {"e": 5}, "a": 2}]


def test_a_conditional_key_leaves_a_zip_without_repeating_points(points: Points) -> None:
    got = configs(points("grid: {k: [x, y]}\nzip: [{a: [1, 2], b: [3, 4]}]\nwhen: {a: {k: x}, b: {k: x}}"))
    assert got == [{"k": "x", "a": 1, "b": 3}, {"k": "x", "a": 2, "b": 4}, {"k": "y"}]


def test_a_mapping_as_a_value_replaces_what_stands_there(points: Points) -> None:
    got = points(
        "config: {model: {kind: z, old: 1}}\ngrid: {model: [{kind: unet, chans: 8}, {kind: varnet}]}\nexclude: [{model.kind: varnet}]"
    )
    assert configs(got) == [{"model": {"kind": "unet", "chans": 8}}]
    assert got[0].varying == {"model.kind": "unet", "model.chans": 8}


def test_placeholders_keep_the_type_of_what_they_name(points: Points) -> None:
    text = "config: {a: '{b}', b: '{c.d}', c: {d: 1e-4}, t: 'lr {a}, on {e}, {{a}}', e: true, l: ['{e}', x], n: null, u: 'n={n}'}"
    got = configs(points(text))[0]
    assert got == {
        "a": 1e-4,
        "b": 1e-4,
        "c": {"d": 1e-4},
        "t": "lr 0.0001, on true, {a}",
        "e": True,
        "l": [True, "x"],
        "n": None,
        "u": "n=null",
    }


def test_placeholders_in_axes_are_filled(points: Points) -> None:
    got = configs(points("grid: {a: [1, 2], b: ['x{a}', '{a}']}"))
    assert [config["b"] for config in got] == ["x1", 1, "x2", 2]


def test_points_do_not_share_what_placeholders_and_conditions_change(points: Points) -> None:
    got = configs(points("config: {m: {x: '{s}', y: 1}}\ngrid: {s: [1, 2]}\nwhen: {m.y: {s: 2}}"))
    assert got == [{"m": {"x": 1}, "s": 1}, {"m": {"x": 2, "y": 1}, "s": 2}]


def test_resources_follow_the_config_and_stand_in_cases(points: Points) -> None:
    text = """
grid: {k: [brain, 1]}
resources: {gpus: 1, mem_gb: {by: k, brain: 64, 1: 32}, sbatch: {qos: long}, max_parallel: 3}
cases: {a: {}, b: {resources: {gpus: 0, sbatch: {constraint: a100}}}}
"""
    got = [point.resources for point in points(text)]
    assert got[0] == Resources(gpus=1, mem_gb=64, sbatch=(("qos", "long"),))
    assert got[1].mem_gb == 32
    assert got[3] == Resources(gpus=0, mem_gb=32, sbatch=(("constraint", "a100"), ("qos", "long")))


def test_prepare_quotes_each_argument(points: Points) -> None:
    got = points("config: {out: \"a b's; $(rm -rf /)\"}\nprepare: {command: 'make --out {out}', resources: {cpus: 3}}")
    assert got[0].prepare == """make --out 'a b'"'"'s; $(rm -rf /)'"""
    assert got[0].prepare_resources == Resources(cpus=3)


def test_needs_are_asked_for_with_the_values_of_the_point(points: Points) -> None:
    got = points("config: {k: 'x or y', n: '1'}\nneeds: {w: {grid: stl, where: 'a={k} and n={n}', pick: last}}")
    assert got[0].needs == {"w": NeedQuery(grid="stl", where='a="x or y" and n="1"', pick="last")}


def test_variants_lie_over_every_case(points: Points) -> None:
    text = CASES + "variants: {smoke: {config: {optim.lr: 9}, grid: {seed: [5]}, cases: {nested: !remove}, resources: {max_parallel: 1}}}"
    got = points(text, variant="smoke")
    assert configs(got) == [{"optim": {"lr": 9}, "mask": {"acs": 3}, "seed": 5}, {"optim": {"lr": 9}, "seed": 5}]


def test_set_overrides_config_axes_and_sections(read: Callable[..., Spec]) -> None:
    overrides = ["seed=7", "optim.lr=1e-4", "grid.mask.acs=[1, 2]", "resources.time_min=5", "resources.max_parallel=2", "config.code=x"]
    spec = read("grid: {seed: [1, 2]}\nruntime: [t]", overrides=[*overrides, "policy.timeout=keep", "code=none"])
    got = list(expand(spec))
    assert configs(got) == [{"seed": 7, "optim": {"lr": 1e-4}, "code": "x", "mask": {"acs": a}} for a in (1, 2)]
    assert (got[0].resources.time_min, spec.max_parallel, spec.policy, spec.code) == (5, 2, {"timeout": "keep"}, "none")


@pytest.mark.parametrize("override", ["seed", "=3", "a..b=1", "cases.x=1", "name=x", "seed=[1", "a{b=1"])
def test_an_override_that_is_none_is_refused(read: Callable[..., Spec], override: str) -> None:
    with pytest.raises(SpecError, match="--set"):
        read("", overrides=[override])


def test_an_absurd_count_is_refused_before_anything_is_expanded(read: Callable[..., Spec]) -> None:
    spec = read("grid: {a: {range: [0, 1000000000]}, b: {linspace: [0, 1, 1000]}}\nrandom: {samples: 100000, axes: {c: {uniform: [0, 1]}}}")
    assert count(spec) == 10**9 * 10**3 * 10**5
    with pytest.raises(SpecError, match=r"1,000,000,000 x 1,000 x 100,000 = 100,000,000,000,000,000 points; at most 1,000,000"):
        expand(spec)


def test_expansion_is_lazy(read: Callable[..., Spec]) -> None:
    assert next(expand(read("grid: {a: {range: [0, 1000000]}}"))).config == {"a": 0}


def test_points_are_completed_and_checked_by_the_schema(read: Callable[..., Spec], schema: Schema) -> None:
    spec = read("grid: {model.kind: [unet], seed: [1.0]}\nprepare: make {data.root}\nresources: {mem_gb: {by: data.kind, brain: 9}}")
    point = next(expand(spec, schema=schema))
    assert point.complete["model"] == {"kind": "unet", "chans": 32, "drop": 0.0}
    assert point.complete["seed"] == 1
    assert point.prepare == "make data"
    assert point.resources.mem_gb == 9


def test_an_unknown_axis_is_refused_with_its_line(write: Callable[..., Path], schema: Schema) -> None:
    path = write("grid:\n  seed: [1]\n  optim.learning_rate: [0.5]\n")
    with pytest.raises(SpecError) as caught:
        list(expand(read_spec(path), schema=schema))
    assert str(caught.value).startswith(f"{path}:5: optim.learning_rate holds 0.5; the schema")
    assert "Known: " in str(caught.value)


def test_a_key_of_a_base_file_is_refused_with_the_line_of_that_file(write: Callable[..., Path], schema: Schema) -> None:
    base = write("seed: 1\ntrain:\n  epochs: many\n", head="", name="base.yaml")
    with pytest.raises(SpecError, match=f"{base}:3: train.epochs holds 'many'; expected int"):
        list(expand(read_spec(write("config: base.yaml")), schema=schema))
