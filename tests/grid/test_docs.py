"""Every example of docs/grids.md is a grid that can be read, expanded and frozen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.grid.expand import expand
from orchestrator.grid.freeze import frozen_text
from orchestrator.grid.identity import Identity
from orchestrator.grid.manifest import Need
from orchestrator.grid.settings import KEYS
from orchestrator.grid.spec import read_spec

TEXT = (Path(__file__).parents[2] / "docs" / "grids.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(yaml|csv)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
FILES = {match[1]: text[match.end() :] for _, text in BLOCKS if (match := re.match(r"# file: (\S+)\n", text))}
GRIDS = [text for kind, text in BLOCKS if kind == "yaml" and not text.startswith("# file:")]


@pytest.mark.parametrize("text", GRIDS, ids=[" ".join(text.split())[:50] for text in GRIDS])
def test_an_example_has_the_points_that_it_claims(tmp_path: Path, text: str) -> None:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    path = tmp_path / "grid.yaml"
    path.write_text(text if "\nname:" in text else f"name: docs\nentry: m:f\n{text}")
    claimed = re.search(r"# = (\d+) points", text)
    assert claimed is not None
    spec = read_spec(path)
    assert len(list(expand(spec))) == int(claimed[1])
    for variant in re.findall(r"^  (smoke):", text, re.MULTILINE):
        assert list(expand(read_spec(path, variant=variant)))
    (tmp_path / "frozen.yaml").write_text(frozen_text(spec))
    assert [point.config for point in expand(read_spec(tmp_path / "frozen.yaml"))] == [point.config for point in expand(spec)]


def test_every_key_of_the_language_is_in_the_table() -> None:
    rows = " ".join(re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE))
    known = {"name", "config", "grid", "zip", "random", "cases", "exclude", "when", "resources", "prepare", "needs", "variants", *KEYS}
    assert set(re.findall(r"`(\w+)`", rows)) == known


def test_the_canonical_text_of_the_reference_is_what_is_hashed() -> None:
    shown = re.search(r"```json\n(.*?)\n```", TEXT, re.DOTALL)
    assert shown is not None
    config = {"seed": 1.0, "model": {"kind": "unet", "chans": 8}}
    need = {"weights": Need(grid="g", run="0123456789abcdef", sha256="9f86d081", path="p")}
    document = Identity(None, ()).document("models.training:train", config, need)
    assert document == shown[1].replace('"kind":"unet","chans":8', '"chans":8,"kind":"unet"')
