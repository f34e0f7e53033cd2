"""Who a run is: what changes an id, and what does not."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.grid.build import build_manifests
from orchestrator.grid.canonical import canonical, same
from orchestrator.grid.identity import Identity, run_id
from orchestrator.grid.manifest import Manifest, Need
from orchestrator.grid.schema import Schema, load_schema
from orchestrator.grid.spec import read_spec
from orchestrator.store.errors import SpecError
from tests.grid.conftest import SCHEMA

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="."), min_size=1, max_size=6).map(
    lambda text: unicodedata.normalize("NFC", text)
)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)
CONFIGS = st.dictionaries(KEYS, VALUES, max_size=4)


def plain_id(config: dict[str, Any], runtime: tuple[str, ...] = ()) -> str:
    return run_id("m:f", config, schema=None, runtime=runtime)


def rewritten(value: Any, draw: st.DrawFn) -> Any:
    """The same value in another spelling: keys permuted, whole numbers as floats, texts decomposed."""
    if isinstance(value, dict):
        items = draw(st.permutations(list(value.items())))
        return {unicodedata.normalize(draw(st.sampled_from(["NFC", "NFD"])), key): rewritten(item, draw) for key, item in items}
    if isinstance(value, list):
        return [rewritten(item, draw) for item in value]
    if isinstance(value, str):
        return unicodedata.normalize(draw(st.sampled_from(["NFC", "NFD"])), value)
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if draw(st.booleans()) else value
    return -value if value == 0 and isinstance(value, float) else value


@given(st.data())
def test_spelling_does_not_matter(data: st.DataObject) -> None:
    config = data.draw(CONFIGS)
    assert plain_id(config) == plain_id(rewritten(config, data.draw))


@given(VALUES, VALUES)
def test_values_are_the_same_only_if_their_text_is(left: Any, right: Any) -> None:
    if same(left, right):
        assert rough(left) == rough(right)


def rough(value: Any) -> Any:
    """Equality as people see it, with truths told from numbers."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, dict):
        return {unicodedata.normalize("NFC", key): rough(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rough(item) for item in value]
    if isinstance(value, str):
        return ("text", unicodedata.normalize("NFC", value))
    return "nan" if value != value else value


PAIRS = [
    (True, 1),
    (False, 0),
    ("1", 1),
    (None, "null"),
    ([], {}),
    ("", None),
    (math.nan, "NaN"),
    (math.inf, "Infinity"),
    (2**53 + 1, float(2**53)),
]


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_different_values_give_different_ids(left: Any, right: Any) -> None:
    assert plain_id({"a": left}) != plain_id({"a": right})


SPELLINGS = [
    (1, "1"),
    (1.0, "1"),
    (1e0, "1"),
    (-0.0, "0"),
    (1e22, "10000000000000000000000"),
    (1e-4, "0.0001"),
    (1e-7, "1e-07"),
    (math.nan, "NaN"),
    (-math.inf, "-Infinity"),
    ("e\u0301\n", '"é\\n"'),
    ({"b": [True, None], "a": {}}, '{"a":{},"b":[true,null]}'),
]


@pytest.mark.parametrize(("value", "text"), SPELLINGS)
def test_the_canonical_form_is_as_documented(value: Any, text: str) -> None:
    assert canonical(value) == text


def test_the_form_of_version_1_never_changes() -> None:
    need = {"w": Need(grid="g", run="00ff00ff00ff00ff", sha256="ab", path="p")}
    document = Identity(None, ["train.n"]).document("m:f", {"b": 1.0, "a": {"é": [1e-4]}, "train": {"n": 3}}, need)
    assert document == '{"config":{"a":{"é":[0.0001]},"b":1},"needs":{"w":["00ff00ff00ff00ff","ab"]},"target":"m:f","version":1}'
    assert plain_id({"a": 1}) == "28026fed763ca201"


def test_entry_and_needs_enter_the_id() -> None:
    needs = [{"w": Need(grid="g", run=run, sha256=sha, path="p")} for run, sha in (("0" * 16, "a"), ("0" * 16, "b"), ("1" * 16, "a"))]
    ids = {run_id("m:f", {}, schema=None, runtime=(), needs=need) for need in [None, *needs]} | {run_id("m:g", {}, schema=None, runtime=())}
    assert len(ids) == 5
    assert run_id("m:f", {}, schema=None, runtime=(), needs={}) == plain_id({})


RUNTIME = [
    ({"a": 1, "t": {"n": 3}}, {"a": 1, "t": {"n": 4}}, ("t.n",), True),
    ({"a": 1, "t": {"n": 3}}, {"a": 1}, ("t.n",), True),
    ({"a": 1, "t": {}}, {"a": 1}, ("t.n",), True),
    ({"t": {"x": {"y": 1}, "z": 1}}, {"t": {"z": 1}}, ("t.x", "t.x.y"), True),
    ({"t": {"x": 1, "z": 1}}, {"t": {"x": 1, "z": 2}}, ("t.x",), False),
    ({"tn": 1}, {"tn": 2}, ("t",), False),
    ({"t": 5}, {"t": 6}, ("t.n",), False),
]


@pytest.mark.parametrize(("left", "right", "runtime", "equal"), RUNTIME)
def test_runtime_keys_do_not_enter_the_id(left: dict[str, Any], right: dict[str, Any], runtime: tuple[str, ...], equal: bool) -> None:
    assert (plain_id(left, runtime) == plain_id(right, runtime)) is equal


def test_one_key_in_two_unicode_forms_is_refused() -> None:
    with pytest.raises(SpecError, match="different Unicode forms"):
        plain_id({"é": 1, "e\u0301": 2})


CONFIG_OF_SCHEMA = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(
            [{"kind": "unet"}, {"kind": "unet", "chans": 32}, {"kind": "unet", "chans": 8}, {"kind": "varnet", "blocks": "V"}]
        ),
        "optim": st.fixed_dictionaries(
            {}, optional={"lr": st.sampled_from([1e-3, 1, 1.0, 0.5]), "betas": st.sampled_from([[0.9, 0.999], [0.5]])}
        ),
        "train": st.fixed_dictionaries({}, optional={"epochs": st.sampled_from([50, 3]), "num_workers": st.sampled_from([2, 9])}),
        "seed": st.sampled_from([0, 1, 2]),
        "note": st.sampled_from([None, "x"]),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=CONFIG_OF_SCHEMA)
