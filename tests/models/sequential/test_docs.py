"""docs/models.md on sequential sampling: every key has its row and default, every policy too, the config is right."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from models.sequential.config import (
    POLICY_KINDS,
    AcquisitionConfig,
    DqnPolicy,
    EpisodesConfig,
    NestedPolicy,
    SequentialConfig,
    read_sequential,
)
from models.training_config import LoopConfig

ROOT = Path(__file__).parents[3]
(SECTION,) = re.findall(r"^## Sequential sampling\n(.*?)^## ", (ROOT / "docs" / "models.md").read_text(), flags=re.DOTALL | re.MULTILINE)
ROWS = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in SECTION.splitlines() if line.startswith("| `")}
KEYS = [("acquisition", AcquisitionConfig), ("policy", NestedPolicy), ("policy", DqnPolicy)]
WORDS = {"": "none", "None": "none"}


@pytest.mark.parametrize(("section", "struct"), KEYS, ids=[struct.__name__ for _, struct in KEYS])
def test_every_key_has_its_row_with_its_default(section, struct):
    for field in msgspec.structs.fields(struct):
        shown = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        assert ROWS[f"`{section}.{field.name}`"] == WORDS.get(shown, shown), field.name


def test_no_row_is_about_a_key_or_policy_that_is_gone():
    keys = {f"`{section}.{field}`" for section, struct in KEYS for field in struct.__struct_fields__} | {"`train.episodes`"}
    sections = {f"`{field}`" for field in SequentialConfig.__struct_fields__}
    assert set(ROWS) <= keys | sections | {f"`{kind}`" for kind in POLICY_KINDS} | {"`policy.kind`"}
    assert {f"`{kind}`" for kind in POLICY_KINDS} <= set(ROWS)
    assert keys <= set(ROWS)


def test_keys_of_training_that_are_named_have_its_defaults():
    loop = {field.name: field.default for field in msgspec.structs.fields(LoopConfig)}
    for field in msgspec.structs.fields(EpisodesConfig):
        assert f"`train.{field.name}`" in SECTION
        assert field.name in ("epochs", "episodes") or field.default == loop[field.name]
    assert f"`train.epochs` is {EpisodesConfig().epochs}" in SECTION
    assert ROWS["`train.episodes`"] == str(EpisodesConfig().episodes)


def test_config_of_the_page_is_right():
    (text,) = re.findall(r"```json\n(.*?)```", SECTION, flags=re.DOTALL)
    assert isinstance(read_sequential(json.loads(text)).policy, DqnPolicy)
