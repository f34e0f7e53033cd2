"""Manifests: each run once, complete, and the same when read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.cluster.resources import Resources
from orchestrator.grid.build import Manifests, PrepareCommand, Waiting, build_manifests, changed_defaults
from orchestrator.grid.dotted import ABSENT
from orchestrator.grid.manifest import Manifest, Need, decode_manifest, read_manifests
from orchestrator.grid.needs import NeedQuery
from orchestrator.grid.schema import Schema
from orchestrator.grid.spec import Spec, read_spec
from orchestrator.store.errors import StoreError
from orchestrator.store.files import Journal
from tests.grid.conftest import SCHEMA

Read = Callable[..., Spec]


def build(spec: Spec, *, schema: Schema | None = None, answers: Callable[[NeedQuery], Need | None] = lambda query: None) -> Manifests:
    return build_manifests(spec, schema=schema, version=2, resolve_need=answers)


def manifests(spec: Spec, **options: Any) -> dict[str, Manifest]:
    return {made.id: made for made in build(spec, **options) if isinstance(made, Manifest)}


def test_a_manifest_is_complete_and_labelled(read: Read, schema: Schema) -> None:
    spec = read("grid: {seed: [3]}\nresources: {gpus: 1}\nprepare: make '{data.root}'")
    stream = build(spec, schema=schema)
    (made,) = list(stream)
    assert isinstance(made, Manifest)
    assert made.config["train"] == {"epochs": 50, "num_workers": 2}
    assert (made.entry, made.version, made.label, made.resources) == ("m.train:run", 2, "seed=3", Resources(gpus=1))
    assert stream.prepares == {made.prepare: PrepareCommand(argv=("make", "data"), resources=Resources())}


def test_equal_runs_are_one_and_counted(read: Read) -> None:
    stream = build(read("grid: {a: [1, 1.0, 2], t.n: [3, 4]}\nruntime: [t]"))
    assert [made.varying for made in stream if isinstance(made, Manifest)] == [{"a": 1, "t.n": 3}, {"a": 2, "t.n": 3}]
    assert stream.collapsed == 6 - 2


def test_a_value_never_becomes_more_than_one_argument(write: Callable[..., Path]) -> None:
    text = "name: g\ncommand: python 'my train.py' --x={x} {{y}} {n}\nconfig: {x: \"a b; $(rm) \\\" '\", n: 1.0}\n"
    (made,) = manifests(read_spec(write(text, head=""))).values()
    assert made.command == ("python", "my train.py", "--x=a b; $(rm) \" '", "{y}", "1.0")
    assert made.entry == ""


def test_a_point_waits_for_the_results_it_needs(read: Read) -> None:
    asked: list[NeedQuery] = []

    def answers(query: NeedQuery) -> Need | None:
        asked.append(query)
        return Need(grid=query.grid, run="0" * 16, sha256="ab", path="p") if "1" in query.where else None

    spec = read("grid: {seed: [1, 2], lr: [3, 4]}\nneeds: {w: {grid: stl, where: 'seed={seed}'}}")
    made = list(build(spec, answers=answers))
    assert [type(item) for item in made] == [Manifest, Manifest, Waiting, Waiting]
    assert isinstance(made[2], Waiting) and made[2].missing == {"w": NeedQuery(grid="stl", where="seed=2")}
    assert len(asked) == 2
    assert isinstance(made[0], Manifest) and made[0].needs["w"].sha256 == "ab"
    assert made[0].id != next(iter(manifests(read("config: {seed: 1, lr: 3}"))))


NONFINITE = "config: {a: .inf, b: [1, -.inf, {c: .nan}], t: {n: .inf}, ok: 1.5}\ngrid: {x: [.inf]}\nruntime: [t]"


@pytest.mark.parametrize("with_schema", [False, True])
def test_infinities_survive_the_journal(read: Read, schema: Schema, tmp_path: Path, with_schema: bool) -> None:
    spec = read("grid: {seed: [1]}" if with_schema else NONFINITE)
    (made,) = manifests(spec, schema=schema if with_schema else None).values()
    back = decode_manifest(msgspec.json.encode(made))
    assert repr(back) == repr(made)
    assert ("inf" in repr(back.config)) and made.nonfinite


def test_manifests_are_read_back_and_a_torn_tail_is_passed_over(read: Read, tmp_path: Path) -> None:
    made = manifests(read('grid: {seed: [1, 2, 3], note: ["é \\n\'"]}'))
    path = tmp_path / "it's" / "manifest.jsonl"
    path.parent.mkdir()
    journal = Journal(path)
    journal.append(*made.values())
    journal.close()
    assert read_manifests(path) == made
    path.write_bytes(path.read_bytes()[:-20])
    assert list(read_manifests(path)) == list(made)[:2]
    path.write_bytes(b'{"id": 3}\n' + path.read_bytes())
    with pytest.raises(StoreError, match=f"{path}:1: "):
        read_manifests(path)
    assert read_manifests(tmp_path / "nothing") == {}


def test_a_changed_default_is_named_with_the_number_of_runs(read: Read, load: Callable[..., Schema]) -> None:
    spec = read("grid: {seed: [1, 2, 3]}")
    kept = manifests(spec, schema=load())
    changed = SCHEMA.replace("epochs: int = 50", "epochs: int = 60").replace("note: str | None = None", "tta: bool = False")
    today = manifests(spec, schema=load(changed))
    assert list(today) == list(kept)
    found = changed_defaults(kept, today.values())
    assert [(change.key, change.old, change.new, change.runs) for change in found] == [
        ("note", None, ABSENT, 3),
        ("train.epochs", 50, 60, 3),
        ("tta", ABSENT, False, 3),
    ]
    assert found[1].told == "train.epochs: 50 → 60 in 3 runs"
    assert changed_defaults(kept, kept.values()) == []


def test_a_key_that_became_a_runtime_key_is_named_unless_it_is_ignored(read: Read, schema: Schema) -> None:
    kept = manifests(read("config: {train.num_workers: 2, seed: 1}"), schema=schema)
    today = manifests(read("config: {train.num_workers: 9, seed: 1.0}\nruntime: [train.num_workers]"), schema=schema)
    (change,) = changed_defaults(kept, today.values())
    assert (change.key, change.old, change.new) == ("train.num_workers", 2, 9)
    assert changed_defaults(kept, today.values(), ignore=["train"]) == []