def test_writing_defaults_out_changes_no_id(schema: Schema, config: dict[str, Any]) -> None:
    full = schema.complete(config)
    for runtime in ((), ("train.num_workers",), ("train", "model.chans")):
        assert run_id("m:f", config, schema=schema, runtime=runtime) == run_id("m:f", full, schema=schema, runtime=runtime)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(left=CONFIG_OF_SCHEMA, right=CONFIG_OF_SCHEMA)
def test_ids_are_equal_exactly_when_complete_configs_are(schema: Schema, left: dict[str, Any], right: dict[str, Any]) -> None:
    equal = same(schema.complete(left), schema.complete(right))
    assert (run_id("m:f", left, schema=schema, runtime=()) == run_id("m:f", right, schema=schema, runtime=())) is equal


ADDED = [
    ("    seed: int = 0\n", "    seed: int = 0\n    tta: bool = False\n"),
    ("    seed: int = 0\n", "    seed: int = 0\n    extra: Unet | Varnet = Varnet(blocks='Y')\n"),
    ("    epochs: int = 50\n", "    epochs: int = 50\n    clip: float | None = None\n"),
    ("    chans: int = 32\n", "    chans: int = 32\n    act: str = 'relu'\n"),
    ("    data: Data = Data()\n", "    data: Data = Data()\n    more: Train = Train(epochs=7)\n"),
]
SAMPLES: list[dict[str, Any]] = [
    {},
    {"model": {"kind": "unet"}},
    {"model": {"kind": "varnet"}, "seed": 3},
    {"train": {"epochs": 2}, "optim": {"lr": 1}},
]


@pytest.mark.parametrize(("old", "new"), ADDED)
@pytest.mark.parametrize("config", SAMPLES)
def test_a_new_option_with_a_default_changes_no_id(load: Callable[..., Schema], old: str, new: str, config: dict[str, Any]) -> None:
    ids = {run_id("m:f", config, schema=load(text), runtime=("train.num_workers",)) for text in (SCHEMA, SCHEMA.replace(old, new))}
    assert len(ids) == 1


