"""A frozen grid stands alone and gives the same runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.grid.build import build_manifests
from orchestrator.grid.freeze import frozen_text
from orchestrator.grid.loading import Mark, Node, load_text, located, plain
from orchestrator.grid.manifest import Manifest, Need
from orchestrator.grid.spec import Spec, read_spec

GRID = """\
# Question: does freezing keep what it should?
#   2 x 2 x 2 runs, and a colon: here.

# Not part of the question.
name: g
command: python train.py --lr {optim.lr}
config: [base.yaml, {mask: {acs: !remove}, "no": "no", text: "1e-4", yes: true, gone: ~, date: "2024-01-01", inf: .inf, tiny: 1e-300}]
grid: {seed: [1, 2], optim.lr: {logspace: [1e-5, 1e-2, 2]}}
zip: [{csv: masks.csv}]
random: {samples: 1, axes: {u: {uniform: [0, 1]}}}
cases: {a: {config: more.yaml}, b: {grid: {seed: !remove}, config: {seed: 5}}}
exclude: [{mask.kind: caipi, seed: 2}]
when: {mask.seed: {mask.kind: random}}
runtime: [train.n]
prepare: {command: "make '{out}'", resources: {cpus: 2}}
needs: {w: {grid: stl, where: "seed={seed}"}}
resources: {mem_gb: {by: mask.kind, caipi: 3, random: 4}, max_parallel: 5}
variants: {smoke: {config: small.yaml, policy: {timeout: keep}}, other: {config: missing.yaml}}
policy: {timeout: resume, error: {attempts: 2}}
"""
FILES = {
    "base.yaml": "mask: {acs: 3}\ntrain: {n: 9}\nout: it's {{here}} {seed}\n",
    "more.yaml": "extra: {deep: [1, {x: null}]}\n",
    "small.yaml": "train: {epochs: 1}\n",
    "masks.csv": 'mask.kind,mask.seed\ncaipi,0\n"random",91329\n',
}


def runs(spec: Spec) -> list[Any]:
    return list(
        build_manifests(
            spec, schema=None, version=1, resolve_need=lambda query: Need(grid=query.grid, run="0" * 16, sha256=query.where, path="p")
        )
    )


@pytest.mark.parametrize(
    ("variant", "overrides"), [(None, []), ("smoke", []), (None, ["optim.lr=3"]), ("smoke", ["grid.seed=[7, 8]", "policy.error=keep"])]
)
def test_a_frozen_grid_gives_the_same_runs_without_its_files(
    write: Callable[..., Path], tmp_path: Path, variant: str | None, overrides: Sequence[str]
) -> None:
    for name, text in FILES.items():
        write(text, head="", name=name)
    spec = read_spec(write(GRID, head=""), variant=variant, overrides=overrides)
    frozen = tmp_path / "elsewhere" / "grid-1.yaml"
    frozen.parent.mkdir()
    frozen.write_text(frozen_text(spec))
    again = read_spec(frozen)
    assert msgspec.json.encode(runs(again)) == msgspec.json.encode(runs(spec))
    assert len(runs(spec)) > 3
    same = ("name", "variant", "question", "command", "policy", "max_parallel", "runtime", "varying")
    assert {field: getattr(again, field) for field in same} == {field: getattr(spec, field) for field in same}
    assert frozen_text(again) == frozen_text(spec)


def test_the_question_is_the_comment_that_opens_the_file(write: Callable[..., Path]) -> None:
    for name, text in FILES.items():
        write(text, head="", name=name)
    spec = read_spec(write(GRID, head=""))
    assert spec.question == "Question: does freezing keep what it should?\n  2 x 2 x 2 runs, and a colon: here."
    assert frozen_text(spec).startswith(GRID[: GRID.index("\n\n")])


def test_a_frozen_variant_keeps_its_variant(write: Callable[..., Path]) -> None:
    spec = read_spec(write("variants: {smoke: {config: {a: 1}}}"), variant="smoke")
    again = read_spec(write(frozen_text(spec), head=""), variant="smoke")
    assert (again.name, again.variant) == ("g", "smoke")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["1e-4", "no", "010", "~", "", "!remove", "<<", "- a", "a: b", "#"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "no", "1", "é"]), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
def test_every_value_survives_freezing(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(msgspec.json.encode({"name": "g", "entry": "m:f"}).decode())
    spec = read_spec(path)
    document = load_text("name: g\nentry: m:f\n", "f")
    config = Node({"config": located({"v": value}, Mark("f", 1)), **document.value}, document.mark)
    back = plain(load_text(frozen_text(replace(spec, document=config)), "g"))["config"]["v"]
    assert back == value
    assert repr(back) == repr(value)


def test_manifests_are_of_the_frozen_version(write: Callable[..., Path]) -> None:
    made = list(build_manifests(read_spec(write("")), schema=None, version=4, resolve_need=lambda query: None))
    assert [manifest.version for manifest in made if isinstance(manifest, Manifest)] == [4]
