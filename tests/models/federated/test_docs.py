"""docs/models.md on training across sites: every key has its row and default, the config is right, the files exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from models.federated.config import METHODS, AlignmentConfig, FederationConfig, read_federated

ROOT = Path(__file__).parents[3]
(SECTION,) = re.findall(r"^## Training across sites\n(.*?)^## ", (ROOT / "docs" / "models.md").read_text(), flags=re.DOTALL | re.MULTILINE)
ROWS = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in SECTION.splitlines() if line.startswith("| `")}
WORDS = {"None": "all", "": "none", "NODEFAULT": "required", "True": "true", "False": "false"}
KEYS = [("federated", FederationConfig), ("federated.alignment", AlignmentConfig)]


@pytest.mark.parametrize(("section", "struct"), KEYS, ids=[name for name, _ in KEYS])
def test_every_key_has_its_row_with_its_default(section, struct):
    for field in msgspec.structs.fields(struct):
        if field.name == "alignment":
            continue
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        value = getattr(default, "kind", default)
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        assert ROWS[f"`{section}.{field.name}`"] == WORDS.get(shown, shown)


def test_no_row_is_about_a_key_that_is_gone():
    keys = {f"`{section}.{field}`" for section, struct in KEYS for field in struct.__struct_fields__}
    assert set(ROWS) == keys - {"`federated.alignment`"}


def test_config_of_the_page_is_right():
    (text,) = re.findall(r"```json\n(.*?)```", SECTION, flags=re.DOTALL)
    assert read_federated(json.loads(text)).federated.aligned == ("B", "F", "I")


def test_methods_and_files_of_the_page_are_there():
    assert all(f"`{method}`" in SECTION for method in METHODS)
    assert all((ROOT / name).is_file() for name in re.findall(r"`((?:models|data)/[\w/]+\.py)`", SECTION))
