"""An axis that looks like a slip of the pen is refused where no schema could tell; one that may be meant passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.grid.expand import expand
from orchestrator.grid.schema import Schema
from orchestrator.grid.spec import Spec, read_spec
from orchestrator.grid.spelling import distance, find_alike, is_slip
from orchestrator.store.errors import SpecError

SLIPS = [
    ("lrr", "lr"),
    ("LR", "lr"),
    ("weightdecay", "weight_decay"),
    ("batch-size", "batch_size"),
    ("sede", "seed"),
    ("esed", "seed"),
    ("epoch", "epochs"),
    ("accelaration", "acceleration"),
    ("acelleration", "acceleration"),  # one letter left out, one doubled
    ("layr1", "layer1"),
    ("num_wokers", "num_workers"),
]
NEIGHBOURS = [
    ("lr", "wd"),
    ("beta2", "beta1"),
    ("beta", "beta1"),
    ("size_y", "size_x"),
    ("lr_d", "lr_g"),
    ("y", "x"),
    ("acc", "acs"),
    ("topp", "topk"),
    ("patch", "batch"),
    ("height", "weight"),
    ("max_lr", "min_lr"),
    ("maximum", "minimum"),
    ("decoder_dim", "encoder_dim"),
    ("unet", "net"),
    ("momentum", "optimizer"),
]


@pytest.mark.parametrize(("written", "meant"), SLIPS)
def test_slips_of_the_pen_are_seen(written: str, meant: str) -> None:
    assert is_slip(written, meant)


@pytest.mark.parametrize(("written", "other"), NEIGHBOURS)
def test_names_that_stand_side_by_side_are_no_slips(written: str, other: str) -> None:
    assert not is_slip(written, other)
    assert not is_slip(other, written)


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_the_distance_is_symmetric_and_zero_for_equal_words_alone(left: str, right: str) -> None:
    assert distance(left, right) == distance(right, left)
    assert (distance(left, right) == 0) == (left == right)


@pytest.mark.parametrize(
    ("left", "right", "letters"), [("", "abc", 3), ("lr", "lrr", 1), ("from", "form", 1), ("seed", "sead", 1), ("abcd", "badc", 2)]
)
def test_the_distance_counts_letters(left: str, right: str, letters: int) -> None:
    assert distance(left, right) == letters


@pytest.mark.parametrize(
    ("key", "configured", "meant"),
    [
        ("optim.lrr", ["optim.lr"], "optim.lr"),
        ("optm.wd", ["optim.lr"], "optim.wd"),
        ("model.optim.lrr", ["optim.lr"], None),  # another place
        ("lrr", ["optim.lr"], None),
        ("mode", ["model.kind"], None),  # a value is no section
        ("optim.betas.lrr", ["optim.lr"], None),
    ],
)
def test_a_key_is_compared_with_its_siblings(key: str, configured: list[str], meant: str | None) -> None:
    assert find_alike(key, configured) == meant


def test_an_axis_of_mappings_is_compared_with_sections(read: Callable[..., Spec]) -> None:
    with pytest.raises(SpecError, match=r"Did you mean model\?"):
        expand(read("config: {model: {kind: unet}}\ngrid: {modle: [{kind: unet}, {kind: varnet}]}"))


MEANT = [
    "config: {optim: {lr: 1, lrr: null}}\ngrid: {optim.lrr: [1, 2]}",
    "config: {optim: {lr: 1}}\ngrid: {optim.lrr: [1, 2]}\nruntime: [optim.lrr]",
    "config: {optim: {lr: 1}, note: 'at {optim.lrr}'}\ngrid: {optim.lrr: [1, 2]}",
    "config: {optim: {lr: 1}}\ngrid: {optim.lrr: [1, 2], seed: [1]}\nwhen: {optim.lrr: {seed: 1}}",
    "config: {optim: {lr: 1}}\ngrid: {optim.lrr: [1, 2, 3]}\nexclude: [{optim.lrr: 3}]",
    "config: {optim: {lr: 1}}\ngrid: {optim.lrr: [1, 2]}\nresources: {mem_gb: {by: optim.lrr, 1: 2, 2: 4}}",
    "config: {optim: {lr: 1}}\ngrid: {optim.lrr: [1, 2]}\nprepare: make {optim.lrr}",
    "config: {optim: {lr: 1}}\ngrid: {optim.lrr: [1, 2]}\nneeds: {w: {grid: a, where: 'lr={optim.lrr}'}}",
    "grid: {optim.lr: [1], optim.lrr: [1, 2]}",
    "config: {optim: {lr: 1}}\ngrid: {optim.momentum: [1, 2]}",
]


@pytest.mark.parametrize("text", MEANT)
def test_an_axis_that_may_be_meant_passes(read: Callable[..., Spec], text: str) -> None:
    assert len(list(expand(read(text)))) == 2


def test_a_placeholder_of_the_command_makes_an_axis_meant(write: Callable[..., Path]) -> None:
    path = write("command: x {lrr}\nconfig: {lr: 1}\ngrid: {lrr: [1, 2]}", head="name: g\n")
    assert len(list(expand(read_spec(path)))) == 2


def test_a_case_that_sets_the_key_makes_it_meant(read: Callable[..., Spec]) -> None:
    text = "config: {optim.lr: 1}\ncases: {a: {config: {optim.lrr: 1}}, b: {grid: {optim.lrr: [2]}}}"
    assert len(list(expand(read(text)))) == 2


def test_with_a_schema_it_is_the_schema_that_tells(read: Callable[..., Spec], schema: Schema) -> None:
    with pytest.raises(SpecError, match=r"the schema \S+ knows no such key"):
        list(expand(read("config: {optim: {lr: 1.0}}\ngrid: {optim.lrr: [1.0]}"), schema=schema))


def test_a_key_of_another_kind_is_told_with_the_kind_that_reads_it(read: Callable[..., Spec], schema: Schema) -> None:
    message = r"model.blocks holds 'IV'; it is read by model.kind varnet alone. Leave it out, .* Known: model.chans, model.drop, model.kind"
    with pytest.raises(SpecError, match=message):
        list(expand(read("config: {model: {kind: unet}}\ngrid: {model.blocks: [IV]}"), schema=schema))


def test_a_misspelt_axis_of_a_variant_is_refused_with_the_variant_alone(read: Callable[..., Spec]) -> None:
    text = "config: {seed: 0}\nvariants: {smoke: {grid: {sede: [1]}}}"
    assert len(list(expand(read(text)))) == 1
    with pytest.raises(SpecError, match=r":4: grid.sede holds \[1\].* Did you mean seed\?"):
        expand(read(text, variant="smoke"))


@pytest.mark.parametrize("given", ["stpes=3", "step=3", "grid.stpes=[3]", "sede=3"])
def test_a_misspelt_key_of_set_is_refused(read: Callable[..., Spec], given: str) -> None:
    with pytest.raises(SpecError, match=r"^--set \S+: \S+ holds \[?3\]?, but the config has no such key. Did you mean (steps|seed)\?"):
        expand(read("config: {steps: 1, seed: 0}\ngrid: {seed: [1, 2]}", overrides=[given]))


@pytest.mark.parametrize("given", ["steps=3", "seed=3", "seeds=3", "momentum=0.9", "config.step=!remove"])
def test_a_known_or_new_key_of_set_passes(read: Callable[..., Spec], given: str) -> None:
    assert list(expand(read("config: {steps: 1, seeds: 2}\ngrid: {seed: [1, 2]}\nruntime: [seed]", overrides=[given])))


def test_a_grid_that_exclude_leaves_empty_is_refused_with_what_each_condition_drops(read: Callable[..., Spec]) -> None:
    text = "grid: {a: [1, 2, 3], b: [1, 2]}\nexclude:\n- {a: [1, 2]}\n- {b: 1}\n- {a: 3}"
    with pytest.raises(SpecError) as caught:
        list(expand(read(text)))
    assert ":5: exclude drops every point (6)" in str(caught.value)
    assert "{'a': [1, 2]} in line 5 drops 4, {'b': 1} in line 6 drops 1, {'a': 3} in line 7 drops 1." in str(caught.value)


def test_one_case_may_be_excluded_as_a_whole(read: Callable[..., Spec]) -> None:
    text = "grid: {seed: [1, 2]}\ncases: {a: {config: {k: 1}}, b: {config: {k: 2}}}\nexclude: [{k: 1}]"
    assert [point.case for point in expand(read(text))] == ["b", "b"]