def test_a_changed_default_changes_no_id_of_runs_that_leave_it(load: Callable[..., Schema]) -> None:
    changed = load(SCHEMA.replace("epochs: int = 50", "epochs: int = 60"))
    assert run_id("m:f", {"seed": 1}, schema=load(), runtime=()) == run_id("m:f", {"seed": 1}, schema=changed, runtime=())
    assert run_id("m:f", {"train": {"epochs": 50}}, schema=load(), runtime=()) != run_id(
        "m:f", {"train": {"epochs": 50}}, schema=changed, runtime=()
    )


def test_a_kind_is_kept_beside_its_options(schema: Schema) -> None:
    document = Identity(schema, ()).document("m:f", schema.complete({"model": {"kind": "unet", "chans": 8}}))
    assert document.startswith('{"config":{"model":{"kind":"unet","chans":8}},')


def test_a_runtime_key_inside_a_section_at_its_default_does_not_matter(schema: Schema) -> None:
    ids = {run_id("m:f", config, schema=schema, runtime=("train.num_workers",)) for config in ({}, {"train": {"num_workers": 7}})}
    assert len(ids) == 1


SCRIPT = """
import sys
from pathlib import Path
from orchestrator.grid.build import build_manifests
from orchestrator.grid.schema import load_schema
from orchestrator.grid.spec import read_spec
schema = load_schema("project_schema:Config", [sys.argv[2]])
made = build_manifests(read_spec(Path(sys.argv[1])), schema=schema, version=1, resolve_need=lambda query: None)
print(*[manifest.id for manifest in made])
"""
GRIDS = [
    "grid: {seed: [1, 2], optim.lr: [1e-4, 1e0]}\nrandom: {samples: 3, seed: 1, axes: {train.epochs: {range: [1, 90]}}}\n"
    "config: {data: {root: é, kind: x}}",
    "config:\n  data:\n    kind: x\n    root: e\u0301\ngrid:\n  optim.lr: [0.0001, 1]\n  seed: [1.0, 2]\n"
    "random:\n  axes: {train.epochs: {range: [1, 90]}}\n  seed: 1\n  samples: 3",
]


def test_ids_do_not_depend_on_the_hash_seed_or_the_order_of_the_file(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "project_schema.py").write_text(SCHEMA)
    answers = set()
    for hash_seed, text in (("0", GRIDS[0]), ("12345", GRIDS[0]), ("7", GRIDS[1])):
        command = [sys.executable, "-c", SCRIPT, str(write(text)), str(tmp_path)]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        output = subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True).stdout
        answers.add(frozenset(output.split()))
    assert len(answers) == 1
    assert len(answers.pop()) == 2 * 2 * 3


def test_a_runtime_key_inside_a_free_mapping_does_not_matter(load: Callable[..., Schema]) -> None:
    schema = load(SCHEMA + "    extra: dict[str, int] = {}\n")
    configs: list[dict[str, Any]] = [{}, {"extra": {}}, {"extra": {"n": 3}}]
    assert len({run_id("m:f", config, schema=schema, runtime=("extra.n",)) for config in configs}) == 1
    assert len({run_id("m:f", config, schema=schema, runtime=()) for config in configs}) == 2


RECORDED_IDS = ["b8fa27664ea369a0", "4b815a156d239cd7"]
"""The first runs of the shipped quickstart, as they were named when its data got a layout; every machine and Python gives the same."""


def test_shipped_grid_has_the_ids_that_another_machine_gave_its_runs() -> None:
    root = Path(__file__).parents[2]
    spec = read_spec(root / "grids" / "quickstart.yaml")
    schema = load_schema(spec.schema, [str(root)]) if spec.schema else None
    ids = [run.id for run in build_manifests(spec, schema=schema, version=1, resolve_need=lambda query: None) if isinstance(run, Manifest)]
    assert ids[:2] == RECORDED_IDS
    assert hashlib.sha256("".join(ids).encode()).hexdigest()[:16] == "3ba9cfbf662e3a43"
