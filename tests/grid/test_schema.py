"""The schema of an entry: loaded from the project, completed, and refused in words that help."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.grid.refusal import ConfigRefused
from orchestrator.grid.schema import Schema, load_schema
from orchestrator.store.errors import EntryError

REFUSED = [
    ({"optim": {"learning_rate": 0.1}}, "optim.learning_rate", ["holds 0.1", "optim.lr", "Known:"]),
    ({"lr": 0.1}, "lr", ["holds 0.1", "Did you mean optim.lr?"]),
    ({"model": {"kind": "unet", "blocks": "II"}}, "model.blocks", ["holds 'II'", "Known:", "model.chans"]),
    ({"model": {"kind": "unett"}}, "model.kind", ["'unett'", "Did you mean unet? Known: unet, varnet"]),
    ({"model": {"chans": 3}}, "model.kind", ["is not set", "Write one of unet, varnet"]),
    ({"model": 5}, "model", ["holds 5", "expected object"]),
    ({"optim": {"lr": "1e-3"}}, "optim.lr", ["'1e-3'", "expected float"]),
    ({"optim": {"kind": "sgd"}}, "optim.kind", ["'sgd'", "Known: adam, rmsprop"]),
    ({"seed": True}, "seed", ["True", "expected int"]),
    ({"seed": 1.5}, "seed", ["1.5", "expected int"]),
    ({"seed": None}, "seed", ["None", "expected int"]),
    ({"optim": {"betas": [0.9, "x"]}}, "optim.betas", ["[0.9, 'x']", "expected float"]),
    ({"note": 3}, "note", ["holds 3", "expected str | null"]),
]


@pytest.mark.parametrize(("config", "key", "named"), REFUSED)
def test_a_refusal_names_key_value_and_what_is_known(schema: Schema, config: dict[str, Any], key: str, named: list[str]) -> None:
    with pytest.raises(ConfigRefused) as caught:
        schema.complete(config)
    assert caught.value.key == key
    assert str(caught.value).startswith(f"{key} ")
    assert [part for part in named if part not in str(caught.value)] == []


def test_every_default_is_written_out(schema: Schema) -> None:
    assert schema.complete({"model": {"kind": "varnet"}, "optim": {"lr": 1}}) == {
        "model": {"kind": "varnet", "blocks": "II", "chans": 18},
        "optim": {"lr": 1.0, "betas": [0.9, 0.999], "kind": "adam", "clip": math.inf},
        "train": {"epochs": 50, "num_workers": 2},
        "data": {"root": "data", "kind": "brain"},
        "seed": 0,
        "note": None,
    }


def test_whole_floats_are_integers_where_integers_are_asked_for(schema: Schema) -> None:
    full = schema.complete({"seed": 2.0, "train": {"epochs": 3.0}})
    assert (full["seed"], type(full["seed"]), full["train"]["epochs"]) == (2, int, 3)


DATACLASS = """
from dataclasses import dataclass, field

@dataclass
class Inner:
    a: int = 1

@dataclass
class Config:
    inner: Inner = field(default_factory=Inner)
    items: list[Inner] = field(default_factory=list)
    need: int = 3
"""


def test_dataclasses_are_schemas_too_and_unknown_keys_are_refused(load: Callable[..., Schema]) -> None:
    schema = load(DATACLASS)
    assert schema.complete({"items": [{"a": 2}]}) == {"inner": {"a": 1}, "items": [{"a": 2}], "need": 3}
    for config, key in (({"inner": {"b": 1}}, "inner.b"), ({"items": [{"b": 1}]}, "items.b"), ({"x": 1}, "x")):
        with pytest.raises(ConfigRefused, match=f"{key} holds 1"):
            schema.complete(config)


STRICT = """
import msgspec

class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="kebab", tag_field="kind", tag="unet"):
    n_chans: int = 3

    def __post_init__(self):
        if self.n_chans < 1:
            raise ValueError("n_chans is 0, it must be 1 or more")

class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    model: Model = Model()
    root: str

    def __post_init__(self):
        if self.root == "crash":
            raise KeyError("no such disk")
"""


def test_structs_that_rename_omit_and_check_are_followed(load: Callable[..., Schema]) -> None:
    schema = load(STRICT)
    assert schema.complete({"root": "d"}) == {"model": {"kind": "unet", "n-chans": 3}, "root": "d"}
    for config, problem in (
        ({}, "root is not set, and has no default. Write root: VALUE under config:."),
        ({"root": "d", "model": {"kind": "unet", "n-chans": 0}}, "model is refused by .*: n_chans is 0, it must be 1 or more"),
        ({"root": "d", "model": {"kind": "unet", "chans": 0}}, "model.chans holds 0; .* Known: .*model.n-chans"),
        ({"root": "crash"}, "fails on a config .*KeyError"),
        ({"root": "d", "rot": 1}, "rot holds 1; .* Did you mean root?"),
    ):
        with pytest.raises(ConfigRefused, match=problem):
            schema.complete(config)


LOADS = [
    ("nothing.config:Config", "no module nothing"),
    ("project.config:Confg", "Did you mean Config?"),
    ("project.config:Struct", "Known: Config."),
    ("project.config:number", "neither a msgspec Struct nor a dataclass"),
    ("project.broken:Config", "fails to import (ZeroDivisionError: division by zero)"),
    ("project:Config:x", "has not the shape module:Class"),
]


@pytest.mark.parametrize(("text", "problem"), LOADS)
def test_a_schema_that_cannot_be_loaded_is_told_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    package = tmp_path / "it's a project" / "project"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "config.py").write_text(
        "import msgspec\nfrom msgspec import Struct\nnumber = 3\nclass Config(msgspec.Struct):\n    a: int = 1\n"
    )
    (package / "broken.py").write_text("1 / 0\n")
    with pytest.raises(EntryError) as caught:
        load_schema(text, [str(package.parent)])
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_projects_may_use_the_same_module_name(tmp_path: Path) -> None:
    path_before = list(sys.path)
    defaults = []
    for number in (1, 2):
        package = tmp_path / f"p{number}" / "twice"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "config.py").write_text(f"import msgspec\nclass Config(msgspec.Struct):\n    a: int = {number}\n")
        defaults.append(load_schema("twice.config:Config", [str(package.parent)]).complete({}))
    assert defaults == [{"a": 1}, {"a": 2}]
    assert sys.path == path_before
